package livekit

import (
	"context"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/livekit/protocol/livekit"
	"github.com/twitchtv/twirp"

	"pulse-control-plane/models"
	"pulse-control-plane/utils/secret"
)

// fullRoom is a cluster of one room; it removes those it has.
type fullRoom struct {
	livekit.RoomService
	people []string
}

func (f *fullRoom) ListParticipants(context.Context, *livekit.ListParticipantsRequest) (*livekit.ListParticipantsResponse, error) {
	out := new(livekit.ListParticipantsResponse)
	for _, name := range f.people {
		out.Participants = append(out.Participants, &livekit.ParticipantInfo{Sid: "PA_" + name[:3], Identity: name, State: livekit.ParticipantInfo_ACTIVE})
	}
	return out, nil
}

func (f *fullRoom) RemoveParticipant(_ context.Context, in *livekit.RoomParticipantIdentity) (*livekit.RemoveParticipantResponse, error) {
	at := slices.Index(f.people, in.Identity)
	if at < 0 {
		return nil, twirp.NotFoundError("participant")
	}
	f.people = slices.Delete(f.people, at, at+1)
	return new(livekit.RemoveParticipantResponse), nil
}

func TestAParticipantIsRemovedByItsKeptIdentityAndNobodyElse(t *testing.T) {
	long := "ann#" + strings.Repeat("x", 5000)
	room := &fullRoom{people: []string{"ann", "bob", long + "1", long + "2"}}
	server := httptest.NewServer(livekit.NewRoomServiceServer(room))
	defer server.Close()
	c := NewClient([]Cluster{{Name: "default", URL: "wss://x.example.com", APIURL: server.URL, APIKey: "API", APISecret: secret.New("secret")}}, nil)
	listed, _, err := c.Participants(t.Context(), "prj_1_hall")
	if err != nil || len(listed) != 4 {
		t.Fatal(listed, err)
	}
	for i, who := range listed {
		if who.Identity != models.KeptIdentity(room.people[i]) {
			t.Errorf("%s is listed with an identity of %d bytes", who.SID, len(who.Identity))
		}
	}
	for _, gone := range []models.EventParticipant{listed[2], listed[1], {Identity: models.KeptIdentity(long + "3")}} {
		if err := c.RemoveParticipant(t.Context(), "prj_1_hall", gone.Identity); err != nil {
			t.Error(err)
		}
	}
	if !slices.Equal(room.people, []string{"ann", long + "2"}) {
		t.Errorf("%d remain", len(room.people))
	}
}

func TestNoTwoIdentitiesAreKeptAsOne(t *testing.T) {
	seen := map[string]string{}
	for _, length := range []int{1, 256, 1023, 1024, 1025, 1088, 5000} {
		for _, text := range []string{strings.Repeat("x", length), strings.Repeat("x", length-1) + "y", strings.Repeat("ü", length/2+1)} {
			kept := models.KeptIdentity(text)
			for _, name := range []string{text, kept} { // a bearer may choose what another is shortened to
				as := models.KeptIdentity(name)
				if before, known := seen[as]; known && before != name {
					t.Errorf("two of %d and %d bytes are one", len(before), len(name))
				}
				seen[as] = name
			}
		}
	}
}
