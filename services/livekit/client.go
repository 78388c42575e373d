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
	tokens  TokenAttributes
}

// NewClient makes a client of the first cluster; it connects when it is used.
// Participants it lists may have joined with a token of any of them.
func NewClient(clusters []Cluster) *Client {
	c := clusters[0]
	return &Client{
		tokens:  NewTokenAttributes(clusters),
		rooms:   lksdk.NewRoomServiceClient(c.URL, c.APIKey, c.APISecret.Reveal()),
		egress:  lksdk.NewEgressClient(c.URL, c.APIKey, c.APISecret.Reveal()),
		ingress: lksdk.NewIngressClient(c.URL, c.APIKey, c.APISecret.Reveal()),
	}
}

// probeRoom is a name no tenant's room has: theirs begin with a project id.
const probeRoom = "pulse-probe"

// Ping asks for a room that does not exist: the answer shows that the cluster
// is there and trusts our key. unavailable otherwise.
func (l *Client) Ping(ctx context.Context) error {
	if _, err := l.rooms.ListRooms(ctx, &livekit.ListRoomsRequest{Names: []string{probeRoom}}); err != nil {
		return models.Unavailable(err)
	}
	return nil
}
