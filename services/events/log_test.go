package events

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/database/testkit"
	"pulse-control-plane/models"
)

const testOrg = models.OrganizationID("org_01936d6e-1111-7abc-8def-0123456789ab")

type rig struct {
	*Log
	engine *testkit.Engine
	clock  *testkit.Clock
}

func newRig(t testing.TB) *rig {
	t.Helper()
	engine := testkit.NewEngine(t)
	return rigOn(t, engine, testkit.NewClock())
}

// rigOn is a process of its own on a database.
func rigOn(t testing.TB, engine *testkit.Engine, clock *testkit.Clock) *rig {
	t.Helper()
	log := testkit.Must[*Log](t)(NewLog(LogConfig{Events: database.NewEvents(engine), Sequences: database.NewSequences(engine), Now: clock.Now}))
	return &rig{log, engine, clock}
}

func event(n int) models.Event {
	return models.Event{ID: fmt.Sprintf("evt_%d", n), Type: "room.started", OrgID: testOrg, ProjectID: testkit.Project, At: time.UnixMilli(int64(n)), Data: "{}"}
}

func numbered(from, to int) (out []models.Event) {
	for n := from; n < to; n++ {
		out = append(out, event(n))
	}
	return out
}

// read follows the log to its end and gives the ids of its events, gaps included.
func (r *rig) read(t testing.TB, after int64) (out []string) {
	t.Helper()
	for {
		list, err := r.After(t.Context(), after, 100)
		if err != nil {
			t.Fatal(err)
		}
		if len(list) == 0 {
			return out
		}
		for i := range list {
			if list[i].Seq <= after {
				t.Fatalf("number %d after %d", list[i].Seq, after)
			}
			out, after = append(out, list[i].ID), list[i].Seq
		}
	}
}

func idsOf(list []models.Event) (out []string) {
	for i := range list {
		out = append(out, list[i].ID)
	}
	return out
}

func TestEventsAreReadInOrderOfArrival(t *testing.T) {
	r := newRig(t)
	list := numbered(0, 1300)
	slices.Reverse(list) // ids and times run against it
	if err := r.Append(t.Context(), list); err != nil {
		t.Fatal(err)
	}
	if got := r.read(t, 0); !slices.Equal(got, idsOf(list)) {
		t.Fatalf("%d events, %v…", len(got), got[:min(3, len(got))])
	}
}

func TestAReplayStoresNoEventTwiceAndStallsNoReader(t *testing.T) {
	r := newRig(t)
	for range 3 {
		if err := r.Append(t.Context(), numbered(0, 10)); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.Append(t.Context(), append(numbered(5, 12), event(11))); err != nil {
		t.Fatal(err)
	}
	got := slices.DeleteFunc(r.read(t, 0), func(id string) bool { return id[:4] == "gap_" })
	if !slices.Equal(got, idsOf(numbered(0, 12))) {
		t.Fatal(got)
	}
}

// TestACrashBetweenNumberAndEventStallsReadersForTwoSeconds takes numbers and
// stores nothing under them.
func TestACrashBetweenNumberAndEventStallsReadersForTwoSeconds(t *testing.T) {
	r := newRig(t)
	if err := r.Append(t.Context(), numbered(0, 2)); err != nil {
		t.Fatal(err)
	}
	if _, err := r.c.Sequences.Take(t.Context(), arrivals, 2500); err != nil {
		t.Fatal(err)
	}
	if err := r.Append(t.Context(), numbered(2, 4)); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if got := r.read(t, 0); !slices.Equal(got, idsOf(numbered(0, 2))) {
			t.Fatalf("%v passes a number that may still get its event", got)
		}
		r.clock.Advance(holeAfter - time.Millisecond)
	}
	r.clock.Advance(2 * time.Millisecond)
	var got []string
	for range 4 { // a batch of gaps at a time
		got = r.read(t, 0)
		r.clock.Advance(holeAfter)
	}
	if len(got) != 2504 || got[0] != "evt_0" || got[2] != "gap_3" || got[2502] != "evt_2" || got[2503] != "evt_3" {
		t.Fatalf("%d events", len(got))
	}
}

func TestAnEventWhoseNumberWasSkippedGetsALaterOne(t *testing.T) {
	r := newRig(t)
	slow := &slowEngine{Engine: r.engine, before: func() {
		// A reader gives up waiting between the number and the event.
		if err := r.close(t.Context(), []int64{1, 2, 3}); err != nil {
			t.Error(err)
		}
	}}
	writer := testkit.Must[*Log](t)(NewLog(LogConfig{Events: database.NewEvents(slow), Sequences: database.NewSequences(slow), Now: r.clock.Now}))
	if err := writer.Append(t.Context(), numbered(0, 3)); err != nil {
		t.Fatal(err)
	}
	if got := r.read(t, 0); !slices.Equal(got, []string{"gap_1", "gap_2", "gap_3", "evt_0", "evt_1", "evt_2"}) {
		t.Fatal(got)
	}
}

// slowEngine calls before ahead of the first batch of events.
type slowEngine struct {
	database.Engine
	once   sync.Once
	before func()
}

func (e *slowEngine) InsertMany(ctx context.Context, c string, docs []any) ([]int, error) {
	e.once.Do(e.before)
	return e.Engine.InsertMany(ctx, c, docs)
}

func TestNumbersOfExpiredEventsAreNotWaitedFor(t *testing.T) {
	r := newRig(t)
	if _, err := r.c.Sequences.Take(t.Context(), arrivals, 5000); err != nil {
		t.Fatal(err)
	}
	if err := r.Append(t.Context(), numbered(0, 2)); err != nil {
		t.Fatal(err)
	}
	r.clock.Advance(holeExpired + time.Hour)
	if err := r.Append(t.Context(), numbered(2, 3)); err != nil {
		t.Fatal(err)
	}
	if got := r.read(t, 0); !slices.Equal(got, idsOf(numbered(0, 3))) {
		t.Fatal(got)
	}
}

// TestReadersOfSeveralProcessesSeeOneOrder has processes write and read at the
// same time on one database.
func TestReadersOfSeveralProcessesSeeOneOrder(t *testing.T) {
	engine, clock := testkit.NewEngine(t), testkit.NewClock()
	const processes, each = 4, 60
	var work sync.WaitGroup
	seen := make([][]string, processes)
	for p := range processes {
		r := rigOn(t, engine, clock)
		work.Go(func() {
			for n := range each {
				if err := r.Append(t.Context(), numbered((p*each+n)*3, (p*each+n)*3+3)); err != nil {
					t.Error(err)
					return
				}
			}
		})
		work.Go(func() {
			after := int64(0)
			for len(seen[p]) < processes*each*3 && t.Context().Err() == nil && !t.Failed() {
				list, err := r.After(t.Context(), after, 50)
				if err != nil {
					t.Error(err)
					return
				}
				for i := range list {
					seen[p], after = append(seen[p], list[i].ID), list[i].Seq
				}
			}
		})
	}
	work.Wait()
	for p := range processes {
		if !slices.Equal(seen[p], seen[0]) || len(seen[p]) != processes*each*3 {
			t.Fatalf("process %d saw %d events in another order than process 0", p, len(seen[p]))
		}
	}
}
