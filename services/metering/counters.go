package metering

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
)

const (
	// lastFlush bounds the flush at shutdown.
	lastFlush = 5 * time.Second
)

// Counters counts tokens and requests, which are too frequent to be stored one by
// one. Count is a memory look-up and an addition; once a second the counts become
// usage facts.
type Counters struct {
	facts  *database.UsageMetrics
	totals *database.UsageTotals
	holder string
	log    zerolog.Logger
	now    func() time.Time

	counts sync.Map // counted → *atomic.Int64

	// flushing serializes flushes. pending are facts whose write was not
	// confirmed: they are written again unchanged before new ones are made, so
	// that a lost response counts nothing twice.
	flushing sync.Mutex
	pending  []models.UsageFact
	flushes  int64
	// known are the totals of this hour that exist. A total must exist before its
	// first fact, so that CatchUp finds it after a crash.
	known map[string]bool
	hour  time.Time
}

type counted struct {
	project models.ProjectID
	meter   models.Meter
}

// NewCounters counts for one process; holder must differ for each start of a
// process.
func NewCounters(facts *database.UsageMetrics, totals *database.UsageTotals, holder string, log zerolog.Logger, now func() time.Time) *Counters {
	return &Counters{facts: facts, totals: totals, holder: holder, log: log, now: now}
}

// Count adds one to a project's meter.
func (c *Counters) Count(p models.ProjectID, m models.Meter) {
	key := counted{p, m}
	n, known := c.counts.Load(key)
	if !known {
		n, _ = c.counts.LoadOrStore(key, new(atomic.Int64))
	}
	n.(*atomic.Int64).Add(1)
}

// Flush stores the counts since the last flush.
func (c *Counters) Flush(ctx context.Context) error {
	c.flushing.Lock()
	defer c.flushing.Unlock()
	if len(c.pending) > 0 {
		if err := c.store(ctx); err != nil {
			return err
		}
	}
	c.collect()
	return c.store(ctx)
}

// collect turns the counts into facts whose ids name process, flush, project and
// meter.
func (c *Counters) collect() {
	now := c.now().UTC()
	c.flushes++
	c.counts.Range(func(key, value any) bool {
		k, n := key.(counted), value.(*atomic.Int64).Swap(0)
		if n > 0 {
			c.pending = append(c.pending, models.UsageFact{
				ID:        c.holder + "|" + strconv.FormatInt(c.flushes, 36) + "|" + string(k.project) + "|" + string(k.meter),
				ProjectID: k.project, Meter: k.meter, Timestamp: now, Value: float64(n),
			})
		}
		return true
	})
}

func (c *Counters) store(ctx context.Context) error {
	marks, err := c.announce(ctx)
	if err != nil {
		return err
	}
	for rest := c.pending; len(rest) > 0; {
		batch := rest[:min(len(rest), database.MaxBatch)]
		rest = rest[len(batch):]
		if err := c.facts.PutOnce(ctx, batch); err != nil {
			return err
		}
	}
	if err := c.totals.Touch(ctx, marks); err != nil {
		return err
	}
	c.pending = c.pending[:0]
	return nil
}

// announce returns the totals of the pending facts and creates missing ones: after
// a crash CatchUp recomputes every existing total of the hour.
func (c *Counters) announce(ctx context.Context) ([]models.UsageTotal, error) {
	marks := map[string]models.UsageTotal{}
	for i := range c.pending {
		t := hourTotal(c.pending[i].ProjectID, c.pending[i].Meter, c.pending[i].Timestamp)
		marks[t.ID] = t
	}
	if hour := models.WindowHour.Start(c.now()); !hour.Equal(c.hour) {
		c.hour, c.known = hour, map[string]bool{}
	}
	var all, fresh []models.UsageTotal
	for id, t := range marks {
		all = append(all, t)
		if !c.known[id] {
			fresh = append(fresh, t)
		}
	}
	if err := c.totals.Touch(ctx, fresh); err != nil {
		return nil, err
	}
	for i := range fresh {
		c.known[fresh[i].ID] = true
	}
	return all, nil
}
