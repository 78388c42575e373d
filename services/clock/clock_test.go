package clock

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"pulse-control-plane/database"
	"pulse-control-plane/database/testkit"
)

func TestAClockThatDiffersIsMeasuredWarnedOfAndAtFiveSecondsNotReady(t *testing.T) {
	engine := testkit.NewEngine(t)
	var offset time.Duration
	var log bytes.Buffer
	c := New(database.NewClockReadings(engine), "proc_a", func() time.Time { return time.Now().Add(offset) }, zerolog.New(&log))
	registry := prometheus.NewRegistry()
	c.Register(registry)
	for _, step := range []struct {
		offset       time.Duration
		warns, fails bool
	}{{0, false, false}, {-1500 * time.Millisecond, false, false}, {2500 * time.Millisecond, true, false}, {-3 * time.Second, true, false},
		{6 * time.Second, true, true}, {-time.Hour, true, true}, {0, false, false}} {
		offset = step.offset
		log.Reset()
		if err := c.Measure(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := c.Ahead() - step.offset; got.Abs() > 200*time.Millisecond {
			t.Errorf("%s is measured as %s", step.offset, c.Ahead())
		}
		if got := time.Since(c.Database()).Abs(); got > 200*time.Millisecond {
			t.Errorf("at %s the database's time is off by %s", step.offset, got)
		}
		if warned := strings.Contains(log.String(), `"level":"warn"`); warned != step.warns {
			t.Errorf("%s: the log is %q", step.offset, log.String())
		}
		if err := c.Check(context.Background()); (err != nil) != step.fails {
			t.Errorf("%s: %v", step.offset, err)
		}
		found, err := registry.Gather()
		if err != nil || found[0].GetName() != "pulse_clock_offset_seconds" || (found[0].GetMetric()[0].GetGauge().GetValue()-step.offset.Seconds()) > 0.2 {
			t.Errorf("the metric is %v, %v", found, err)
		}
	}
}

func TestSettingTheProcessesClockMovesNoTimeOfTheServicesAndIsNoticedAtOnce(t *testing.T) {
	engine := testkit.NewEngine(t)
	var set time.Duration
	reads := 0
	store := countedReads{database.NewClockReadings(engine), &reads}
	c := New(store, "proc_a", func() time.Time { return testkit.Stepped(time.Now(), set) }, zerolog.Nop())
	follow := func() {
		t.Helper()
		if err := c.Follow(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	follow()
	begin, before := time.Now(), c.Database()
	for _, set = range []time.Duration{0, time.Hour, -time.Hour, 6 * time.Second, -6 * time.Second, 0} {
		for range 2 { // before and after the clocks are compared again
			if off := c.Database().Sub(before) - time.Since(begin); off.Abs() > 200*time.Millisecond {
				t.Errorf("set by %s, the services' time moved by %s", set, off)
			}
			if off := c.Ahead() - set; off.Abs() > 200*time.Millisecond {
				t.Errorf("set by %s, the clock is said to be ahead by %s", set, c.Ahead())
			}
			if err := c.Check(t.Context()); (err != nil) != (set != 0) {
				t.Errorf("set by %s: %v", set, err)
			}
			had := reads
			follow()
			follow()
			if reads > had+1 {
				t.Errorf("set by %s, the database was asked %d times", set, reads-had)
			}
		}
	}
	if reads != 6 {
		t.Errorf("the database was asked %d times, not once at first and once for each time the clock was set", reads)
	}
}

type countedReads struct {
	Store
	n *int
}

func (c countedReads) Read(ctx context.Context, process string) (time.Time, error) {
	*c.n++
	return c.Store.Read(ctx, process)
}
