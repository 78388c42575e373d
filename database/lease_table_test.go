package database

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

// shared is an engine that other processes use too; it counts the commands.
type shared struct {
	Engine
	reads, writes atomic.Int64
	// away has updates fail.
	away atomic.Bool
}

func (*shared) Exclusive() bool { return false }

func (s *shared) Find(ctx context.Context, collection string, q Query, each func(bson.Raw) error) error {
	s.reads.Add(1)
	return s.Engine.Find(ctx, collection, q, each)
}

func (s *shared) Update(ctx context.Context, collection string, filter, update bson.D, o UpdateOptions) (int64, error) {
	s.writes.Add(1)
	if s.away.Load() {
		return 0, models.Unavailable(errors.New("away"))
	}
	return s.Engine.Update(ctx, collection, filter, update, o)
}

func TestRenewalsAndQuestionsOfAllJobsShareCommands(t *testing.T) {
	e := &shared{Engine: openForElections(t)}
	table := NewLeaseTable(e)
	elections, leases := table.Elections(), table.Leases()
	jobs := []string{"a", "b", "c", "d", "e"}
	for _, job := range jobs {
		if held, err := elections.Acquire(t.Context(), job, "one", time.Minute); !held || err != nil {
			t.Fatalf("%s: %v, %v", job, held, err)
		}
	}
	e.reads.Store(0)
	e.writes.Store(0)
	var all sync.WaitGroup
	for _, job := range jobs {
		all.Go(func() {
			if held, err := elections.Renew(t.Context(), job, "one", time.Minute); !held || err != nil {
				t.Errorf("%s: %v, %v", job, held, err)
			}
		})
	}
	all.Wait()
	if n := e.writes.Load(); n > 2 {
		t.Errorf("%d commands renewed %d leases", n, len(jobs))
	}
	for _, job := range jobs { // another process's question
		if held, err := elections.Acquire(t.Context(), job, "two", time.Minute); held || err != nil {
			t.Errorf("%s: %v, %v", job, held, err)
		}
	}
	if n := e.reads.Load(); n > 2 {
		t.Errorf("%d commands answered %d questions", n, len(jobs))
	}
	// One that was lost is told apart from those that are held.
	if _, err := e.Delete(t.Context(), "leases", bson.D{{Key: "_id", Value: "c"}}, 1); err != nil {
		t.Fatal(err)
	}
	if n, err := leases.Renew(t.Context(), []string{"a", "c"}, "one", time.Minute); n != 1 || err != nil {
		t.Errorf("%d of two leases are held, %v", n, err)
	}
	if held, err := elections.Renew(t.Context(), "c", "one", time.Minute); held || err != nil {
		t.Errorf("a lost lease is renewed: %v, %v", held, err)
	}
	if held, err := elections.Acquire(t.Context(), "c", "two", time.Minute); !held || err != nil {
		t.Errorf("a free lease is not taken: %v, %v", held, err)
	}
}

func TestARenewalAfterOneThatFailedDoesNotWaitForOthers(t *testing.T) {
	e := &shared{Engine: openForElections(t)}
	elections := NewLeaseTable(e).Elections()
	if held, err := elections.Acquire(t.Context(), "a", "one", time.Minute); !held || err != nil {
		t.Fatal(held, err)
	}
	renew := func() (time.Duration, error) {
		began := time.Now()
		held, err := elections.Renew(t.Context(), "a", "one", time.Minute)
		if err == nil && !held {
			t.Error("the lease is lost")
		}
		return time.Since(began), err
	}
	e.away.Store(true)
	if took, err := renew(); err == nil || took < electionsGathered {
		t.Fatalf("the first renewal took %v, %v", took, err)
	}
	e.away.Store(false)
	if took, err := renew(); err != nil || took >= electionsGathered {
		t.Errorf("the renewal after one that failed took %v, %v", took, err)
	}
	if took, err := renew(); err != nil || took < electionsGathered {
		t.Errorf("the one after that took %v, %v: it shares no command", took, err)
	}
}
