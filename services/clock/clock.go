package clock

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"pulse-control-plane/models"
)

const (
	// longestAnswer is how long the database may take for its answer to tell the
	// time: the error is half of that.
	longestAnswer = time.Second
	// readEvery is the time between two readings of the database's clock.
	readEvery = time.Minute
	// steppedBy is how much the process's clock may be set without a new reading.
	steppedBy = time.Second
)

// Store reads the database's clock for a process.
type Store interface {
	Read(ctx context.Context, process string) (time.Time, error)
}

// Clock follows the database's clock: from a reading on it counts the time that passes by
// the monotonic clock, so that setting the process's clock (NTP) changes nothing.
type Clock struct {
	store   Store
	process string
	now     func() time.Time
	log     zerolog.Logger
	// last is nil until the database's clock is read.
	last atomic.Pointer[reading]
}

// reading is a time by both clocks; own has a monotonic clock's reading too.
type reading struct{ own, database time.Time }

// New returns a Clock that takes both clocks to agree until Measure.
func New(store Store, process string, now func() time.Time, log zerolog.Logger) *Clock {
	return &Clock{store: store, process: process, now: now, log: log}
}

// Follow measures if the last reading is a minute old, or if the process's clock was
// set since or the machine slept, which the monotonic clock does not count. It is the
// pass of a worker.
func (c *Clock) Follow(ctx context.Context) error {
	if last := c.last.Load(); last != nil {
		now := c.now()
		passed := now.Sub(last.own)
		if set := now.Round(0).Sub(last.own.Round(0)) - passed; passed < readEvery && set.Abs() < steppedBy {
			return nil
		}
	}
	return c.Measure(ctx)
}

// Measure compares the clocks, and warns if they differ.
func (c *Clock) Measure(ctx context.Context) error {
	before, began := c.now(), time.Now()
	theirs, err := c.store.Read(ctx, c.process)
	took := time.Since(began)
	if err != nil {
		return err
	}
	if took > longestAnswer {
		return models.Unavailable(errors.New("clock: the database answered too slowly to compare clocks"))
	}
	c.last.Store(&reading{before.Add(took / 2), theirs.UTC()})
	if ahead := c.Ahead(); ahead.Abs() >= models.ClockWarning {
		c.log.Warn().Dur("ahead", ahead).Msg("this machine's clock differs from the database's; synchronize it (NTP)")
	}
	return nil
}

// Ahead is how far the process's clock is ahead of the database's.
func (c *Clock) Ahead() time.Duration {
	now := c.now()
	// Round drops the monotonic reading: what the clock shows counts.
	return now.Round(0).Sub(c.at(now))
}

// Database is the time by the database's clock.
func (c *Clock) Database() time.Time { return c.at(c.now()) }

func (c *Clock) at(now time.Time) time.Time {
	last := c.last.Load()
	if last == nil {
		return now.Round(0)
	}
	return last.database.Add(now.Sub(last.own))
}

// Check fails if the clocks differ too much to serve. It is a probe.
func (c *Clock) Check(context.Context) error {
	if ahead := c.Ahead(); ahead.Abs() >= models.ClockLimit {
		return fmt.Errorf("clock: %s ahead of the database's", ahead)
	}
	return nil
}

// Register registers the metric pulse_clock_offset_seconds.
func (c *Clock) Register(registry prometheus.Registerer) {
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "pulse_clock_offset_seconds", Help: "How far this process's clock is ahead of the database's.",
	}, func() float64 { return c.Ahead().Seconds() }))
}
