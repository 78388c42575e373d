package counters

import (
	"context"
	"maps"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/utils/required"
)

const (
	// directFacts is how many facts a flush writes at once. Beyond it counts go to the
	// journal first: a fact costs several index entries, a count in the journal none.
	directFacts = 1_000
	// drainFlushes is over how many flushes the facts of the journal are written, so
	// that most get their value for the whole minute in one write.
	drainFlushes = 60
	// quietFlushes is after how many flushes without a count a counter is forgotten.
	quietFlushes = 120
	// retired is the value of a forgotten counter: a caller that still has it sees that
	// the sum is negative.
	retired = math.MinInt64 / 2
)

// Counters counts what happens too often to be stored one by one: tokens and
// requests. Counting is a memory look-up and an addition. What one process counts
// of a project's meter in one minute is one fact. Each flush makes every count
// durable: in its fact, or, if more than directFacts facts changed since the last
// flush, in the journal, and in the fact about a minute later. A crash loses what
// was counted since the last flush and nothing else.
type Counters struct {
	facts  *database.UsageMetrics
	totals *database.UsageTotals
	holder string
	// metrics is nil where projects are not measured.
	metrics *ProjectMetrics
	log     zerolog.Logger
	now     func() time.Time

	counts sync.Map // counted → *counter

	// flushing is held by the one who flushes. minutes are the facts of this minute,
	// and those of others whose value is not in the fact.
	flushing sync.Mutex
	minutes  map[string]*minuteFact
	minute   time.Time
	// setBack is a millisecond for each time that the clock went back to an earlier
	// minute. It is added to the minutes from then on, so that no fact is begun twice:
	// it would keep only the larger one of its values.
	setBack time.Duration
	// changed are the facts with a value that is not known to be durable.
	changed []*minuteFact
	journal *journal
	// known are the totals of this hour that are there, for the mark that a
	// crash before the next one would leave out.
	known map[string]bool
	hour  time.Time
}

// counter is what was counted of a project's meter since the last flush, and for how
// many flushes that has been nothing, which only the one who flushes uses.
type counter struct {
	n     atomic.Int64
	quiet int
}

type counted struct {
	project models.ProjectID
	meter   models.Meter
}

// minuteFact is a fact that grows for a minute.
type minuteFact struct {
	models.UsageFact
	// changed tells that its value is not known to be durable; stored that some
	// value is in the fact.
	changed, stored bool
	// page is the page of the journal that has the latest value, until that is in the
	// fact; nil if there is none.
	page *journalPage
}

// Config of New. Fields without "optional" in their comment are
// required.
type Config struct {
	Facts   *database.UsageMetrics
	Totals  *database.UsageTotals
	Journal *database.CounterJournal
	// Holder names the process; each start of a process needs its own name.
	Holder string
	// Exclusive tells that no other process counts.
	Exclusive bool
	// Metrics counts for Prometheus too; optional.
	Metrics *ProjectMetrics `optional:"true"`
	Log     zerolog.Logger
	Now     func() time.Time
}

// New fails if a required field is missing.
func New(c Config) (*Counters, error) {
	return &Counters{facts: c.Facts, totals: c.Totals, holder: c.Holder, metrics: c.Metrics, log: c.Log, now: c.Now, minutes: map[string]*minuteFact{},
		journal: &journal{store: c.Journal, holder: c.Holder, exclusive: c.Exclusive}}, required.Fields(c)
}

// Count adds one to a project's meter.
func (c *Counters) Count(p models.ProjectID, m models.Meter) {
	key := counted{p, m}
	for {
		n, known := c.counts.Load(key)
		if !known {
			n, _ = c.counts.LoadOrStore(key, new(counter))
		}
		if n.(*counter).n.Add(1) > 0 {
			return
		}
		c.counts.CompareAndDelete(key, n)
	}
}

// Flush makes durable what was counted since the last one. What could not be stored is
// stored by the next: values only grow, so an answer that was lost doubles
// nothing.
func (c *Counters) Flush(ctx context.Context) error {
	c.flushing.Lock()
	defer c.flushing.Unlock()
	c.collect()
	if len(c.changed) > directFacts {
		if err := c.journal.write(ctx, c.changed, c.now().UTC()); err != nil {
			return err
		}
		for _, f := range c.changed {
			f.changed = false
		}
		c.changed = nil
	}
	share := max(directFacts, c.journal.facts/drainFlushes)
	due := append(slices.Clone(c.changed), c.journal.oldest(share-len(c.changed))...)
	if err := c.write(ctx, due); err != nil {
		return err
	}
	for _, f := range due {
		f.changed, f.stored = false, true
		c.journal.left(f)
	}
	c.changed = nil
	return c.journal.removeStored(ctx)
}

// collect adds the counts to the facts of this minute, which are named by
// process, minute, project and meter.
func (c *Counters) collect() {
	minute := c.now().UTC().Truncate(time.Minute)
	if minute.Add(c.setBack).Before(c.minute) {
		c.setBack += time.Millisecond
	}
	minute = minute.Add(c.setBack)
	if !minute.Equal(c.minute) {
		maps.DeleteFunc(c.minutes, func(_ string, f *minuteFact) bool { return !f.changed && f.page == nil && !f.Timestamp.Equal(minute) })
		c.minute = minute
	}
	c.counts.Range(func(key, value any) bool {
		k, one := key.(counted), value.(*counter)
		n := one.n.Swap(0)
		if n == 0 {
			if one.quiet++; one.quiet > quietFlushes && one.n.CompareAndSwap(0, retired) {
				c.counts.CompareAndDelete(key, value)
			}
			return true
		}
		one.quiet = 0
		id := countID(c.holder, minute, k.project, k.meter)
		f := c.minutes[id]
		if f == nil {
			f = &minuteFact{UsageFact: models.UsageFact{ID: id, ProjectID: k.project, Meter: k.meter, Timestamp: minute}}
			c.minutes[id] = f
		}
		f.Value += float64(n)
		if !f.changed {
			f.changed = true
			c.changed = append(c.changed, f)
		}
		if c.metrics != nil {
			c.metrics.add(k.project, k.meter, float64(n))
		}
		return true
	})
	if c.metrics != nil {
		c.metrics.rank(c.now())
	}
}

// countID is the id of the fact of what a process counts of a project's meter in a
// minute.
func countID(holder string, minute time.Time, p models.ProjectID, m models.Meter) string {
	return holder + "|" + minute.UTC().Format("2006-01-02T15:04:05.999") + "|" + string(p) + "|" + string(m)
}

// write stores facts and marks their totals.
func (c *Counters) write(ctx context.Context, list []*minuteFact) error {
	var fresh, grown []models.UsageFact
	for _, f := range list {
		if f.stored {
			grown = append(grown, f.UsageFact)
		} else {
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
	return c.totals.Touch(ctx, marks)
}

// announce gives the totals that facts are part of, and makes those that are not
// there yet: after a crash CatchUp looks at the facts of every
// total of the hour.
func (c *Counters) announce(ctx context.Context, facts []models.UsageFact) ([]models.UsageTotal, error) {
	marks := map[string]models.UsageTotal{}
	for i := range facts {
		t := models.NewUsageTotal(facts[i].ProjectID, facts[i].Meter, models.WindowHour, facts[i].Timestamp)
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
