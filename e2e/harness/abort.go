package harness

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/gorilla/websocket"
	"github.com/livekit/protocol/livekit"
	"google.golang.org/protobuf/proto"
)

// AbortJoin starts to join a room as a client does, waits until LiveKit has accepted the participant, and leaves before any
// media connection exists: LiveKit sends participant_connection_aborted. It returns the participant's sid.
func AbortJoin(ctx context.Context, serverURL, token string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, joinTimeout)
	defer cancel()
	query := url.Values{"access_token": {token}, "protocol": {"16"}, "sdk": {"go"}, "auto_subscribe": {"1"}}
	conn, _, err := websocket.DefaultDialer.DialContext(ctx, serverURL+"/rtc?"+query.Encode(), nil)
	if err != nil {
		return "", fmt.Errorf("open the signal connection: %w", err)
	}
	defer conn.Close()
	if err := conn.SetReadDeadline(time.Now().Add(joinTimeout)); err != nil {
		return "", err
	}
	_, message, err := conn.ReadMessage()
	if err != nil {
		return "", fmt.Errorf("read livekit-server's greeting: %w", err)
	}
	var greeting livekit.SignalResponse
	if err := proto.Unmarshal(message, &greeting); err != nil {
		return "", fmt.Errorf("read livekit-server's greeting: %w", err)
	}
	leave, err := proto.Marshal(&livekit.SignalRequest{Message: &livekit.SignalRequest_Leave{
		Leave: &livekit.LeaveRequest{Reason: livekit.DisconnectReason_CLIENT_INITIATED},
	}})
	if err != nil {
		return "", err
	}
	if err := conn.WriteMessage(websocket.BinaryMessage, leave); err != nil {
		return "", fmt.Errorf("leave: %w", err)
	}
	// The server closes the connection after it has removed the participant.
	for err == nil {
		_, _, err = conn.ReadMessage()
	}
	return greeting.GetJoin().GetParticipant().GetSid(), nil
}
