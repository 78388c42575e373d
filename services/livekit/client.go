package livekit

import (
	"context"
	"errors"
	"net/http"

	"github.com/livekit/protocol/livekit"
	lksdk "github.com/livekit/server-sdk-go/v2"
	"github.com/twitchtv/twirp"

	"pulse-control-plane/models"
	"pulse-control-plane/utils/observe"
)

// Client speaks to a cluster's server API.
type Client struct {
	rooms   *lksdk.RoomServiceClient
	egress  *lksdk.EgressClient
	ingress *lksdk.IngressClient
	tokens  TokenAttributes
	lister  *roomLister
}

// NewClient makes a client of the first cluster, whose calls a recorder observes;
// nil observes none. It connects when it is used. Participants it lists may have
// joined with a token of any of the clusters' keys.
func NewClient(clusters []Cluster, r *observe.Recorder) *Client {
	c, observed := clusters[0], twirp.WithClientHooks(observedBy(r))
	r.Declare(system, []string{observe.OK, observe.Failed}, "CreateRoom", "DeleteRoom", "ListRooms", "UpdateRoomMetadata", "SendData",
		"GetParticipant", "ListParticipants", "RemoveParticipant", "MutePublishedTrack", "UpdateParticipant", "MoveParticipant", "ForwardParticipant",
		"ListEgress", "StopEgress", "ListIngress")
	return &Client{
		tokens:  NewTokenAttributes(clusters),
		lister:  newRoomLister(&c, r),
		rooms:   lksdk.NewRoomServiceClient(c.CallURL(), c.APIKey, c.APISecret.Reveal(), observed),
		egress:  lksdk.NewEgressClient(c.CallURL(), c.APIKey, c.APISecret.Reveal(), observed),
		ingress: lksdk.NewIngressClient(c.CallURL(), c.APIKey, c.APISecret.Reveal(), observed),
	}
}

// system is LiveKit in metrics and spans.
const system = "livekit"

// startedKey is the context's key of the call under way.
type startedKey struct{}

// observedBy reports every call to a recorder, as system "livekit". What is
// gone or over is a result, not a failure.
func observedBy(r *observe.Recorder) *twirp.ClientHooks {
	end := func(ctx context.Context, err error) {
		if call, ok := ctx.Value(startedKey{}).(observe.Started); ok {
			call.End(err)
		}
	}
	return &twirp.ClientHooks{
		RequestPrepared: func(ctx context.Context, _ *http.Request) (context.Context, error) {
			method, _ := twirp.MethodName(ctx)
			ctx, call := r.Start(ctx, observe.Operation{System: system, Name: method})
			return context.WithValue(ctx, startedKey{}, call), nil
		},
		ResponseReceived: func(ctx context.Context) { end(ctx, nil) },
		Error: func(ctx context.Context, err twirp.Error) {
			if isGone(err) || isOver(err) {
				end(ctx, nil)
				return
			}
			end(ctx, withoutKeys(err))
		},
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

// Load counts the rooms and participants of the cluster, of all tenants. The
// error is the cluster's.
func (l *Client) Load(ctx context.Context) (rooms, participants int, err error) {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	list, err := l.lister.list(ctx)
	for i := range list {
		participants += list[i].NumParticipants
	}
	return len(list), participants, err
}

// Refused recognizes LiveKit's answer to a key it does not trust.
func Refused(err error) bool {
	var e twirp.Error
	return errors.As(err, &e) && !fromProxy(e) && (e.Code() == twirp.Unauthenticated || e.Code() == twirp.PermissionDenied)
}
