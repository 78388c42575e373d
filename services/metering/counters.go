package metering

import (
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/utils/required"
)

// Counters counts what happens too often to be stored one by one: tokens and
// requests. Counting is a memory look-up and an addition. What one process counts
// of a project's meter in one minute is one fact, which each flush brings up to
// date: a crash loses what was counted since the last flush and nothing else.
type Counters struct {
	facts  *database.UsageMetrics
	totals *database.UsageTotals
	holder string
	// metrics is nil where projects are not measured.
	metrics *ProjectMetrics
	log     zerolog.Logger
	now     func() time.Time

	counts sync.Map // counted → *atomic.Int64

	// flushing is held by the one who flushes. minutes are the facts of this
	// minute, and those of earlier ones whose storing was not confirmed.
	flushing sync.Mutex
	minutes  map[string]*minuteFact
	// known are the totals of this hour that are there, for the mark that a
	// crash before the next one would leave out.
	known map[string]bool
	hour  time.Time
}

type counted struct {
	project models.ProjectID
	meter   models.Meter
}

// minuteFact is a fact that grows for a minute.
type minuteFact struct {
	models.UsageFact
	// changed tells that its value is not known to be stored; stored that some
	// value is.
	changed, stored bool
}

// CountersConfig of NewCounters. Fields without "optional" in their comment are
// required.
type CountersConfig struct {
	Facts  *database.UsageMetrics
	Totals *database.UsageTotals
	// Holder names the process; each start of a process needs its own name.
	Holder string
	// Metrics counts for Prometheus too; optional.
	Metrics *ProjectMetrics `optional:"true"`
	Log     zerolog.Logger
	Now     func() time.Time
}

// NewCounters fails if a required field is missing.
func NewCounters(c CountersConfig) (*Counters, error) {
	return &Counters{facts: c.Facts, totals: c.Totals, holder: c.Holder, metrics: c.Metrics, log: c.Log, now: c.Now, minutes: map[string]*minuteFact{}},
		required.Fields(c)
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

// Flush stores what was counted since the last one. What could not be stored is
// stored by the next: values only grow, so an answer that was lost doubles
// nothing.
func (c *Counters) Flush(ctx context.Context) error {
	c.flushing.Lock()
	defer c.flushing.Unlock()
	c.collect()
	var fresh, grown []models.UsageFact
	for _, f := range c.minutes {
		switch {
		case f.changed && f.stored:
			grown = append(grown, f.UsageFact)
		case f.changed:
			fresh = append(fresh, f.UsageFact)
		}
	}
	marks, err := c.announce(ctx, slices.Concat(fresh, grown))
	if err != nil {
		return err
	}
	for batch := range slices.Chunk(fresh, database.MaxBatch) {
		if err := c.facts.PutCounts(ctx, batch); err != nil {
			return err
		}
	}
	if err := c.facts.RaiseCounts(ctx, grown); err != nil {
		return err
	}
	if err := c.totals.Touch(ctx, marks); err != nil {
		return err
	}
	for _, f := range c.minutes {
		f.changed, f.stored = false, true
	}
	return nil
}

// collect adds the counts to the facts of this minute, which are named by
// process, minute, project and meter, and drops those that are over and stored.
func (c *Counters) collect() {
	minute := c.now().UTC().Truncate(time.Minute)
	maps.DeleteFunc(c.minutes, func(_ string, f *minuteFact) bool { return !f.changed && f.Timestamp.Before(minute) })
	prefix := c.holder + "|" + minute.Format("2006-01-02T15:04") + "|"
	c.counts.Range(func(key, value any) bool {
		k, n := key.(counted), value.(*atomic.Int64).Swap(0)
		if n == 0 {
			return true
		}
		id := prefix + string(k.project) + "|" + string(k.meter)
		f := c.minutes[id]
		if f == nil {
			f = &minuteFact{UsageFact: models.UsageFact{ID: id, ProjectID: k.project, Meter: k.meter, Timestamp: minute}}
			c.minutes[id] = f
		}
		f.Value += float64(n)
		f.changed = true
		if c.metrics != nil {
			c.metrics.add(k.project, k.meter, float64(n))
		}
		return true
	})
	if c.metrics != nil {
		c.metrics.rank(c.now())
	}
}

// announce gives the totals that facts are part of, and makes those that are not
// there yet: after a crash CatchUp looks at the facts of every
// total of the hour.
func (c *Counters) announce(ctx context.Context, facts []models.UsageFact) ([]models.UsageTotal, error) {
	marks := map[string]models.UsageTotal{}
	for i := range facts {
		t := hourTotal(facts[i].ProjectID, facts[i].Meter, facts[i].Timestamp)
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
