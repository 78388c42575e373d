package worker_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"pulse-control-plane/utils/worker"
)

var errAway = errors.New("away")

// recorder keeps when passes began, since it was made, and what each returned.
type recorder struct {
	start time.Time
	at    []time.Duration
	// next says what the pass of that number does; nil: nothing.
	next func(ctx context.Context, n int) (int, error)
}

func record(next func(context.Context, int) (int, error)) *recorder {
	return &recorder{start: time.Now(), next: next}
}

func (r *recorder) pass(ctx context.Context) (int, error) {
	r.at = append(r.at, time.Since(r.start))
	if r.next == nil {
		return 0, nil
	}
	return r.next(ctx, len(r.at))
}

// seen is an Observer.
type seen struct {
	results []worker.Result
	worked  int
	held    []bool
}

func (s *seen) Passed(_ string, r worker.Result, worked int, _ time.Duration) {
	s.results = append(s.results, r)
	s.worked += worked
}
func (s *seen) Declared(string) {}

func (s *seen) Held(_ string, held bool) { s.held = append(s.held, held) }

func made(t *testing.T, p worker.Pass, o worker.Options) *worker.Worker {
	t.Helper()
	if o.Jitter == 0 {
		o.Jitter = -1
	}
	w, err := worker.New(worker.Config{Name: "job", Pass: p, Every: time.Second, Deadline: 5 * time.Second}, o)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// started runs a worker until the test or stop ends it.
func started(t *testing.T, w *worker.Worker) (stop func() error) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	return func() error { cancel(); return <-ended }
}

// elapse lets time pass on the clock of the test, and everything happen that is
// due until then.
func elapse(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func same(t *testing.T, got []time.Duration, want ...time.Duration) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("passes at %v, want %v", got, want)
	}
	for i := range got {
		if got[i] != want[i] {
			t.Fatalf("passes at %v, want %v", got, want)
		}
	}
}

const ms = time.Millisecond

func TestPassesRunAtOnceAndThenEveryInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := record(nil)
		stop := started(t, made(t, r.pass, worker.Options{}))
		elapse(3500 * ms)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		same(t, r.at, 0, 1000*ms, 2000*ms, 3000*ms)
	})
}

func TestJitterOnlyShortensThePause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		random := []float64{0, 0.5, 1}
		next := 0
		r := record(nil)
		stop := started(t, made(t, r.pass, worker.Options{Jitter: 0.2, Random: func() float64 { next++; return random[(next-1)%3] }}))
		elapse(2750 * ms)
		_ = stop()
		same(t, r.at, 0, 1000*ms, 1900*ms, 2700*ms)
	})
}

func TestWakingManyTimesDuringAPassCausesOneMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w *worker.Worker
		r := record(func(_ context.Context, n int) (int, error) {
			if n == 1 {
				<-time.After(100 * ms)
				for range 50 {
					w.Wake()
				}
			}
			return 0, nil
		})
		w = made(t, r.pass, worker.Options{})
		stop := started(t, w)
		elapse(600 * ms)
		w.Wake()
		elapse(100 * ms)
		_ = stop()
		same(t, r.at, 0, 100*ms, 600*ms)
	})
}

func TestAPassFollowsAtOnceWhileThereIsWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &seen{}
		r := record(func(_ context.Context, n int) (int, error) {
			<-time.After(10 * ms)
			return max(0, 4-n), nil
		})
		stop := started(t, made(t, r.pass, worker.Options{Observer: s}))
		elapse(500 * ms)
		_ = stop()
		same(t, r.at, 0, 10*ms, 20*ms, 30*ms)
		if s.worked != 3+2+1 {
			t.Fatalf("observed %d", s.worked)
		}
	})
}

func TestAHeavyPassIsFollowedByARestThatNoWakeShortens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := record(func(_ context.Context, n int) (int, error) {
			if n == 1 {
				<-time.After(500 * ms)
			}
			return 1, nil
		})
		w := made(t, func(ctx context.Context) (int, error) {
			n, err := r.pass(ctx)
			if len(r.at) > 1 {
				n = 0
			}
			return n, err
		}, worker.Options{Rest: 4})
		stop := started(t, w)
		elapse(600 * ms)
		w.Wake()
		elapse(2000 * ms)
		_ = stop()
		same(t, r.at, 0, 2500*ms, 2500*ms) // the wake that came meanwhile is not lost
	})
}

func TestErrorsBackOffExponentiallyToACapAndWakesDoNotShortenIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := record(func(_ context.Context, n int) (int, error) {
			if n <= 5 {
				return 1, errAway
			}
			return 0, nil
		})
		var log bytes.Buffer
		w := made(t, r.pass, worker.Options{Log: zerolog.New(&log), Random: func() float64 { return 1 },
			Backoff: worker.Backoff{First: 100 * ms, Most: 400 * ms}})
		stop := started(t, w)
		elapse(50 * ms)
		w.Wake()
		elapse(1500*ms - 1)
		_ = stop()
		same(t, r.at, 0, 100*ms, 300*ms, 700*ms, 1100*ms, 1500*ms, 1500*ms)
		if got := log.String(); strings.Count(got, "a pass failed") != 5 || strings.Count(got, "succeed again") != 1 {
			t.Fatalf("log: %s", got)
		}
	})
}

func TestAPassThatExceedsItsDeadlineIsStoppedAndReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &seen{}
		r := record(func(ctx context.Context, _ int) (int, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		})
		stop := started(t, made(t, r.pass, worker.Options{Observer: s, Random: func() float64 { return 1 }}))
		elapse(7 * time.Second)
		_ = stop()
		same(t, r.at, 0, 6*time.Second)
		if len(s.results) != 2 || s.results[0] != worker.TimedOut || s.results[1] != worker.Stopped {
			t.Fatalf("results %v", s.results)
		}
	})
}

func TestAPanicOfAPassIsAnErrorOfThatPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &seen{}
		var log bytes.Buffer
		r := record(func(_ context.Context, n int) (int, error) {
			if n == 1 {
				panic("broken")
			}
			return 0, nil
		})
		stop := started(t, made(t, r.pass, worker.Options{Observer: s, Log: zerolog.New(&log)}))
		elapse(1500 * ms)
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if s.results[0] != worker.Panicked || s.results[1] != worker.Succeeded || !strings.Contains(log.String(), "panic: broken") {
			t.Fatalf("results %v, log %s", s.results, log.String())
		}
	})
}

func TestStoppingRunsALastPassWithItsOwnDeadlineAndReturnsItsError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ending := false
		r := record(func(ctx context.Context, _ int) (int, error) {
			if !ending {
				return 0, nil
			}
			<-ctx.Done()
			return 0, errAway
		})
		stop := started(t, made(t, r.pass, worker.Options{Last: 2 * time.Second}))
		elapse(100 * ms)
		ending = true
		if err := stop(); !errors.Is(err, errAway) {
			t.Fatalf("got %v", err)
		}
		if took := time.Since(r.start); len(r.at) != 2 || took != 2100*ms {
			t.Fatalf("passes at %v, ended after %v", r.at, took)
		}
	})
}

func TestAConfigurationThatCannotWorkIsRefused(t *testing.T) {
	pass := worker.Simple(func(context.Context) error { return nil })
	good := worker.Config{Name: "job", Pass: pass, Every: 1, Deadline: 1}
	for name, change := range map[string]func(*worker.Config, *worker.Options){
		"Name":     func(c *worker.Config, _ *worker.Options) { c.Name = "" },
		"Pass":     func(c *worker.Config, _ *worker.Options) { c.Pass = nil },
		"Every":    func(c *worker.Config, _ *worker.Options) { c.Every = 0 },
		"Deadline": func(c *worker.Config, _ *worker.Options) { c.Deadline = 0 },
		"Backoff":  func(_ *worker.Config, o *worker.Options) { o.Backoff.First = time.Second },
		"Owner": func(_ *worker.Config, o *worker.Options) {
			o.Leadership = &worker.Leadership{Lease: &store{}, TTL: time.Second}
		},
		"TTL": func(_ *worker.Config, o *worker.Options) {
			o.Leadership = &worker.Leadership{Lease: &store{}, Owner: "a"}
		},
		"Lease": func(_ *worker.Config, o *worker.Options) {
			o.Leadership = &worker.Leadership{TTL: time.Second, Owner: "a"}
		},
		"Last goes without": func(_ *worker.Config, o *worker.Options) {
			o.Last, o.Leadership = 1, &worker.Leadership{Lease: &store{}, TTL: time.Second, Owner: "a"}
		},
	} {
		c, o := good, worker.Options{}
		change(&c, &o)
		if _, err := worker.New(c, o); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := worker.New(good, worker.Options{}); err != nil {
		t.Fatal(err)
	}
}

func TestBackoffDoublesToItsCapAndNeverExceedsIt(t *testing.T) {
	b := worker.Backoff{First: 200 * ms, Most: time.Second}
	for attempts, want := range map[int64]time.Duration{0: 200, 1: 200, 2: 400, 3: 800, 4: 1000, 5: 1000, 1 << 62: 1000} {
		if got := b.After(attempts); got != want*ms {
			t.Errorf("after %d: %v", attempts, got)
		}
		if low, high := b.Jittered(attempts, 0), b.Jittered(attempts, 1); low != want*ms/2 || high != want*ms {
			t.Errorf("after %d: jitter from %v to %v", attempts, low, high)
		}
	}
	if got := (worker.Backoff{First: time.Hour, Most: time.Second}).After(3); got != time.Second {
		t.Errorf("a first wait above the cap: %v", got)
	}
	if got := (worker.Backoff{First: 1, Most: 1<<63 - 1}).After(1 << 40); got != 1<<63-1 {
		t.Errorf("overflow: %v", got)
	}
}

func TestEachPassIsASpanThatCarriesItsErrorAndParentsItsCalls(t *testing.T) {
	spans := tracetest.NewInMemoryExporter()
	provider := sdk.NewTracerProvider(sdk.WithSyncer(spans))
	ctx, cancel := context.WithCancel(t.Context())
	w, err := worker.New(worker.Config{Name: "sweep", Every: time.Hour, Deadline: time.Minute, Pass: func(ctx context.Context) (int, error) {
		defer cancel()
		_, child := provider.Tracer("t").Start(ctx, "child")
		child.End()
		return 3, errors.New("away")
	}}, worker.Options{Tracer: provider.Tracer("t")})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Run(ctx); err != nil {
		t.Fatal(err)
	}
	got := spans.GetSpans()
	if len(got) != 2 || got[1].Name != "worker sweep" || got[1].Status.Description != "away" || got[0].Parent.SpanID() != got[1].SpanContext.SpanID() {
		t.Errorf("%+v", got)
	}
}
