package e2e_test

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"testing"

	"github.com/livekit/protocol/livekit"
	lksdk "github.com/livekit/server-sdk-go/v2"

	"pulse-control-plane/e2e/harness"
)

func TestProjectsWithTheSameRoomNameShareNoRoom(t *testing.T) {
	t.Parallel()
	in := install(t, harness.LiveKitOptions{})
	acme, globex := in.project(t, "acme"), in.project(t, "globex")
	// The same identities too: in one room LiveKit would disconnect the first of two.
	alice, bob := in.join(t, acme, "lobby", "alice"), in.join(t, acme, "lobby", "bob")
	otherAlice, otherBob := in.join(t, globex, "lobby", "alice"), in.join(t, globex, "lobby", "bob")

	ours, theirs := acme.ID()+"_lobby", globex.ID()+"_lobby"
	if got := slices.Sorted(maps.Keys(in.rooms(t))); !slices.Equal(got, slices.Sorted(slices.Values([]string{ours, theirs}))) {
		t.Fatalf("LiveKit has the rooms %q, want %q and %q", got, ours, theirs)
	}
	for _, room := range []string{ours, theirs} {
		if n := len(in.participants(t, room)); n != 2 {
			t.Errorf("LiveKit has %d participants in %s, want 2", n, room)
		}
	}

	// Data and media arrive in their own project only: the other project's would have arrived before.
	if _, err := otherAlice.PublishAudio("microphone", []byte("globex")); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, soon, "globex hears globex", func() error { return otherBob.HeardFrom("alice", []byte("globex")) })
	if err := otherAlice.SendData("chat", "of globex"); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, soon, "globex reads globex", received(otherBob, harness.Data{From: "alice", Topic: "chat", Payload: "of globex"}))
	if _, err := alice.PublishAudio("microphone", []byte("acme")); err != nil {
		t.Fatal(err)
	}
	if err := alice.SendData("chat", "of acme"); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, soon, "acme hears acme", func() error { return bob.HeardFrom("alice", []byte("acme")) })
	harness.Eventually(t, soon, "acme reads acme", received(bob, harness.Data{From: "alice", Topic: "chat", Payload: "of acme"}))

	for who, p := range map[string]*harness.Participant{"alice of acme": alice, "alice of globex": otherAlice} {
		harness.Eventually(t, soon, who+" sees bob alone", func() error {
			if got := p.Others(); !slices.Equal(got, []string{"bob"}) {
				return fmt.Errorf("sees %q", got)
			}
			return nil
		})
		if p.HearsAnything() || len(p.ReceivedData()) > 0 {
			t.Errorf("%s received data of the other project", who)
		}
	}
	if err := received(otherBob, harness.Data{From: "alice", Topic: "chat", Payload: "of globex"})(); err != nil {
		t.Errorf("bob of globex: %v", err)
	}
}

func TestATokenOpensOnlyTheRoomItNames(t *testing.T) {
	t.Parallel()
	in := install(t, harness.LiveKitOptions{})
	project := in.project(t, "acme")
	alice := in.join(t, project, "board", "alice")
	token := in.token(t, project, "lobby", "mallory")

	// The token names the room; LiveKit ignores a room in the request.
	status, text, err := in.LiveKit.Validate(t.Context(), token.ParticipantToken, url.Values{"room": {project.ID() + "_board"}})
	if err != nil || status != 200 {
		t.Fatalf("LiveKit answers mallory %d %s, %v", status, text, err)
	}
	mallory := harness.Join(t, token.ServerURL, token.ParticipantToken)
	if got, want := mallory.Room.Name(), project.ID()+"_lobby"; got != want {
		t.Errorf("mallory is in %q, want the token's room %q", got, want)
	}
	board := in.participants(t, project.ID()+"_board")
	if len(board) != 1 || board[0].Identity != "alice" {
		t.Errorf("in the board room LiveKit has %v, want alice alone", board)
	}
	if err := mallory.SendData("chat", "let me in"); err != nil {
		t.Fatal(err)
	}
	bob := in.join(t, project, "board", "bob")
	if err := bob.SendData("chat", "good morning"); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, soon, "alice reads bob and nothing of mallory", received(alice, harness.Data{From: "bob", Topic: "chat", Payload: "good morning"}))
}

func TestARoomAdminTokenAdministersOnlyItsOwnRoom(t *testing.T) {
	t.Parallel()
	in := install(t, harness.LiveKitOptions{})
	acme, globex := in.project(t, "acme"), in.project(t, "globex")
	in.join(t, acme, "lobby", "alice")
	in.join(t, acme, "board", "carol")
	in.join(t, globex, "lobby", "bob")
	token, err := in.API.CreateToken(t.Context(), harness.AsServer(acme), harness.TokenRequest{
		RoomName: "lobby", ParticipantIdentity: "admin", Grants: map[string]any{"roomAdmin": true},
	})
	if err != nil {
		t.Fatalf("create an administrator's token: %v", err)
	}
	rooms := bearer(t, in.LiveKit, token.ParticipantToken)

	own, err := rooms.ListParticipants(t.Context(), &livekit.ListParticipantsRequest{Room: acme.ID() + "_lobby"})
	if err != nil || len(own.GetParticipants()) != 1 {
		t.Errorf("in its own room the token shows %v, %v; want alice", own.GetParticipants(), err)
	}
	for _, room := range []string{acme.ID() + "_board", globex.ID() + "_lobby", "lobby"} {
		if _, err := rooms.ListParticipants(t.Context(), &livekit.ListParticipantsRequest{Room: room}); err == nil {
			t.Errorf("LiveKit shows the participants of %s to the administrator of another room", room)
		}
		if _, err := rooms.DeleteRoom(t.Context(), &livekit.DeleteRoomRequest{Room: room}); err == nil {
			t.Errorf("LiveKit lets the administrator of another room delete %s", room)
		}
	}
	if _, err := rooms.ListRooms(t.Context(), &livekit.ListRoomsRequest{}); err == nil {
		t.Error("LiveKit shows all tenants' rooms to the administrator of one room")
	}
	if _, err := rooms.CreateRoom(t.Context(), &livekit.CreateRoomRequest{Name: "elsewhere"}); err == nil {
		t.Error("LiveKit lets the administrator of one room create others")
	}
}

// bearer is LiveKit's room API, called with a token instead of the cluster's key.
func bearer(t *testing.T, l *harness.LiveKit, token string) *lksdk.RoomServiceClient {
	t.Helper()
	api, err := lksdk.NewLiveKitAPI(lksdk.WithURL(l.HTTPURL), lksdk.WithToken(token))
	if err != nil {
		t.Fatal(err)
	}
	return api.Room()
}
