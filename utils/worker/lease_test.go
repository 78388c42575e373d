package worker_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"pulse-control-plane/utils/worker"
)

// store is a Lease of one job in memory, on the clock of the test.
type store struct {
	mu    sync.Mutex
	owner string
	until time.Time
	asked map[string]int
	// away makes an owner's questions fail; hung makes them wait, heeding no
	// context.
	away, hung map[string]bool
}

func (s *store) question(owner string, ttl time.Duration, mayTake bool) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.asked == nil {
		s.asked = map[string]int{}
	}
	s.asked[owner]++
	if s.hung[owner] {
		s.mu.Unlock()
		<-time.After(time.Hour)
		s.mu.Lock()
	}
	if s.away[owner] {
		return false, errAway
	}
	now := time.Now()
	if s.owner != owner && (!mayTake || now.Before(s.until)) {
		return false, nil
	}
	s.owner, s.until = owner, now.Add(ttl)
	return true, nil
}

func (s *store) Acquire(_ context.Context, _, owner string, ttl time.Duration) (bool, error) {
	return s.question(owner, ttl, true)
}

func (s *store) Renew(_ context.Context, _, owner string, ttl time.Duration) (bool, error) {
	return s.question(owner, ttl, false)
}

func (s *store) Release(_ context.Context, _, owner string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.away[owner] {
		return errAway
	}
	if s.owner == owner {
		s.owner, s.until = "", time.Time{}
	}
	return nil
}

func (s *store) set(m *map[string]bool, owner string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*m = map[string]bool{owner: true}
}

const ttl = 9 * time.Second

func leader(l worker.Lease, owner string) worker.Options {
	return worker.Options{Leadership: &worker.Leadership{Lease: l, Owner: owner, TTL: ttl}, Random: func() float64 { return 0 }}
}

func TestOneProcessAtATimeRunsThePasses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, a, b := &store{}, record(nil), record(nil)
		stopA := started(t, made(t, a.pass, leader(l, "a")))
		synctest.Wait()
		stopB := started(t, made(t, b.pass, leader(l, "b")))
		elapse(60 * time.Second)
		if len(a.at) < 60 || len(b.at) != 0 {
			t.Fatalf("%d and %d passes", len(a.at), len(b.at))
		}
		if asks := l.asked["a"] + l.asked["b"]; asks > 2*21 {
			t.Fatalf("%d questions in a minute", asks)
		}
		_ = stopA() // gives the lease back
		stopped := time.Since(b.start)
		elapse(ttl / 3)
		_ = stopB()
		if len(b.at) == 0 || b.at[0]-stopped > ttl/3 {
			t.Fatalf("the lease was given back at %v and taken at %v", stopped, b.at)
		}
		if l.owner != "" {
			t.Fatalf("%s still has the lease", l.owner)
		}
	})
}

func TestTheLeaseIsRenewedDuringALongPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &store{}
		var failed error
		long := record(func(ctx context.Context, _ int) (int, error) {
			select {
			case <-ctx.Done():
				failed = context.Cause(ctx)
			case <-time.After(10 * ttl):
			}
			return 0, ctx.Err()
		})
		w, err := worker.New(worker.Config{Name: "job", Pass: long.pass, Every: time.Second, Deadline: time.Hour}, leader(l, "a"))
		if err != nil {
			t.Fatal(err)
		}
		stop := started(t, w)
		synctest.Wait()
		other := record(nil)
		stopOther := started(t, made(t, other.pass, leader(l, "b")))
		elapse(10*ttl - time.Second)
		if len(other.at) != 0 || failed != nil {
			t.Fatalf("another took over at %v; the pass ended with %v", other.at, failed)
		}
		_, _ = stop(), stopOther()
	})
}

func TestAPassEndsBeforeAnotherProcessCanTakeTheLease(t *testing.T) {
	for name, fault := range map[string]func(*store){
		"the store fails":           func(s *store) { s.set(&s.away, "a") },
		"the store does not answer": func(s *store) { s.set(&s.hung, "a") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l, s := &store{}, &seen{}
				var ended time.Time
				var cause error
				a := record(func(ctx context.Context, _ int) (int, error) {
					<-ctx.Done()
					ended, cause = time.Now(), context.Cause(ctx)
					return 0, ctx.Err()
				})
				o := leader(l, "a")
				o.Observer = s
				w, err := worker.New(worker.Config{Name: "job", Pass: a.pass, Every: time.Second, Deadline: time.Hour}, o)
				if err != nil {
					t.Fatal(err)
				}
				stop := started(t, w)
				elapse(time.Second)
				b := record(nil)
				stopB := started(t, made(t, b.pass, leader(l, "b")))
				fault(l)
				elapse(2 * ttl)
				_ = stopB()
				if !errors.Is(cause, worker.ErrLeaseLost) || len(b.at) == 0 || !ended.Before(b.start.Add(b.at[0])) {
					t.Fatalf("ended at %v with %v, taken over at %v", ended.Sub(a.start), cause, b.at)
				}
				if b.at[0] > ttl+ttl/3 {
					t.Fatalf("taken over only after %v", b.at[0])
				}
				if len(s.results) == 0 || s.results[0] != worker.Lost {
					t.Fatalf("results %v", s.results)
				}
				_ = stop()
			})
		})
	}
}

func TestAStoreThatFailsForAMomentDoesNotCostTheLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, s := &store{}, &seen{}
		a := record(nil)
		o := leader(l, "a")
		o.Observer = s
		stop := started(t, made(t, a.pass, o))
		elapse(time.Second)
		l.set(&l.away, "a")
		elapse(ttl / 2)
		l.set(&l.away, "nobody")
		elapse(3 * ttl)
		if !slices.Equal(s.held, []bool{false, true}) {
			t.Fatalf("held: %v", s.held)
		}
		_ = stop()
		if !slices.Equal(s.held, []bool{false, true, false}) {
			t.Fatalf("held: %v", s.held)
		}
	})
}

func TestALeaseThatAnotherTookStopsThePassAtTheNextRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &store{}
		var cause error
		a := record(func(ctx context.Context, _ int) (int, error) {
			select {
			case <-ctx.Done():
				cause = context.Cause(ctx)
			case <-time.After(4 * time.Second):
			}
			return 0, ctx.Err()
		})
		stop := started(t, made(t, a.pass, leader(l, "a")))
		elapse(time.Second)
		l.mu.Lock()
		l.owner, l.until = "thief", time.Now().Add(time.Hour)
		l.mu.Unlock()
		elapse(ttl)
		_ = stop()
		if !errors.Is(cause, worker.ErrLeaseLost) || len(a.at) != 1 || l.owner != "thief" {
			t.Fatalf("%d passes, ended with %v; the lease is %s's", len(a.at), cause, l.owner)
		}
	})
}

func TestTheStepOnTakingALeaseIsRetriedUntilItSucceeds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, a := &store{}, record(nil)
		gained := 0
		o := leader(l, "a")
		o.Leadership.Gained = func(context.Context) error {
			gained++
			if gained < 3 {
				return errAway
			}
			return nil
		}
		stop := started(t, made(t, a.pass, o))
		elapse(10 * time.Second)
		if gained != 3 || len(a.at) == 0 || a.at[0] != 1500*ms { // 0.5 s and 1 s of backoff
			t.Fatalf("asked %d times, passes at %v", gained, a.at)
		}
		_ = stop()
	})
}

func TestTheResultsOfAWorkersPassesBeginAtZero(t *testing.T) {
	registry := prometheus.NewRegistry()
	o := leader(&store{}, "a")
	o.Observer = worker.NewMetrics("x", registry)
	made(t, func(context.Context) (int, error) { return 0, nil }, o)
	if n, err := testutil.GatherAndCount(registry, "x_worker_passes_total"); n != 6 || err != nil {
		t.Errorf("%d results before the first pass: %v", n, err)
	}
}

func TestALeaseThatAnotherProcessHasIsShownAsNotHeldFromTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &store{}
		first := record(nil)
		stopFirst := started(t, made(t, first.pass, leader(l, "a")))
		elapse(time.Second)
		registry := prometheus.NewRegistry()
		o := leader(l, "b")
		o.Observer = worker.NewMetrics("x", registry)
		second := record(nil)
		stop := started(t, made(t, second.pass, o))
		elapse(100 * ms)
		if n, err := testutil.GatherAndCount(registry, "x_worker_lease_held"); n != 1 || err != nil {
			t.Errorf("%d gauges of a lease that was never held, %v", n, err)
		}
		_ = stop()
		_ = stopFirst()
	})
}

func TestMetricsShowPassesAndLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := prometheus.NewRegistry()
		o := leader(&store{}, "a")
		o.Observer = worker.NewMetrics("x", registry)
		r := record(func(_ context.Context, n int) (int, error) {
			if n == 1 {
				return 3, nil
			}
			return 0, nil
		})
		stop := started(t, made(t, r.pass, o))
		elapse(1500 * ms)
		value := func(name string) float64 {
			all, err := registry.Gather()
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range all {
				if f.GetName() == name {
					m := f.GetMetric()[0]
					return m.GetGauge().GetValue() + m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
				}
			}
			t.Fatalf("no %s", name)
			return 0
		}
		if n, err := testutil.GatherAndCount(registry, "x_worker_passes_total"); n != 6 || err != nil {
			t.Fatal(n, err)
		}
		if value("x_worker_pass_duration_seconds") != 3 || value("x_worker_items_total") != 3 || value("x_worker_lease_held") != 1 {
			t.Fatal("passes, items or the lease are not shown")
		}
		_ = stop()
		if value("x_worker_lease_held") != 0 {
			t.Fatal("the lease is shown after it was given back")
		}
		if value("x_worker_last_success_timestamp_seconds") == 0 {
			t.Fatal("the last success is not shown")
		}
	})
}
