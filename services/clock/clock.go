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

// longestAnswer is how long the database may take for its answer to tell the
// time: the error is half of that.
const longestAnswer = time.Second

// Store reads the database's clock for a process.
type Store interface {
	Read(ctx context.Context, process string) (time.Time, error)
}

// Clock knows how far the process's clock is ahead of the database's.
type Clock struct {
	store   Store
	process string
	now     func() time.Time
	log     zerolog.Logger
	// ahead is in nanoseconds; 0 until it is measured.
	ahead atomic.Int64
}

// New returns a Clock that takes both clocks to agree until Measure.
func New(store Store, process string, now func() time.Time, log zerolog.Logger) *Clock {
	return &Clock{store: store, process: process, now: now, log: log}
}

// Measure compares the clocks, and warns if they differ. It is the pass of a worker.
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
	ahead := before.Add(took / 2).Sub(theirs)
	c.ahead.Store(int64(ahead))
	if ahead.Abs() >= models.ClockWarning {
		c.log.Warn().Dur("ahead", ahead).Msg("this machine's clock differs from the database's; synchronize it (NTP)")
	}
	return nil
}

// Ahead is how far the process's clock is ahead of the database's, as measured last.
func (c *Clock) Ahead() time.Duration { return time.Duration(c.ahead.Load()) }

// Database is the time by the database's clock.
func (c *Clock) Database() time.Time { return c.now().Add(-c.Ahead()) }

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
