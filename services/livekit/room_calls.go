package livekit

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/twitchtv/twirp"

	"pulse-control-plane/models"
)

// RoomInfo is a room of a cluster, under its qualified name.
type RoomInfo struct {
	Name, SID, Metadata                             string
	NumParticipants, NumPublishers                  int
	MaxParticipants, EmptyTimeout, DepartureTimeout int64
	CreatedAt                                       time.Time
	ActiveRecording                                 bool
}

// RoomOptions are what a new room is created with; zero values are LiveKit's
// defaults. Timeouts are in seconds.
type RoomOptions struct {
	EmptyTimeout, DepartureTimeout, MaxParticipants *int64
	Metadata                                        string
	Tags                                            map[string]string
	// Recording is an egress of the type room_composite that starts with the room.
	Recording *EgressRequest
}

// ParticipantInfo is a participant of a room.
type ParticipantInfo struct {
	SID, Identity, Name, State, Kind, Metadata string
	Attributes                                 map[string]string
	Permission                                 models.VideoGrants
	IsPublisher                                bool
	JoinedAt                                   time.Time
	Tracks                                     []TrackInfo
}

// TrackInfo is a published track.
type TrackInfo struct {
	SID, Type, Source, Name, MimeType string
	Muted, Simulcast                  bool
	Width, Height                     int
}

// ParticipantUpdate changes what is not nil.
type ParticipantUpdate struct {
	Name, Metadata *string
	Attributes     map[string]string
	Permission     *models.VideoGrants
}

// ListRooms lists every room of the cluster. Errors are those of called.
func (l *Client) ListRooms(ctx context.Context) ([]ListedRoom, error) {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	list, err := l.lister.list(ctx)
	return list, called(err)
}

// GetRoom reads a room, by its qualified name; not_found if it is not open.
func (l *Client) GetRoom(ctx context.Context, room string) (RoomInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	list, err := l.rooms.ListRooms(ctx, &livekit.ListRoomsRequest{Names: []string{room}})
	if err != nil {
		return RoomInfo{}, called(err)
	}
	if len(list.Rooms) == 0 {
		return RoomInfo{}, models.NotFound()
	}
	return roomInfo(list.Rooms[0]), nil
}

// CreateRoom opens a room. LiveKit answers with the one that is open, if there is
// one, and leaves it as it is.
func (l *Client) CreateRoom(ctx context.Context, room string, o RoomOptions) (RoomInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	ask := &livekit.CreateRoomRequest{Name: room, Metadata: o.Metadata, Tags: o.Tags}
	if o.EmptyTimeout != nil {
		ask.EmptyTimeout = uint32(*o.EmptyTimeout)
	}
	if o.DepartureTimeout != nil {
		ask.DepartureTimeout = uint32(*o.DepartureTimeout)
	}
	if o.MaxParticipants != nil {
		ask.MaxParticipants = uint32(*o.MaxParticipants)
	}
	if o.Recording != nil {
		ask.Egress = &livekit.RoomEgress{Room: roomComposite(o.Recording)}
	}
	r, err := l.rooms.CreateRoom(ctx, ask)
	if err != nil {
		return RoomInfo{}, called(err)
	}
	return roomInfo(r), nil
}

// UpdateRoomMetadata replaces a room's metadata.
func (l *Client) UpdateRoomMetadata(ctx context.Context, room, metadata string) (RoomInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	r, err := l.rooms.UpdateRoomMetadata(ctx, &livekit.UpdateRoomMetadataRequest{Room: room, Metadata: metadata})
	if err != nil {
		return RoomInfo{}, called(err)
	}
	return roomInfo(r), nil
}

// DeleteRoom ends a room; not_found if it is not open.
func (l *Client) DeleteRoom(ctx context.Context, room string) error {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	_, err := l.rooms.DeleteRoom(ctx, &livekit.DeleteRoomRequest{Room: room})
	return called(err)
}

// ListParticipants lists the participants of a room; not_found if it is not open.
func (l *Client) ListParticipants(ctx context.Context, room string) ([]ParticipantInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	list, err := l.rooms.ListParticipants(ctx, &livekit.ListParticipantsRequest{Room: room})
	if err != nil {
		return nil, called(err)
	}
	out := make([]ParticipantInfo, 0, len(list.Participants))
	for _, p := range list.Participants {
		out = append(out, participantInfo(p))
	}
	return out, nil
}

// GetParticipant reads a participant, or not_found.
func (l *Client) GetParticipant(ctx context.Context, room, identity string) (ParticipantInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	p, err := l.rooms.GetParticipant(ctx, &livekit.RoomParticipantIdentity{Room: room, Identity: identity})
	if err != nil {
		return ParticipantInfo{}, called(err)
	}
	return participantInfo(p), nil
}

// KickParticipant has a participant leave a room; not_found if it is not there.
func (l *Client) KickParticipant(ctx context.Context, room, identity string) error {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	_, err := l.rooms.RemoveParticipant(ctx, &livekit.RoomParticipantIdentity{Room: room, Identity: identity})
	return called(err)
}

// UpdateParticipant changes a participant.
func (l *Client) UpdateParticipant(ctx context.Context, room, identity string, u ParticipantUpdate) (ParticipantInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	ask := &livekit.UpdateParticipantRequest{Room: room, Identity: identity, Attributes: u.Attributes}
	if u.Name != nil {
		ask.Name = *u.Name
	}
	if u.Metadata != nil {
		ask.Metadata = *u.Metadata
	}
	if g := u.Permission; g != nil {
		ask.Permission = permission(g)
	}
	p, err := l.rooms.UpdateParticipant(ctx, ask)
	if err != nil {
		return ParticipantInfo{}, called(err)
	}
	return participantInfo(p), nil
}

// MuteTrack mutes or unmutes a published track. conflict where the server does not
// allow unmuting.
func (l *Client) MuteTrack(ctx context.Context, room, identity, track string, muted bool) (TrackInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	out, err := l.rooms.MutePublishedTrack(ctx, &livekit.MuteRoomTrackRequest{Room: room, Identity: identity, TrackSid: track, Muted: muted})
	if err != nil {
		return TrackInfo{}, called(err)
	}
	return trackInfo(out.GetTrack()), nil
}

// SendData sends data to the participants of a room, or to those named.
func (l *Client) SendData(ctx context.Context, room string, data []byte, topic string, identities []string) error {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	ask := &livekit.SendDataRequest{Room: room, Data: data, Kind: livekit.DataPacket_RELIABLE, DestinationIdentities: identities}
	if topic != "" {
		ask.Topic = &topic
	}
	_, err := l.rooms.SendData(ctx, ask)
	return called(err)
}

// MoveParticipant moves a participant to another room of the cluster.
func (l *Client) MoveParticipant(ctx context.Context, room, identity, destination string) error {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	_, err := l.rooms.MoveParticipant(ctx, &livekit.MoveParticipantRequest{Room: room, Identity: identity, DestinationRoom: destination})
	return called(err)
}

// ForwardParticipant shows a participant's tracks in another room too.
func (l *Client) ForwardParticipant(ctx context.Context, room, identity, destination string) error {
	ctx, cancel := context.WithTimeout(ctx, CallTimeout)
	defer cancel()
	_, err := l.rooms.ForwardParticipant(ctx, &livekit.ForwardParticipantRequest{Room: room, Identity: identity, DestinationRoom: destination})
	return called(err)
}

// called turns LiveKit's answer into an error of Pulse: not_found; conflict for
// what the present state does not allow; invalid; not_supported by the server;
// internal if the cluster does not accept Pulse's key; otherwise unavailable. The
// cluster's own text stays in the cause: it may hold qualified names.
func called(err error) error {
	var e twirp.Error
	err = withoutKeys(err)
	switch {
	case err == nil:
		return nil
	case !errors.As(err, &e) || fromProxy(e):
		return models.Unavailable(err)
	}
	switch e.Code() {
	case twirp.NotFound:
		return models.NotFound()
	case twirp.FailedPrecondition, twirp.AlreadyExists, twirp.Aborted:
		return models.Conflict("failed_precondition", "LiveKit does not allow this in the present state.").Because(err)
	case twirp.InvalidArgument, twirp.Malformed, twirp.OutOfRange:
		return models.Conflict("invalid_for_livekit", "LiveKit does not accept these values.").Because(err)
	case twirp.Unimplemented, twirp.BadRoute:
		return models.NewError(models.KindNotSupported, "not_supported", "The LiveKit server does not support this.").Because(err)
	case twirp.PermissionDenied, twirp.Unauthenticated:
		return models.Internal(err)
	}
	return models.Unavailable(err)
}

func roomInfo(r *livekit.Room) RoomInfo {
	return RoomInfo{
		Name: r.Name, SID: r.Sid, Metadata: r.Metadata, NumParticipants: int(r.NumParticipants), NumPublishers: int(r.NumPublishers),
		MaxParticipants: int64(r.MaxParticipants), EmptyTimeout: int64(r.EmptyTimeout), DepartureTimeout: int64(r.DepartureTimeout),
		CreatedAt: roomCreation(r), ActiveRecording: r.ActiveRecording,
	}
}

func participantInfo(p *livekit.ParticipantInfo) ParticipantInfo {
	out := ParticipantInfo{
		SID: p.Sid, Identity: p.Identity, Name: p.Name, State: strings.ToLower(p.State.String()), Kind: p.Kind.String(), Metadata: p.Metadata,
		Attributes: map[string]string{}, IsPublisher: p.IsPublisher, JoinedAt: Milliseconds(p.JoinedAtMs, p.JoinedAt),
	}
	for name, value := range p.Attributes {
		if !strings.HasPrefix(name, reservedAttributes) {
			out.Attributes[name] = value
		}
	}
	if g := p.Permission; g != nil {
		set := func(b bool) *bool { return &b }
		out.Permission = models.VideoGrants{CanPublish: set(g.CanPublish), CanSubscribe: set(g.CanSubscribe), CanPublishData: set(g.CanPublishData),
			CanUpdateOwnMetadata: set(g.CanUpdateMetadata), Hidden: set(g.Hidden)}
		for _, s := range g.CanPublishSources {
			out.Permission.CanPublishSources = append(out.Permission.CanPublishSources, strings.ToLower(s.String()))
		}
	}
	for _, t := range p.Tracks {
		out.Tracks = append(out.Tracks, trackInfo(t))
	}
	return out
}

// reservedAttributes begin the names of attributes that only Pulse sets.
const reservedAttributes = "pulse."

func trackInfo(t *livekit.TrackInfo) TrackInfo {
	if t == nil {
		return TrackInfo{}
	}
	out := TrackInfo{SID: t.Sid, Type: strings.ToLower(t.Type.String()), Source: strings.ToLower(t.Source.String()), Name: t.Name,
		MimeType: t.MimeType, Muted: t.Muted, Width: int(t.Width), Height: int(t.Height)}
	//lint:ignore SA1019 servers still send it
	out.Simulcast = t.Simulcast
	return out
}

// permission is LiveKit's form of what a participant may do.
func permission(g *models.VideoGrants) *livekit.ParticipantPermission {
	out := &livekit.ParticipantPermission{CanSubscribe: models.IsSet(g.CanSubscribe), CanPublish: models.IsSet(g.CanPublish),
		CanPublishData: models.IsSet(g.CanPublishData), CanUpdateMetadata: models.IsSet(g.CanUpdateOwnMetadata), Hidden: models.IsSet(g.Hidden)}
	for _, s := range g.CanPublishSources {
		if source, ok := livekit.TrackSource_value[strings.ToUpper(s)]; ok {
			out.CanPublishSources = append(out.CanPublishSources, livekit.TrackSource(source))
		}
	}
	return out
}
