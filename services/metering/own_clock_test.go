package metering

import (
	"slices"
	"testing"
	"time"

	"pulse-control-plane/database/testkit"
	"pulse-control-plane/services/shards"
)

func TestNoShardIsTakenFromALiveProcessWhenTheDatabasesClockIsSet(t *testing.T) {
	for _, set := range []time.Duration{time.Hour, -time.Hour} {
		e, now, database := testkit.NewEngine(t), aMorning, aMorning
		one := newProcessWith(t, e, "one", &database, 0, func() time.Time { return now })
		two := newProcessWith(t, e, "two", &database, 0, func() time.Time { return now })
		step := func(processes ...*process) {
			t.Helper()
			for _, p := range processes {
				p.pass(t)
				if held := one.holds() + two.holds(); held > inboxShards {
					t.Fatalf("set by %s: %d shards are held, of %d", set, held, inboxShards)
				}
			}
			now, database = now.Add(shards.PassInterval), database.Add(shards.PassInterval)
		}
		for range 4 {
			step(one, two)
		}
		database = database.Add(set)
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
