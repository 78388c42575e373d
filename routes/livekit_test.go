package routes_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/livekit/protocol/auth"
	"github.com/livekit/protocol/livekit"
	"github.com/twitchtv/twirp"
)

// fakeLiveKit is LiveKit's room, egress and ingress services in this process. Every project has the room
// "hall" with the participant "ann", who publishes the track TR_1; others are open
// once they were created.
type fakeLiveKit struct {
	livekit.RoomService
	mu    sync.Mutex
	rooms map[string]*livekit.Room
	// recorded are the egresses that rooms were created with.
	recorded map[string]*livekit.RoomEgress
	asked    []string
	data     *livekit.SendDataRequest
	update   *livekit.UpdateParticipantRequest
	// fails answers every call.
	fails   error
	egress  fakeEgress
	ingress fakeIngress
}

func startLiveKit(t testing.TB) (*fakeLiveKit, string) {
	t.Helper()
	f := &fakeLiveKit{rooms: map[string]*livekit.Room{}, recorded: map[string]*livekit.RoomEgress{}}
	rooms, egress, ingress := livekit.NewRoomServiceServer(f), livekit.NewEgressServer(&f.egress), livekit.NewIngressServer(&f.ingress)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, err := auth.ParseAPIToken(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
		if err == nil {
			_, _, err = token.Verify(clusterSecret)
		}
		if err != nil {
			_ = twirp.WriteError(w, twirp.NewError(twirp.Unauthenticated, "invalid token"))
			return
		}
		if strings.HasPrefix(r.URL.Path, egress.PathPrefix()) {
			egress.ServeHTTP(w, r)
			return
		}
		if strings.HasPrefix(r.URL.Path, ingress.PathPrefix()) {
			ingress.ServeHTTP(w, r)
			return
		}
		rooms.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	return f, server.URL
}

// call notes a call and gives the error it ends with.
func (f *fakeLiveKit) call(what string) error {
	f.asked = append(f.asked, what)
	return f.fails
}

func (f *fakeLiveKit) open(name string) *livekit.Room {
	if r := f.rooms[name]; r != nil {
		return r
	}
	if strings.HasSuffix(name, "_hall") {
		return &livekit.Room{Name: name, Sid: "RM_hall", CreationTimeMs: 1_790_000_000_000, NumParticipants: 1, NumPublishers: 1}
	}
	return nil
}

func (f *fakeLiveKit) CreateRoom(_ context.Context, in *livekit.CreateRoomRequest) (*livekit.Room, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.call("CreateRoom " + in.Name); err != nil {
		return nil, err
	}
	r := &livekit.Room{Name: in.Name, Sid: "RM_" + in.Name, CreationTimeMs: time.Now().UnixMilli(), Metadata: in.Metadata,
		MaxParticipants: in.MaxParticipants, EmptyTimeout: in.EmptyTimeout, DepartureTimeout: in.DepartureTimeout}
	f.rooms[in.Name] = r
	if in.Egress != nil {
		f.recorded[in.Name] = in.Egress
	}
	return r, nil
}

func (f *fakeLiveKit) ListRooms(_ context.Context, in *livekit.ListRoomsRequest) (*livekit.ListRoomsResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.call("ListRooms " + strings.Join(in.Names, " ")); err != nil {
		return nil, err
	}
	out := &livekit.ListRoomsResponse{}
	for _, name := range in.Names {
		if r := f.open(name); r != nil {
			out.Rooms = append(out.Rooms, r)
		}
	}
	if len(in.Names) == 0 {
		for _, r := range f.rooms {
			out.Rooms = append(out.Rooms, r)
		}
	}
	return out, nil
}

func (f *fakeLiveKit) DeleteRoom(_ context.Context, in *livekit.DeleteRoomRequest) (*livekit.DeleteRoomResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.rooms, in.Room)
	return &livekit.DeleteRoomResponse{}, f.call("DeleteRoom " + in.Room)
}

func (f *fakeLiveKit) UpdateRoomMetadata(_ context.Context, in *livekit.UpdateRoomMetadataRequest) (*livekit.Room, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.call("UpdateRoomMetadata " + in.Room); err != nil {
		return nil, err
	}
	r := f.open(in.Room)
	r.Metadata = in.Metadata
	return r, nil
}

func (f *fakeLiveKit) participant(room, identity string) (*livekit.ParticipantInfo, error) {
	if f.open(room) == nil || identity != "ann" {
		return nil, twirp.NotFoundError("participant of " + room + " not found")
	}
	return &livekit.ParticipantInfo{Sid: "PA_1", Identity: identity, Name: "Ann", State: livekit.ParticipantInfo_ACTIVE, JoinedAtMs: 1_790_000_000_000,
		Attributes: map[string]string{"mood": "good", "pulse.project": "secret"}, IsPublisher: true,
		Permission: &livekit.ParticipantPermission{CanPublish: true, CanSubscribe: true, CanPublishSources: []livekit.TrackSource{livekit.TrackSource_SCREEN_SHARE}},
		Tracks:     []*livekit.TrackInfo{{Sid: "TR_1", Type: livekit.TrackType_VIDEO, Source: livekit.TrackSource_CAMERA, MimeType: "video/vp8", Width: 640, Height: 480}}}, nil
}

func (f *fakeLiveKit) ListParticipants(_ context.Context, in *livekit.ListParticipantsRequest) (*livekit.ListParticipantsResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p, err := f.participant(in.Room, "ann")
	if err != nil {
		return nil, err
	}
	return &livekit.ListParticipantsResponse{Participants: []*livekit.ParticipantInfo{p}}, f.call("ListParticipants")
}

func (f *fakeLiveKit) GetParticipant(_ context.Context, in *livekit.RoomParticipantIdentity) (*livekit.ParticipantInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fails != nil {
		return nil, f.fails
	}
	return f.participant(in.Room, in.Identity)
}

func (f *fakeLiveKit) RemoveParticipant(_ context.Context, in *livekit.RoomParticipantIdentity) (*livekit.RemoveParticipantResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return &livekit.RemoveParticipantResponse{}, f.call("RemoveParticipant " + in.Room + " " + in.Identity)
}

func (f *fakeLiveKit) UpdateParticipant(_ context.Context, in *livekit.UpdateParticipantRequest) (*livekit.ParticipantInfo, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.update = in
	return f.participant(in.Room, in.Identity)
}

func (f *fakeLiveKit) MutePublishedTrack(_ context.Context, in *livekit.MuteRoomTrackRequest) (*livekit.MuteRoomTrackResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !in.Muted {
		return nil, twirp.NewError(twirp.FailedPrecondition, "remote unmute not enabled for "+in.Room)
	}
	return &livekit.MuteRoomTrackResponse{Track: &livekit.TrackInfo{Sid: in.TrackSid, Muted: true, Type: livekit.TrackType_VIDEO}}, nil
}

func (f *fakeLiveKit) SendData(_ context.Context, in *livekit.SendDataRequest) (*livekit.SendDataResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.data = in
	return &livekit.SendDataResponse{}, f.fails
}

func (f *fakeLiveKit) MoveParticipant(_ context.Context, in *livekit.MoveParticipantRequest) (*livekit.MoveParticipantResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return &livekit.MoveParticipantResponse{}, f.call("MoveParticipant " + in.Room + " to " + in.DestinationRoom)
}

func (f *fakeLiveKit) ForwardParticipant(context.Context, *livekit.ForwardParticipantRequest) (*livekit.ForwardParticipantResponse, error) {
	return nil, twirp.NewError(twirp.Unimplemented, "not on this server")
}
