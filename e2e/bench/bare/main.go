// Command bare is what the token exchange of Pulse is measured against: a
// net/http handler that mints the JWT of a room, an identity and a project with
// livekit/protocol/auth, as an application without a control plane would, and
// does nothing else. It reads no request, knows no tenant, counts and logs
// nothing. It prints its address once it listens.
package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/livekit/protocol/auth"
)

// answer has the fields of a LiveKit token endpoint's answer.
type answer struct {
	ServerURL        string `json:"server_url"`
	ParticipantToken string `json:"participant_token"`
}

func main() {
	if err := run(os.Getenv("LIVEKIT_HOST"), os.Getenv("LIVEKIT_API_KEY"), os.Getenv("LIVEKIT_API_SECRET")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run serves until it fails or the process is ended.
func run(url, key, secret string) error {
	const room, identity, project = "standup", "alice", "prj_0190a8f0b1c27d3e8f405162738495a6"
	allowed := true
	grant := auth.VideoGrant{
		RoomJoin: true, Room: project + "_" + room, CanPublish: &allowed, CanSubscribe: &allowed, CanPublishData: &allowed,
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	server := http.Server{ReadHeaderTimeout: 5 * time.Second}
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		token, err := auth.NewAccessToken(key, secret).SetIdentity(identity).SetVideoGrant(&grant).
			SetAttributes(map[string]string{"pulse.project": project}).SetValidFor(time.Hour).ToJWT()
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusCreated)
		if err := json.NewEncoder(w).Encode(answer{url, token}); err != nil {
			return // the client has gone
		}
	})
	return server.Serve(listener)
}
