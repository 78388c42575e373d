package livekit

import (
	"context"

	"github.com/livekit/protocol/livekit"
	lksdk "github.com/livekit/server-sdk-go/v2"

	"pulse-control-plane/models"
)

// Client speaks to a cluster's server API.
type Client struct {
	rooms   *lksdk.RoomServiceClient
	egress  *lksdk.EgressClient
	ingress *lksdk.IngressClient
}

// NewClient makes a client that connects when it is first used.
func NewClient(c Cluster) *Client {
	return &Client{
		rooms:   lksdk.NewRoomServiceClient(c.URL, c.APIKey, c.APISecret.Reveal()),
		egress:  lksdk.NewEgressClient(c.URL, c.APIKey, c.APISecret.Reveal()),
		ingress: lksdk.NewIngressClient(c.URL, c.APIKey, c.APISecret.Reveal()),
	}
}

// probeRoom is not the name of a tenant's room: those start with a project id.
const probeRoom = "pulse-probe"

// Ping asks for a room that does not exist: the response shows that the cluster
// answers and accepts the key. unavailable otherwise.
func (l *Client) Ping(ctx context.Context) error {
	if _, err := l.rooms.ListRooms(ctx, &livekit.ListRoomsRequest{Names: []string{probeRoom}}); err != nil {
		return models.Unavailable(err)
	}
	return nil
}
