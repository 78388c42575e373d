package metering

import (
	"context"
	"slices"
	"testing"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/database/testkit"
	"pulse-control-plane/models"
	"pulse-control-plane/services/livekit"
)

// several is a rig with a room, a participant and a recording on each of two
// clusters, "one" and "two", and compare as reconciliation does.
func several(t *testing.T) (r *rig, clusters map[string]*fakeCluster, compare func() error) {
	t.Helper()
	r, clusters = newRig(t), map[string]*fakeCluster{}
	begin := r.now.Add(-time.Hour)
	for _, name := range []string{"one", "two"} {
		room := models.QualifyRoom(testProject, name)
		person := models.EventParticipant{SID: "PA_" + name, Identity: "ann", Kind: "STANDARD", JoinedAt: begin}
		recording := models.EventMedia{ID: "EG_" + name, StartedAt: begin}
		e := models.LiveKitEvent{Cluster: "API" + name, ProjectID: testProject, RoomName: name, RoomSID: "RM_" + name, RoomCreatedAt: begin, RoomKey: room,
			CreatedAt: begin, ReceivedAt: begin}
		joined, recorded := e, e
		joined.ID, joined.Event, joined.Participant = "EV_joined_"+name, models.EventParticipantJoined, &person
		recorded.ID, recorded.Event, recorded.Media = "EV_recorded_"+name, models.EventEgressStarted, &recording
		r.keep([]models.LiveKitEvent{joined, recorded})
		clusters[name] = &fakeCluster{rooms: []livekit.Room{{Name: room, SID: e.RoomSID, CreatedAt: begin}},
			people: map[string][]models.EventParticipant{room: {person}}, roomsAway: map[string]bool{},
			egresses: []livekit.Media{{RoomName: room, RoomSID: e.RoomSID, EventMedia: recording}}}
	}
	w := r.worker("one")
	reconciliation := testkit.Must[*Reconciliation](t)(NewReconciliation(ReconciliationConfig{
		Clusters: func() (all []Cluster) {
			for _, name := range []string{"one", "two"} {
				if c := clusters[name]; c != nil {
					all = append(all, Cluster{Name: name, Keys: []string{"API" + name}, Lists: c})
				}
			}
			return all
		},
		Inbox: r.inbox, Sessions: r.sessions, Sightings: database.NewSightings(r.engine)}))
	r.compared = reconciliation
	return r, clusters, func() error {
		t.Helper()
		if err := r.drain(w); err != nil {
			t.Fatal(err)
		}
		err := reconciliation.Compare(context.Background())
		if err := r.drain(w); err != nil {
			t.Fatal(err)
		}
		r.now = r.now.Add(30 * time.Second)
		return err
	}
}

// is checks which sessions are open.
func (r *rig) is(open bool, ids ...string) {
	r.t.Helper()
	for _, id := range ids {
		if s := r.session(id); s.Open != open {
			r.t.Errorf("%s: open %v (%s), want %v", id, s.Open, s.EndReason, open)
		}
	}
}

func TestWhatTheLivingClustersListIsUsedWhileAnotherIsAway(t *testing.T) {
	r, clusters, compare := several(t)
	must := func() {
		t.Helper()
		if err := compare(); err != nil {
			t.Fatal(err)
		}
	}
	must()
	lastSeen := r.now
	must()
	one, two := clusters["one"], clusters["two"]
	two.away = true
	room, joined := one.rooms[0].Name, r.now.Add(-10*time.Second)
	one.people[room] = []models.EventParticipant{{SID: "PA_bob", Identity: "bob", Kind: "STANDARD", JoinedAt: joined}}
	one.egresses = nil
	must()
	r.is(false, "PA_one", "EG_one")
	r.is(true, "RM_one", "PA_bob", "RM_two", "PA_two", "EG_two")
	for _, id := range []string{"PA_one", "EG_one"} {
		if s := r.session(id); !s.LeftAt.Equal(lastSeen) {
			t.Errorf("%s ended at %v, last seen at %v", id, s.LeftAt, lastSeen)
		}
	}
	if s := r.session("PA_bob"); s.Cluster != "APIone" {
		t.Errorf("found on cluster %q", s.Cluster)
	}
	two.away, two.rooms, two.people, two.egresses = false, nil, nil, nil
	must()
	r.is(false, "RM_two", "PA_two", "EG_two")
	if s := r.session("PA_two"); !s.LeftAt.Equal(lastSeen) {
		t.Errorf("ended at %v, though its cluster was last read at %v", s.LeftAt, lastSeen)
	}
	one.away, two.away = true, true
	if err := compare(); !models.IsKind(err, models.KindUnavailable) {
		t.Errorf("no cluster answers: %v", err)
	}
}

func TestSessionsOfNoClusterOfNowAreClosedWhenAllClustersWereRead(t *testing.T) {
	r, clusters, compare := several(t)
	begin := r.now.Add(-time.Hour)
	var of []models.LiveKitEvent
	for _, key := range []string{"", "APIgone"} { // recorded before sessions had clusters; a cluster that was taken away
		person := models.EventParticipant{SID: "PA_of" + key, Identity: "cyd", Kind: "STANDARD", JoinedAt: begin}
		of = append(of, models.LiveKitEvent{ID: "EV_of" + key, Event: models.EventParticipantJoined, Cluster: key, ProjectID: testProject, RoomName: "old" + key, RoomSID: "RM_of" + key,
			RoomCreatedAt: begin, RoomKey: models.QualifyRoom(testProject, "old"+key), CreatedAt: begin, ReceivedAt: begin, Participant: &person})
	}
	r.keep(of)
	clusters["two"].away = true
	if err := compare(); err != nil {
		t.Fatal(err)
	}
	r.is(true, "PA_of", "RM_of", "PA_ofAPIgone", "RM_ofAPIgone")
	delete(clusters, "two")
	if err := compare(); err != nil {
		t.Fatal(err)
	}
	r.is(false, "PA_of", "RM_of", "PA_ofAPIgone", "RM_ofAPIgone", "PA_two", "RM_two", "EG_two")
	r.is(true, "PA_one", "RM_one", "EG_one")
}

func TestWhenEachClusterWasLastComparedIsKnown(t *testing.T) {
	r, clusters, compare := several(t)
	begin := r.now
	clusters["two"].away = true
	if err := compare(); err != nil {
		t.Fatal(err)
	}
	read := func() map[string]time.Time {
		t.Helper()
		got, err := r.compared.LastRead(t.Context())
		if err != nil || len(got) != 2 {
			t.Fatal(got, err)
		}
		return got
	}
	if got := read(); !got["one"].Equal(begin) || !got["two"].IsZero() {
		t.Errorf("got %v, want one at %v and two never", got, begin)
	}
	again := r.now
	clusters["two"].away = false
	if err := compare(); err != nil {
		t.Fatal(err)
	}
	if got := read(); !got["one"].Equal(again) || !got["two"].Equal(again) {
		t.Errorf("got %v, want both at %v", got, again)
	}
}

func TestAClusterIsSilentWhileNoEventToldOfWhatItLists(t *testing.T) {
	r, clusters, compare := several(t)
	silent := func(want ...string) {
		t.Helper()
		got, err := r.compared.Silent(t.Context(), time.Minute)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("silent: %v, %v; want %v", got, err, want)
		}
	}
	must := func() {
		t.Helper()
		if err := compare(); err != nil {
			t.Fatal(err)
		}
	}
	must()
	silent()
	// Cluster two's room ends, and another is open of which no event came.
	two, begin := clusters["two"], r.now.Add(-time.Minute)
	room := models.QualifyRoom(testProject, "unheard")
	two.egresses, two.rooms = nil, []livekit.Room{{Name: room, SID: "RM_unheard", CreatedAt: begin}}
	two.people = map[string][]models.EventParticipant{room: {{SID: "PA_unheard", Identity: "ann", Kind: "STANDARD", JoinedAt: begin}}}
	must() // finds it
	must() // knows it
	silent("two")
	r.keep([]models.LiveKitEvent{{ID: "EV_heard", Event: models.EventParticipantJoined, Cluster: "APItwo", ProjectID: testProject, RoomName: "unheard", RoomSID: "RM_unheard",
		RoomCreatedAt: begin, RoomKey: room, CreatedAt: begin, ReceivedAt: r.now,
		Participant: &models.EventParticipant{SID: "PA_late", Identity: "bob", Kind: "STANDARD", JoinedAt: begin}}})
	two.people[room] = append(two.people[room], models.EventParticipant{SID: "PA_late", Identity: "bob", Kind: "STANDARD", JoinedAt: begin})
	must()
	r.now = r.now.Add(time.Minute)
	silent()
}
