package livekit

import (
	"context"
	"errors"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/twitchtv/twirp"

	"pulse-control-plane/models"
)

// CallTimeout bounds one call to the cluster.
const CallTimeout = 5 * time.Second

// Room is a room as the cluster lists it, under its qualified name.
type Room struct {
	Name, SID string
	CreatedAt time.Time
}

// Media is an egress, or a run of an ingress, as the cluster lists it.
type Media struct {
	RoomName, RoomSID string
	models.EventMedia
}

// Rooms lists every room of the cluster.
func (l *Client) Rooms(ctx context.Context) ([]Room, error) {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	list, err := l.lister.list(ctx)
	if err != nil {
		return nil, models.Unavailable(withoutKeys(err))
	}
	out := make([]Room, 0, len(list))
	for _, r := range list {
		out = append(out, Room{Name: r.Name, SID: r.SID, CreatedAt: r.CreatedAt})
	}
	return out, nil
}

// Participants lists the connected participants of a room, by its qualified name,
// and separately the sids of those that are still joining.
func (l *Client) Participants(ctx context.Context, room string) (active []models.EventParticipant, joining []string, err error) {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	list, err := l.rooms.ListParticipants(ctx, &livekit.ListParticipantsRequest{Room: room})
	if isGone(err) {
		return nil, nil, nil // the room ended after it was listed
	}
	if err != nil {
		return nil, nil, models.Unavailable(withoutKeys(err))
	}
	project, name, _ := models.SplitRoom(room)
	for _, p := range list.Participants {
		switch p.State {
		case livekit.ParticipantInfo_ACTIVE:
			found := models.EventParticipant{SID: p.Sid, Identity: models.KeptIdentity(p.Identity), Kind: p.Kind.String(), JoinedAt: Milliseconds(p.JoinedAtMs, p.JoinedAt),
				//lint:ignore SA1019 livekit/protocol's own IsDependent goes by these
				Recorder: p.Permission.GetRecorder(), Agent: p.Permission.GetAgent()}
			l.tokens.Authenticate(&found, project, name, p.Attributes[TokenAttribute])
			active = append(active, found)
		case livekit.ParticipantInfo_JOINING, livekit.ParticipantInfo_JOINED:
			joining = append(joining, p.Sid)
		case livekit.ParticipantInfo_DISCONNECTED:
		}
	}
	return active, joining, nil
}

// Egresses lists the active egresses.
func (l *Client) Egresses(ctx context.Context) ([]Media, error) {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	list, err := l.egress.ListEgress(ctx, &livekit.ListEgressRequest{Active: true})
	if err != nil {
		return nil, models.Unavailable(withoutKeys(err))
	}
	out := make([]Media, 0, len(list.Items))
	for _, e := range list.Items {
		out = append(out, Media{RoomName: e.RoomName, RoomSID: e.RoomId, EventMedia: *egressMedia(e)})
	}
	return out, nil
}

// Ingresses lists the active runs of ingresses.
func (l *Client) Ingresses(ctx context.Context) ([]Media, error) {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	list, err := l.ingress.ListIngress(ctx, &livekit.ListIngressRequest{})
	if err != nil {
		return nil, models.Unavailable(withoutKeys(err))
	}
	var out []Media
	for _, i := range list.Items {
		switch i.GetState().GetStatus() {
		case livekit.IngressState_ENDPOINT_BUFFERING, livekit.IngressState_ENDPOINT_PUBLISHING:
			out = append(out, Media{RoomName: i.RoomName, RoomSID: i.State.RoomId, EventMedia: *ingressMedia(i)})
		case livekit.IngressState_ENDPOINT_INACTIVE, livekit.IngressState_ENDPOINT_ERROR, livekit.IngressState_ENDPOINT_COMPLETE:
		}
	}
	return out, nil
}

// RemoveParticipant makes a participant leave a room, by its qualified name and by
// its identity as it is kept. A participant that is not there is not an error.
func (l *Client) RemoveParticipant(ctx context.Context, room, identity string) error {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	all := []string{identity}
	if models.IsShortened(identity) {
		list, err := l.rooms.ListParticipants(ctx, &livekit.ListParticipantsRequest{Room: room})
		if err != nil && !isGone(err) {
			return models.Unavailable(withoutKeys(err))
		}
		all = nil
		for _, p := range list.GetParticipants() {
			if models.KeptIdentity(p.Identity) == identity {
				all = append(all, p.Identity)
			}
		}
	}
	for _, identity := range all {
		if _, err := l.rooms.RemoveParticipant(ctx, &livekit.RoomParticipantIdentity{Room: room, Identity: identity}); err != nil && !isGone(err) {
			return models.Unavailable(withoutKeys(err))
		}
	}
	return nil
}

// EndRoom closes a room, by its qualified name. A room that is not there is not an
// error.
func (l *Client) EndRoom(ctx context.Context, room string) error {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	if _, err := l.rooms.DeleteRoom(ctx, &livekit.DeleteRoomRequest{Room: room}); err != nil && !isGone(err) {
		return models.Unavailable(withoutKeys(err))
	}
	return nil
}

// StopEgress stops an egress. One that has already ended is not an error.
func (l *Client) StopEgress(ctx context.Context, id string) error {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	_, err := l.egress.StopEgress(ctx, &livekit.StopEgressRequest{EgressId: id})
	if err != nil && !isGone(err) && !isOver(err) {
		return models.Unavailable(withoutKeys(err))
	}
	return nil
}

// isOver recognizes LiveKit's answer that an egress can't be stopped any more.
func isOver(err error) bool {
	var e twirp.Error
	return errors.As(err, &e) && e.Code() == twirp.FailedPrecondition
}

// isGone recognizes LiveKit's answer that the object does not exist.
func isGone(err error) bool {
	var e twirp.Error
	return errors.As(err, &e) && e.Code() == twirp.NotFound
}

// converted gives the items of a list of LiveKit as Pulse's.
func converted[Item, State any](list []Item, to func(Item) State) []State {
	out := make([]State, 0, len(list))
	for _, item := range list {
		out = append(out, to(item))
	}
	return out
}

// first gives the only item of a list that was asked for one; not_found without it.
func first[State any](list []State, err error) (none State, _ error) {
	if err == nil && len(list) == 0 {
		err = models.NotFound()
	}
	if err != nil {
		return none, err
	}
	return list[0], nil
}
