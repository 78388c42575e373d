package status

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"
)

// A LiveKit that accepts connections and never answers must not delay readiness,
// whose clients wait for a second or less.
func TestAHangingComponentDoesNotDelayTheReport(t *testing.T) {
	now := time.Now()
	var hangs atomic.Bool
	release := make(chan struct{})
	s := New(func() time.Time { return now },
		Probe{Name: "database", Essential: true, Check: func(context.Context) error { return nil }},
		Probe{Name: "livekit", Check: func(ctx context.Context) error {
			if hangs.Load() {
				<-release
				return errors.New("it hung")
			}
			return nil
		}})
	if got := s.Report(t.Context()); got.State != Operational || len(got.Components) != 2 {
		t.Fatalf("got %+v", got)
	}
	before := now
	now = now.Add(probeFor)
	hangs.Store(true)
	got := s.Report(t.Context()) // returns while the probe still hangs
	if got.State != Operational || !got.Components[0].CheckedAt.Equal(now) || !got.Components[1].CheckedAt.Equal(before) {
		t.Errorf("got %+v", got)
	}
	close(release)
	deadline := time.Now().Add(10 * time.Second)
	for got = s.Report(t.Context()); got.State != Degraded; got = s.Report(t.Context()) {
		if time.Now().After(deadline) {
			t.Fatalf("the report never shows the hanging component: %+v", got)
		}
	}
}

func TestAReportWaitsForEssentialComponents(t *testing.T) {
	now := time.Now()
	answers := make(chan error)
	s := New(func() time.Time { return now },
		Probe{Name: "database", Essential: true, Check: func(context.Context) error { return <-answers }})
	for _, want := range []State{Operational, Down, Operational} {
		reported := make(chan Report)
		go func() { reported <- s.Report(t.Context()) }()
		if want == Down {
			answers <- errors.New("away")
		} else {
			answers <- nil
		}
		if got := <-reported; got.State != want {
			t.Errorf("got %+v, want %s", got, want)
		}
		if got := s.Report(t.Context()); got.State != want { // valid: no probe runs
			t.Errorf("then %+v", got)
		}
		now = now.Add(probeFor)
	}
}

func TestConcurrentReportsShareOneMeasurement(t *testing.T) {
	var asked atomic.Int64
	release := make(chan struct{})
	s := New(time.Now, Probe{Name: "database", Essential: true, Check: func(context.Context) error {
		asked.Add(1)
		<-release
		return nil
	}})
	const many = 32
	reported := make(chan Report, many)
	for range many {
		go func() { reported <- s.Report(t.Context()) }()
	}
	close(release)
	for range many {
		if got := <-reported; got.State != Operational {
			t.Errorf("got %+v", got)
		}
	}
	if asked.Load() != 1 {
		t.Errorf("asked %d times", asked.Load())
	}
}

func TestAnImpairedComponentIsDegradedAndSaysWhatIsWrong(t *testing.T) {
	s := New(time.Now,
		Probe{Name: "events", Check: func(context.Context) error { return fmt.Errorf("inbox: %w", Impaired("no events")) }},
		Probe{Name: "livekit", Check: func(context.Context) error { return errors.New("dial tcp 10.0.0.7: refused") }})
	got := s.Report(t.Context())
	if got.State != Degraded || got.Components[0].State != Degraded || got.Components[0].Detail != "no events" ||
		got.Components[1].State != Down || got.Components[1].Detail != "" {
		t.Errorf("%+v", got)
	}
}
