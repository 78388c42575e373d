package lifecycle_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pulse-control-plane/utils/lifecycle"
)

// diary notes what happened, in order.
type diary struct {
	mu      sync.Mutex
	entries []string
}

func (d *diary) note(entry string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.entries = append(d.entries, entry)
}

func (d *diary) step(entry string) func(context.Context) error {
	return func(context.Context) error { d.note(entry); return nil }
}

func (d *diary) worker(entry string) func(context.Context) error {
	return func(ctx context.Context) error { <-ctx.Done(); d.note(entry); return ctx.Err() }
}

func (d *diary) expect(t *testing.T, want ...string) {
	t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if !slices.Equal(d.entries, want) {
		t.Errorf("\n got %q\nwant %q", d.entries, want)
	}
}

// serving is a server with one request under way that takes that long.
func serving(life *lifecycle.Life, d *diary, request time.Duration) {
	stopped := make(chan struct{})
	life.Server("http", func() error { <-stopped; return nil }, func(ctx context.Context) error {
		d.note("no more requests taken")
		close(stopped)
		select {
		case <-time.After(request):
			d.note("request answered")
			return nil
		case <-ctx.Done():
			d.note("request cut off")
			return ctx.Err()
		}
	})
}

var errBroken = errors.New("broken")

func TestShutdownRunsItsStepsInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		life, d := lifecycle.Life{Grace: 5 * time.Second, Notice: time.Second}, &diary{}
		life.Closer("database", d.step("database closed"))
		life.Closer("usage buffer", d.step("usage flushed"))
		life.Worker("sweeper", d.worker("sweeper finished"))
		serving(&life, d, 4*time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		begin := time.Now()
		life.OnDrain(func() { d.note("readiness off") })
		time.AfterFunc(time.Minute, func() { d.expect(t); cancel() })
		if err := life.Run(ctx); err != nil {
			t.Errorf("got %v", err)
		}
		if took := time.Since(begin); took != time.Minute+time.Second+4*time.Second {
			t.Errorf("it took %v", took)
		}
		d.expect(t, "readiness off", "no more requests taken", "request answered", "sweeper finished", "usage flushed", "database closed")
	})
}

func TestARequestLongerThanTheGraceDoesNotBlockTheShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		life, d := lifecycle.Life{Grace: 5 * time.Second}, &diary{}
		life.Closer("database", d.step("database closed"))
		serving(&life, d, time.Hour)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		begin := time.Now()
		if err := life.Run(ctx); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "http: ") {
			t.Errorf("got %v", err)
		}
		if took := time.Since(begin); took != 5*time.Second {
			t.Errorf("it took %v", took)
		}
		d.expect(t, "no more requests taken", "request cut off", "database closed")
	})
}

func TestServersDrainTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		life, d := lifecycle.Life{Grace: 5 * time.Second}, &diary{}
		serving(&life, d, 4*time.Second)
		serving(&life, d, 4*time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		begin := time.Now()
		if err := life.Run(ctx); err != nil || time.Since(begin) != 4*time.Second {
			t.Errorf("got %v after %v", err, time.Since(begin))
		}
	})
}

func TestAWorkerThatFailsOrPanicsEndsTheProcessInOrder(t *testing.T) {
	for name, run := range map[string]func(context.Context) error{
		"fails":  func(context.Context) error { return errBroken },
		"panics": func(context.Context) error { panic(errBroken.Error()) },
	} {
		life, d := lifecycle.Life{Grace: 5 * time.Second}, &diary{}
		life.Closer("database", d.step("database closed"))
		life.Worker("good", d.worker("good finished"))
		life.Worker("bad", run)
		if err := life.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "bad: ") || !strings.Contains(err.Error(), "broken") {
			t.Errorf("%s: got %v", name, err)
		}
		d.expect(t, "good finished", "database closed")
	}
}

func TestAWorkerThatIsDoneLeavesTheRestRunning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		life, d := lifecycle.Life{Grace: 5 * time.Second}, &diary{}
		life.Worker("brief", d.step("brief done"))
		life.Worker("long", d.worker("long finished"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		begin := time.Now()
		if err := life.Run(ctx); err != nil || time.Since(begin) != time.Hour {
			t.Errorf("got %v after %v", err, time.Since(begin))
		}
		d.expect(t, "brief done", "long finished")
	})
}

func TestAServerThatFailsEndsTheProcess(t *testing.T) {
	life, d := lifecycle.Life{Grace: 5 * time.Second}, &diary{}
	life.Closer("database", d.step("database closed"))
	life.Server("http", func() error { return errBroken }, d.step("shut down"))
	if err := life.Run(t.Context()); !errors.Is(err, errBroken) || !strings.Contains(err.Error(), "http: ") {
		t.Errorf("got %v", err)
	}
	d.expect(t, "shut down", "database closed")
}

func TestAWorkerThatDoesNotFinishIsNamedAndAbandoned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		life, d := lifecycle.Life{Grace: 5 * time.Second}, &diary{}
		stuck := make(chan struct{})
		defer close(stuck)
		life.Closer("database", d.step("database closed"))
		life.Worker("stuck", func(context.Context) error { <-stuck; return nil })
		life.Worker("good", d.worker("good finished"))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		begin := time.Now()
		err := life.Run(ctx)
		if err == nil || !strings.HasSuffix(err.Error(), ": stuck") || time.Since(begin) != 5*time.Second {
			t.Errorf("got %v after %v", err, time.Since(begin))
		}
		d.expect(t, "good finished", "database closed")
	})
}

func TestEveryCloserIsCalledWhenAnotherHangsFailsOrPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		life, d := lifecycle.Life{Grace: 5 * time.Second}, &diary{}
		life.Closer("database", d.step("database closed"))
		life.Closer("failing", func(context.Context) error { return errBroken })
		life.Closer("panicking", func(context.Context) error { panic("oh") })
		life.Closer("hanging", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		err := life.Run(ctx)
		if !errors.Is(err, errBroken) || !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "panicking: panic: oh") {
			t.Errorf("got %v", err)
		}
		d.expect(t, "database closed")
	})
}

func TestAFailedStartClosesEverythingThatWasOpenedOnce(t *testing.T) {
	life, d := lifecycle.Life{Grace: 5 * time.Second}, &diary{}
	life.Closer("database", d.step("database closed"))
	life.Closer("cache", d.step("cache closed"))
	for range 2 {
		if err := life.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	d.expect(t, "cache closed", "database closed")
}
