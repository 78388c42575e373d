package usage

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/utils/required"
)

const (
	// settleBatch is how many totals of each window one pass computes.
	settleBatch = 500
	// settleParallel is how many of them are computed at a time.
	settleParallel = 4
	// unsettledCounted bounds the count of unsettled totals.
	unsettledCounted = 10_000
	// sessionsPerSecond is how many usage sessions settling reads a second for the
	// peak of one hour that keeps changing.
	sessionsPerSecond = 200
	// restingTotals bounds the totals that rest at a time.
	restingTotals = 1_000
)

// Totals computes the hourly and daily totals: each from the facts of its hour, or
// the hours of its day, whenever it was marked.
type Totals struct {
	c TotalsConfig
	// resting contains when the peaks of large hours may be settled again: each
	// is computed from all of the hour's usage sessions. Reads compute what is
	// marked anyway, so no answer is late.
	resting   map[string]time.Time
	restingMu sync.Mutex
}

// TotalsConfig of NewTotals; every field is required.
type TotalsConfig struct {
	Totals   *database.UsageTotals
	Facts    *database.UsageMetrics
	Sessions *database.UsageSessions
	Now      func() time.Time
}

// NewTotals builds the service. It fails if a required field is missing.
func NewTotals(c TotalsConfig) (*Totals, error) {
	return &Totals{c: c, resting: map[string]time.Time{}}, required.Fields(c)
}

// CatchUp marks the totals of the last two hours: the process that counted before
// may have died between a fact and its mark.
func (t *Totals) CatchUp(ctx context.Context) error {
	return t.c.Totals.TouchSince(ctx, models.WindowHour.Start(t.c.Now().Add(-time.Hour)))
}

// Settle computes marked totals of all projects: a bounded number of hours, then
// of days.
func (t *Totals) Settle(ctx context.Context) error {
	hours, err := t.dirtyHours(ctx)
	if err != nil {
		return err
	}
	if err := t.settleHours(ctx, hours); err != nil {
		return err
	}
	days, err := t.c.Totals.Dirty(ctx, models.WindowDay, settleBatch)
	if err != nil {
		return err
	}
	return t.each(ctx, days, t.day)
}

// dirtyHours gives up to settleBatch marked hours that don't rest. It reads as many
// more as rest, because those could otherwise fill each batch.
func (t *Totals) dirtyHours(ctx context.Context) ([]models.UsageTotal, error) {
	resting := t.rested()
	hours, err := t.c.Totals.Dirty(ctx, models.WindowHour, settleBatch+int64(len(resting)))
	if err != nil {
		return nil, err
	}
	hours = slices.DeleteFunc(hours, func(total models.UsageTotal) bool { return resting[total.ID] })
	return hours[:min(len(hours), settleBatch)], nil
}

// rested gives the ids of the totals that rest now, and forgets when the others did.
func (t *Totals) rested() map[string]bool {
	now := t.c.Now()
	t.restingMu.Lock()
	defer t.restingMu.Unlock()
	maps.DeleteFunc(t.resting, func(_ string, until time.Time) bool { return !now.Before(until) })
	ids := make(map[string]bool, len(t.resting))
	for id := range t.resting {
		ids[id] = true
	}
	return ids
}

// rest lets a total rest after it was computed from a number of usage sessions.
func (t *Totals) rest(total *models.UsageTotal, sessions int) {
	if sessions < sessionsPerSecond {
		return
	}
	t.restingMu.Lock()
	defer t.restingMu.Unlock()
	if len(t.resting) < restingTotals {
		t.resting[total.ID] = t.c.Now().Add(time.Duration(sessions) * time.Second / sessionsPerSecond)
	}
}

// Current gives a project's totals of a window that begin in [start, end), in
// order of time, as they are now: what was touched since it was settled is
// computed in memory, up to settleBatch hours, and nothing is stored.
func (t *Totals) Current(ctx context.Context, p models.ProjectID, w models.Window, start, end time.Time) ([]models.UsageTotal, error) {
	totals, err := t.c.Totals.Of(ctx, p, w, start, end, totalsRead)
	if err != nil {
		return nil, err
	}
	hours, err := t.c.Totals.DirtyOf(ctx, p, models.WindowHour, start, end, settleBatch)
	if err != nil {
		return nil, err
	}
	if err := t.compute(ctx, hours, t.hour); err != nil {
		return nil, err
	}
	values := map[string]float64{}
	for i := range hours {
		values[hours[i].ID] = hours[i].Value
	}
	if w == models.WindowHour {
		for i := range totals {
			if value, computed := values[totals[i].ID]; computed {
				totals[i].Value = value
			}
		}
		return totals, nil
	}
	return t.withDays(ctx, totals, hours, values)
}

// withDays computes the days of hours that were touched, and those that were
// touched themselves.
func (t *Totals) withDays(ctx context.Context, totals, hours []models.UsageTotal, values map[string]float64) ([]models.UsageTotal, error) {
	days := map[string]models.UsageTotal{}
	for i := range hours {
		day := models.NewUsageTotal(hours[i].ProjectID, hours[i].Meter, models.WindowDay, hours[i].Start)
		days[day.ID] = day
	}
	for i := range totals {
		if totals[i].Dirty {
			days[totals[i].ID] = totals[i]
		}
	}
	changed := slices.Collect(maps.Values(days))
	if err := t.compute(ctx, changed, func(ctx context.Context, day *models.UsageTotal) error { return t.dayOf(ctx, day, values) }); err != nil {
		return nil, err
	}
	totals = slices.DeleteFunc(totals, func(total models.UsageTotal) bool { _, again := days[total.ID]; return again })
	totals = append(totals, changed...)
	slices.SortFunc(totals, func(a, b models.UsageTotal) int { return a.Start.Compare(b.Start) })
	return totals, nil
}

// settleHours marks the days before it computes their hours: after a crash in
// between the hours are still dirty and mark the days again.
func (t *Totals) settleHours(ctx context.Context, hours []models.UsageTotal) error {
	days := map[string]models.UsageTotal{}
	for i := range hours {
		day := models.NewUsageTotal(hours[i].ProjectID, hours[i].Meter, models.WindowDay, hours[i].Start)
		days[day.ID] = day
	}
	marks := make([]models.UsageTotal, 0, len(days))
	for _, day := range days {
		marks = append(marks, day)
	}
	if err := t.c.Totals.Touch(ctx, marks); err != nil {
		return err
	}
	return t.each(ctx, hours, func(ctx context.Context, total *models.UsageTotal) error {
		sessions, err := t.hourFrom(ctx, total)
		if err == nil {
			t.rest(total, sessions)
		}
		return err
	})
}

// each computes totals and stores them.
func (t *Totals) each(ctx context.Context, totals []models.UsageTotal, compute func(context.Context, *models.UsageTotal) error) error {
	return t.compute(ctx, totals, func(ctx context.Context, total *models.UsageTotal) error {
		if err := compute(ctx, total); err != nil {
			return err
		}
		return t.c.Totals.Settle(ctx, total)
	})
}

func (t *Totals) compute(ctx context.Context, totals []models.UsageTotal, compute func(context.Context, *models.UsageTotal) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(settleParallel)
	for i := range totals {
		group.Go(func() error { return compute(ctx, &totals[i]) })
	}
	return group.Wait()
}

// Computed gives what a total is by now: an hour from its facts (a peak from usage
// sessions), a day from its hours.
func (t *Totals) Computed(ctx context.Context, total models.UsageTotal) (float64, error) {
	compute := t.hour
	if total.Window == models.WindowDay {
		compute = t.day
	}
	err := compute(ctx, &total)
	return total.Value, err
}

func (t *Totals) hour(ctx context.Context, total *models.UsageTotal) error {
	_, err := t.hourFrom(ctx, total)
	return err
}

// hourFrom computes an hour and returns how many usage sessions it read for that.
func (t *Totals) hourFrom(ctx context.Context, total *models.UsageTotal) (sessions int, err error) {
	end := total.Start.Add(time.Hour)
	if total.Meter == models.MeterPeak {
		total.Value, sessions, err = t.peak(ctx, total.ProjectID, total.Start, end)
	} else {
		total.Value, err = t.c.Facts.Sum(ctx, total.ProjectID, total.Meter, total.Start, end)
	}
	return sessions, err
}

func (t *Totals) day(ctx context.Context, total *models.UsageTotal) error {
	return t.dayOf(ctx, total, nil)
}

// dayOf adds up the hours of a day, some of which have later values than those
// that are stored.
func (t *Totals) dayOf(ctx context.Context, total *models.UsageTotal, later map[string]float64) error {
	hours, err := t.c.Totals.Of(ctx, total.ProjectID, models.WindowHour, total.Start, models.WindowDay.Next(total.Start), database.MaxBatch)
	if err != nil {
		return err
	}
	total.Value = 0
	for i := range hours {
		if hours[i].Meter != total.Meter {
			continue
		}
		value, computed := later[hours[i].ID]
		if !computed {
			value = hours[i].Value
		}
		total.Value = combine(total.Meter, total.Value, value)
	}
	return nil
}

// Unsettled counts the totals that are to be computed again, up to 10,000.
func (t *Totals) Unsettled(ctx context.Context) (int64, error) {
	return t.c.Totals.CountDirty(ctx, unsettledCounted)
}

// combine combines the values of two windows: the sum, or the higher of two peaks.
func combine(m models.Meter, a, b float64) float64 {
	if m == models.MeterPeak {
		return max(a, b)
	}
	return a + b
}
