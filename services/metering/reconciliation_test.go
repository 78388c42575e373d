package metering

import (
	"context"
	"errors"
	"testing"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/database/testkit"
	"pulse-control-plane/models"
	"pulse-control-plane/services/livekit"
)

// fakeCluster lists what a test sets.
type fakeCluster struct {
	rooms        []livekit.Room
	people       map[string][]models.EventParticipant
	joining      map[string][]string
	egresses     []livekit.Media
	ingresses    []livekit.Media
	away         bool
	roomsAway    map[string]bool
	egressesAway bool
}

var errAway = models.Unavailable(errors.New("away"))

func (c *fakeCluster) Rooms(context.Context) ([]livekit.Room, error) {
	if c.away {
		return nil, errAway
	}
	return c.rooms, nil
}

func (c *fakeCluster) Participants(_ context.Context, room string) ([]models.EventParticipant, []string, error) {
	if c.roomsAway[room] {
		return nil, nil, errAway
	}
	return c.people[room], c.joining[room], nil
}

func (c *fakeCluster) Egresses(context.Context) ([]livekit.Media, error) {
	if c.egressesAway {
		return nil, errAway
	}
	return c.egresses, nil
}

func (c *fakeCluster) Ingresses(context.Context) ([]livekit.Media, error) { return c.ingresses, nil }

// compared is a rig with a room, participant ann and a recording, both on the
// cluster and as usage sessions.
func compared(t *testing.T) (*rig, *fakeCluster, func()) {
	t.Helper()
	r := newRig(t)
	room := models.QualifyRoom(testProject, "daily")
	begin := r.now.Add(-time.Hour)
	ann := models.EventParticipant{SID: "PA_ann", Identity: "ann", Kind: "STANDARD", JoinedAt: begin}
	recording := models.EventMedia{ID: "EG_1", StartedAt: begin}
	e := models.LiveKitEvent{ProjectID: testProject, RoomName: "daily", RoomSID: "RM_1", RoomCreatedAt: begin, RoomKey: room,
		CreatedAt: begin, ReceivedAt: begin}
	joined, recorded := e, e
	joined.ID, joined.Event, joined.Participant = "EV_1", models.EventParticipantJoined, &ann
	recorded.ID, recorded.Event, recorded.Media = "EV_2", models.EventEgressStarted, &recording
	r.keep([]models.LiveKitEvent{joined, recorded})
	c := &fakeCluster{rooms: []livekit.Room{{Name: room, SID: "RM_1", CreatedAt: begin}, {Name: "not ours", SID: "RM_x"}},
		people: map[string][]models.EventParticipant{room: {ann}}, joining: map[string][]string{}, roomsAway: map[string]bool{},
		egresses: []livekit.Media{{RoomName: room, RoomSID: "RM_1", EventMedia: recording}}}
	w := r.worker("one")
	reconciliation := r.reconciliation(c)
	compare := func() {
		t.Helper()
		if err := r.drain(w); err != nil {
			t.Fatal(err)
		}
		if err := reconciliation.Compare(context.Background()); err != nil && !c.away {
			t.Fatal(err)
		}
		if err := r.drain(w); err != nil {
			t.Fatal(err)
		}
		r.now = r.now.Add(30 * time.Second)
	}
	return r, c, compare
}

func (r *rig) session(id string) *models.UsageSession {
	r.t.Helper()
	s, err := r.sessions.Get(context.Background(), testProject, id)
	if err != nil {
		r.t.Fatalf("%s: %v", id, err)
	}
	return &s
}

func TestListedSessionsRemainOpen(t *testing.T) {
	r, _, compare := compared(t)
	compare()
	compare()
	for _, id := range []string{"PA_ann", "RM_1", "EG_1"} {
		if s := r.session(id); !s.Open || len(s.Observed.CorrectedBy) != 0 {
			t.Errorf("%s: open %v, corrected by %v", id, s.Open, s.Observed.CorrectedBy)
		}
	}
}

func TestAMissingParticipantIsClosedAtTheLastSightingByACorrection(t *testing.T) {
	r, c, compare := compared(t)
	compare()
	lastSeen := r.now
	compare()
	c.people = nil
	compare()
	s := r.session("PA_ann")
	if s.Open || !s.LeftAt.Equal(lastSeen) || s.EndReason != models.EndedByReconciliation {
		t.Fatalf("left at %v (%s), last seen at %v", s.LeftAt, s.EndReason, lastSeen)
	}
	proof, err := r.events.Get(context.Background(), testProject, s.EventIDs)
	if err != nil || len(proof) != 2 || len(s.EventIDs) != 2 {
		t.Errorf("proved by %v (%v)", s.EventIDs, err)
	}
	if !r.session("RM_1").Open || !r.session("EG_1").Open {
		t.Error("listed sessions were closed too")
	}
}

func TestAPendingCorrectionKeepsItsLastSighting(t *testing.T) {
	r, c, compare := compared(t)
	compare()
	lastSeen := r.now
	compare()
	c.people = nil
	reconciliation := r.reconciliation(c)
	for range 3 { // no worker processes the corrections
		if err := reconciliation.Compare(context.Background()); err != nil {
			t.Fatal(err)
		}
		r.now = r.now.Add(30 * time.Second)
	}
	compare()
	if s := r.session("PA_ann"); s.Open || !s.LeftAt.Equal(lastSeen) || len(s.Observed.CorrectedBy) != 1 {
		t.Errorf("left at %v, last seen at %v, corrected by %v", s.LeftAt, lastSeen, s.Observed.CorrectedBy)
	}
}

func TestALateJoinEventIsNotExtendedToEarlierSightings(t *testing.T) {
	r, c, compare := compared(t)
	compare()
	compare()
	joined := r.now.Add(-50 * time.Second) // and left before the last comparison; the leave event is lost
	r.keep([]models.LiveKitEvent{{ID: "EV_late", Event: models.EventParticipantJoined, ProjectID: testProject, RoomName: "daily",
		RoomSID: "RM_1", RoomKey: c.rooms[0].Name, CreatedAt: joined, ReceivedAt: joined,
		Participant: &models.EventParticipant{SID: "PA_eve", Identity: "eve", Kind: "STANDARD", JoinedAt: joined}}})
	compare()
	if s := r.session("PA_eve"); s.Open || !s.LeftAt.Equal(joined) {
		t.Errorf("there from %v to %v, though the comparison in between did not see it", s.JoinedAt, s.LeftAt)
	}
}

func TestAMissingRoomClosesItsParticipants(t *testing.T) {
	r, c, compare := compared(t)
	compare()
	c.rooms, c.people, c.egresses = nil, nil, nil
	compare()
	for _, id := range []string{"PA_ann", "RM_1", "EG_1"} {
		if s := r.session(id); s.Open || s.EndReason != models.EndedByReconciliation {
			t.Errorf("%s: open %v (%s)", id, s.Open, s.EndReason)
		}
	}
}

func TestAnUnreachableClusterClosesNothing(t *testing.T) {
	r, c, compare := compared(t)
	compare()
	room := c.rooms[0].Name
	c.people, c.egresses = nil, nil
	c.roomsAway[room], c.egressesAway = true, true
	compare()
	c.away = true
	compare()
	for _, id := range []string{"PA_ann", "RM_1", "EG_1"} {
		if s := r.session(id); !s.Open {
			t.Errorf("%s was closed by an unreadable list", id)
		}
	}
	c.away, c.roomsAway[room] = false, false
	compare()
	if r.session("PA_ann").Open || !r.session("EG_1").Open {
		t.Error("the list that was read closes, the other does not")
	}
}

func TestAListedParticipantWithoutAnEventIsOpenedFromItsJoinTime(t *testing.T) {
	r, c, compare := compared(t)
	compare()
	room := c.rooms[0].Name
	joined := r.now.Add(-10 * time.Second)
	bob := models.EventParticipant{SID: "PA_bob", Identity: "bob", Kind: "STANDARD", JoinedAt: joined}
	c.people[room] = append(c.people[room], bob)
	compare()
	if s := r.session("PA_bob"); !s.Open || !s.JoinedAt.Equal(joined) || s.Identity != "bob" || len(s.EventIDs) != 1 {
		t.Fatalf("%+v", s)
	}
	compare() // a second comparison adds nothing
	if s := r.session("PA_bob"); len(s.EventIDs) != 1 {
		t.Errorf("corrected by %v", s.EventIDs)
	}
}

func TestAParticipantFoundOnceIsMeteredUpToThatSighting(t *testing.T) {
	r, c, compare := compared(t)
	compare()
	room := c.rooms[0].Name
	joined, found := r.now.Add(-20*time.Second), r.now
	before := c.people[room]
	c.people[room] = append(before, models.EventParticipant{SID: "PA_bob", Identity: "bob", Kind: "STANDARD", JoinedAt: joined})
	reconciliation := r.reconciliation(c)
	if err := reconciliation.Compare(context.Background()); err != nil {
		t.Fatal(err)
	}
	r.now = r.now.Add(2 * time.Millisecond) // the correction is processed after the list was read
	c.people[room] = before
	compare()
	if s := r.session("PA_bob"); s.Open || !s.JoinedAt.Equal(joined) || !s.LeftAt.Equal(found) {
		t.Errorf("there from %v to %v, found at %v", s.JoinedAt, s.LeftAt, found)
	}
}

func TestAJoiningParticipantIsNotClosed(t *testing.T) {
	r, c, compare := compared(t)
	compare()
	room := c.rooms[0].Name
	c.people[room], c.joining[room] = nil, []string{"PA_ann"}
	compare()
	if !r.session("PA_ann").Open {
		t.Error("closed")
	}
}

func TestAWronglyClosedParticipantReopensWhenListedAgain(t *testing.T) {
	r, c, compare := compared(t)
	compare()
	people := c.people
	c.people = nil
	compare()
	c.people = people
	compare()
	if s := r.session("PA_ann"); !s.Open {
		t.Errorf("closed at %v (%s)", s.LeftAt, s.EndReason)
	}
}

func (r *rig) reconciliation(c Lists) *Reconciliation {
	return testkit.Must[*Reconciliation](r.t)(NewReconciliation(ReconciliationConfig{
		Clusters: func() []Cluster { return []Cluster{{Name: "default", Keys: []string{"devkey"}, Lists: c}} }, Inbox: r.inbox, Sessions: r.sessions, Sightings: database.NewSightings(r.engine)}))
}

func livekitRoom(name, sid string, created time.Time) livekit.Room {
	return livekit.Room{Name: name, SID: sid, CreatedAt: created}
}
