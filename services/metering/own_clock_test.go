package metering

import (
	"slices"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database"
	"pulse-control-plane/database/testkit"
	"pulse-control-plane/models"
	"pulse-control-plane/services/shards"
)

func TestNoShardIsTakenFromALiveProcessWhenTheDatabasesClockIsSet(t *testing.T) {
	for _, set := range []time.Duration{time.Hour, -time.Hour} {
		e, now, theirs := testkit.NewEngine(t), aMorning, aMorning
		one := newProcessWith(t, e, "one", &theirs, 0, func() time.Time { return now })
		two := newProcessWith(t, e, "two", &theirs, 0, func() time.Time { return now })
		step := func(processes ...*process) {
			t.Helper()
			for _, p := range processes {
				p.pass(t)
				if held := one.holds() + two.holds(); held > inboxShards {
					t.Fatalf("set by %s: %d shards are held, of %d", set, held, inboxShards)
				}
			}
			now, theirs = now.Add(shards.PassInterval), theirs.Add(shards.PassInterval)
		}
		for range 4 {
			step(one, two)
		}
		theirs = theirs.Add(set)
		step(two, one)
		if one.holds() != inboxShards/2 || two.holds() != inboxShards/2 {
			t.Errorf("set by %s: one has %d, two %d", set, one.holds(), two.holds())
		}
		for range 6 { // two died
			step(one)
		}
		if one.holds() != inboxShards {
			t.Errorf("set by %s: of a process that died, %d shards are not taken", set, inboxShards-one.holds())
		}
	}
}

func TestEventsThatWaitAreTriedAgainSoonAfterTheClockWasSetBack(t *testing.T) {
	r := newRig(t)
	r.keep(numbered("a", 0, 3))
	s := &stubborn{poison: "EV_a_1", failures: 2}
	w := r.worker("one", s)
	for range 2 {
		if _, err := w.Work(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if slices.Contains(s.seen, "EV_a_1") {
		t.Fatalf("seen %v", s.seen)
	}
	r.now = r.now.Add(-24 * time.Hour)
	for range 4 {
		if _, err := w.Work(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.now = r.now.Add(time.Second)
	}
	if !slices.Equal(s.seen, []string{"EV_a_0", "EV_a_1", "EV_a_2"}) {
		t.Errorf("seen %v", s.seen)
	}
}

func TestEventsKeepTheirOrderAcrossAStartWithAClockThatWasSetBack(t *testing.T) {
	r := newRig(t)
	keep := func(id string) {
		t.Helper()
		if fresh, err := r.inbox.Keep(t.Context(), &models.LiveKitEvent{ID: id, Event: "x", RoomKey: "a", CreatedAt: aMorning}); err != nil || !fresh {
			t.Fatal(fresh, err)
		}
	}
	keep("1")
	keep("2")
	// After a move from MongoDB, the numbers are the database's.
	r.keep([]models.LiveKitEvent{{ID: "3", Event: "x", RoomKey: "a", CreatedAt: aMorning, ReceivedAt: aMorning}})
	if _, err := r.engine.Update(t.Context(), "livekit_events", bson.D{{Key: "_id", Value: "3"}},
		bson.D{{Key: "$set", Value: bson.D{{Key: "seq", Value: int64(firstSequence + 7)}}}}, database.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	before := r.now
	r = rigOver(t, r.engine.Engine)
	r.now = before.Add(-24 * time.Hour)
	keep("4")
	keep("5")
	s := &stubborn{}
	if err := r.drain(r.worker("one", s)); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(s.seen, []string{"1", "2", "3", "4", "5"}) {
		t.Errorf("the order is %v", s.seen)
	}
}
