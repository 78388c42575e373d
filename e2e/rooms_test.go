package e2e_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/livekit/protocol/livekit"

	"pulse-control-plane/e2e/harness"
)

// soon bounds every wait. LiveKit announces participants who publish nothing only every three seconds.
const soon = 15 * time.Second

// frame is the payload of the tests' audio tracks; any bytes work.
var frame = []byte{0xf8, 0xff, 0xfe, 'p', 'u', 'l', 's', 'e'}

func TestParticipantsWithPulseTokensPublishAndExchangeData(t *testing.T) {
	t.Parallel()
	in := install(t, harness.LiveKitOptions{})
	project := in.project(t, "acme")
	alice := in.join(t, project, "standup", "alice")
	bob := in.join(t, project, "standup", "bob")

	if _, err := alice.PublishAudio("microphone", frame); err != nil {
		t.Fatalf("publish: %v", err)
	}
	harness.Eventually(t, soon, "bob hears alice", func() error { return bob.HeardFrom("alice", frame) })
	harness.Eventually(t, soon, "both see each other", func() error {
		if a, b := alice.Others(), bob.Others(); !slices.Equal(a, []string{"bob"}) || !slices.Equal(b, []string{"alice"}) {
			return fmt.Errorf("alice sees %q, bob sees %q", a, b)
		}
		return nil
	})

	if err := alice.SendData("chat", "hello"); err != nil {
		t.Fatalf("alice sends: %v", err)
	}
	harness.Eventually(t, soon, "bob gets alice's message", received(bob, harness.Data{From: "alice", Topic: "chat", Payload: "hello"}))
	if err := bob.SendData("chat", "hello yourself"); err != nil {
		t.Fatalf("bob sends: %v", err)
	}
	harness.Eventually(t, soon, "alice gets bob's answer", received(alice, harness.Data{From: "bob", Topic: "chat", Payload: "hello yourself"}))
}

func TestLiveKitShowsTheParticipantAsTheTokenDescribesIt(t *testing.T) {
	t.Parallel()
	in := install(t, harness.LiveKitOptions{})
	project := in.project(t, "acme")
	token, err := in.API.CreateToken(t.Context(), harness.AsServer(project), harness.TokenRequest{
		RoomName: "standup", ParticipantIdentity: "alice", ParticipantName: "Alice A.", ParticipantMetadata: `{"desk":3}`,
		Attributes: map[string]string{"team": "blue"}, RoomConfig: []byte(`{"metadata":"daily","max_participants":2}`),
	})
	if err != nil {
		t.Fatalf("create a token: %v", err)
	}
	harness.Join(t, token.ServerURL, token.ParticipantToken)

	people := in.participants(t, project.ID()+"_standup")
	if len(people) != 1 {
		t.Fatalf("LiveKit shows %d participants, want alice alone", len(people))
	}
	got := people[0]
	if got.Identity != "alice" || got.Name != "Alice A." || got.Metadata != `{"desk":3}` {
		t.Errorf("LiveKit shows identity %q, name %q, metadata %q", got.Identity, got.Name, got.Metadata)
	}
	if got.Attributes["team"] != "blue" || got.Attributes["pulse.project"] != project.ID() {
		t.Errorf("LiveKit shows the attributes %v, want the caller's and pulse.project", got.Attributes)
	}
	room := in.rooms(t)[project.ID()+"_standup"]
	if room.GetMetadata() != "daily" || room.GetMaxParticipants() != 2 {
		t.Errorf("LiveKit's room is %v, want the token's room_config applied", room)
	}
}

func TestGeneratedNamesAreValidForJoining(t *testing.T) {
	t.Parallel()
	in := install(t, harness.LiveKitOptions{})
	project := in.project(t, "acme")
	token, err := in.API.CreateToken(t.Context(), harness.AsClient(project), harness.TokenRequest{})
	if err != nil {
		t.Fatalf("create a token: %v", err)
	}
	p := harness.Join(t, token.ServerURL, token.ParticipantToken)
	if token.ParticipantIdentity == "" || p.Identity() != token.ParticipantIdentity {
		t.Errorf("joined as %q, the response says %q", p.Identity(), token.ParticipantIdentity)
	}
	if token.RoomName == "" || p.Room.Name() != project.ID()+"_"+token.RoomName {
		t.Errorf("joined the room %q, the response says %q of project %s", p.Room.Name(), token.RoomName, project.ID())
	}
}

func TestRoomsContinueAndProjectsRemainWhenPulseIsKilled(t *testing.T) {
	t.Parallel()
	in := install(t, harness.LiveKitOptions{})
	project := in.project(t, "acme")
	alice := in.join(t, project, "standup", "alice")
	if err := in.Pulse.Kill(); err != nil {
		t.Fatal(err)
	}
	in.Pulse.Restart(t)
	bob := in.join(t, project, "standup", "bob")
	if err := bob.SendData("chat", "back again"); err != nil {
		t.Fatalf("bob sends: %v", err)
	}
	harness.Eventually(t, soon, "alice hears of bob", received(alice, harness.Data{From: "bob", Topic: "chat", Payload: "back again"}))
}

// received checks that p got exactly the packets want, in this order.
func received(p *harness.Participant, want ...harness.Data) func() error {
	return func() error {
		if got := p.ReceivedData(); !slices.Equal(got, want) {
			return fmt.Errorf("received %+v, want %+v", got, want)
		}
		return nil
	}
}

// rooms are all rooms of the LiveKit server by their qualified name.
func (i *installation) rooms(t *testing.T) map[string]*livekit.Room {
	t.Helper()
	list, err := i.LiveKit.Rooms().ListRooms(t.Context(), &livekit.ListRoomsRequest{})
	if err != nil {
		t.Fatalf("list LiveKit's rooms: %v", err)
	}
	rooms := map[string]*livekit.Room{}
	for _, room := range list.GetRooms() {
		rooms[room.GetName()] = room
	}
	return rooms
}

// participants are all participants of one of LiveKit's rooms.
func (i *installation) participants(t *testing.T, room string) []*livekit.ParticipantInfo {
	t.Helper()
	list, err := i.LiveKit.Rooms().ListParticipants(t.Context(), &livekit.ListParticipantsRequest{Room: room})
	if err != nil {
		t.Fatalf("list the participants of %s: %v", room, err)
	}
	return list.GetParticipants()
}
