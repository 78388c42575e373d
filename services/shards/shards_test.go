package shards_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database"
	"pulse-control-plane/database/testkit"
	"pulse-control-plane/models"
	"pulse-control-plane/services/shards"
)

// rig is a database whose shares several processes have, and their clock.
type rig struct {
	t      *testing.T
	engine database.Engine
	leases *database.Leases
	now    time.Time
}

func newRig(t *testing.T) *rig {
	e := testkit.NewEngine(t)
	return &rig{t: t, engine: e, leases: database.NewLeases(e), now: time.Date(2026, 5, 4, 9, 0, 0, 0, time.UTC)}
}

func (r *rig) process(name string) *shards.Shares {
	return testkit.Must[*shards.Shares](r.t)(shards.New(shards.Config{Name: "work", Count: 4, Leases: r.leases, Holder: name,
		Now: func() time.Time { return r.now }, Gained: func(context.Context, int64) error { return nil }}))
}

func (r *rig) pass(s *shards.Shares) []int64 {
	r.t.Helper()
	taken, err := s.Pass(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	return taken
}

// members gives the names of the processes whose leases are stored.
func (r *rig) members() (out []string) {
	r.t.Helper()
	list, err := r.leases.List(r.t.Context(), "work|member|")
	if err != nil {
		r.t.Fatal(err)
	}
	for i := range list {
		out = append(out, strings.TrimPrefix(list[i].ID, "work|member|"))
	}
	return out
}

func TestTheLeaseOfAProcessIsDeletedAnHourAfterItDied(t *testing.T) {
	r := newRig(t)
	lives, idle := r.process("lives"), r.process("idle")
	for n := range 5 {
		r.pass(r.process(fmt.Sprint("pod-", n))) // and is killed
	}
	for range 59 {
		r.pass(lives)
		r.pass(idle)
		r.now = r.now.Add(time.Minute)
	}
	if n := len(r.members()); n != 7 {
		t.Errorf("%d leases of processes before the hour is over", n)
	}
	for range 3 {
		r.pass(lives)
		r.pass(idle)
		r.now = r.now.Add(time.Minute)
	}
	if got := fmt.Sprint(r.members()); got != "[idle lives]" {
		t.Errorf("an hour later: leases of %s", got)
	}
}

func TestAListThatIsTooLongIsAnErrorAndNotCut(t *testing.T) {
	r := newRig(t)
	s := r.process("one")
	put := func(from, to int) {
		list := make([]any, 0, to-from)
		for n := from; n < to; n++ {
			list = append(list, models.Lease{ID: fmt.Sprintf("work|member|%05d", n), Holder: "dead", Term: 1})
		}
		for batch := range slices.Chunk(list, database.MaxBatch) {
			if _, err := r.engine.InsertMany(t.Context(), "leases", batch); err != nil {
				t.Fatal(err)
			}
		}
	}
	put(0, 19_900)
	r.pass(s)
	put(19_900, 20_000)
	if taken, err := s.Pass(t.Context()); !models.IsKind(err, models.KindInternal) {
		t.Errorf("a list that is cut is believed: took %v, %v", taken, err)
	}
}

// stealing has another process take a shard just before leases are renewed.
type stealing struct {
	database.Engine
	steal func()
}

func (s *stealing) Update(ctx context.Context, collection string, filter, update bson.D, o database.UpdateOptions) (int64, error) {
	if s.steal != nil && o.Many {
		steal := s.steal
		s.steal = nil
		steal()
	}
	return s.Engine.Update(ctx, collection, filter, update, o)
}

func TestAPassThatLostALeaseTakesNone(t *testing.T) {
	r := newRig(t)
	e := &stealing{Engine: r.engine}
	r.leases = database.NewLeases(e)
	one := r.process("one")
	if n := len(r.pass(one)); n != 4 {
		t.Fatalf("alone it has %d", n)
	}
	r.now = r.now.Add(time.Second)
	others := database.NewLeases(r.engine)
	if err := others.Release(t.Context(), []string{"work|3"}, "one"); err != nil { // free for whichever is first
		t.Fatal(err)
	}
	e.steal = func() {
		if err := others.Release(t.Context(), []string{"work|0"}, "one"); err != nil {
			t.Error(err)
		}
	}
	r.pass(one)
	list, err := others.List(t.Context(), "work|")
	if err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(list, func(l models.Lease) bool { return l.ID == "work|3" }) {
		t.Error("it takes a shard though it does not know which it has")
	}
	r.now = r.now.Add(time.Second)
	r.pass(one)
	if n := len(one.Own()); n != 4 {
		t.Errorf("the next pass has %d", n)
	}
}
