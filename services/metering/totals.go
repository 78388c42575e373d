package metering

import (
	"cmp"
	"context"
	"slices"
	"time"

	"pulse-control-plane/utils/required"
	"pulse-control-plane/utils/times"

	"golang.org/x/sync/errgroup"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
)

const (
	// settleBatch is how many totals of each window one pass computes.
	settleBatch = 500
	// settleParallel is how many of them are computed at a time.
	settleParallel = 4
	// overlapping bounds the participants of one peak.
	overlapping = 2_000_000
)

// Totals computes the hourly and daily totals: each from the facts of its hour, or
// the hours of its day, whenever it was marked.
type Totals struct {
	c TotalsConfig
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
	return &Totals{c: c}, required.Fields(c)
}

// CatchUp marks the totals of the last two hours: the process that counted before
// may have died between a fact and its mark.
func (t *Totals) CatchUp(ctx context.Context) error {
	return t.c.Totals.TouchSince(ctx, models.WindowHour.Start(t.c.Now().Add(-time.Hour)))
}

// Settle computes marked totals of all projects: a bounded number of hours, then
// of days.
func (t *Totals) Settle(ctx context.Context) error {
	hours, err := t.c.Totals.Dirty(ctx, models.WindowHour, settleBatch)
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

// SettleProject computes the marked totals of one project, so that a report
// contains every event processed before it.
func (t *Totals) SettleProject(ctx context.Context, p models.ProjectID) error {
	hours, err := t.c.Totals.DirtyOf(ctx, p, models.WindowHour, settleBatch)
	if err != nil {
		return err
	}
	if err := t.settleHours(ctx, hours); err != nil {
		return err
	}
	days, err := t.c.Totals.DirtyOf(ctx, p, models.WindowDay, settleBatch)
	if err != nil {
		return err
	}
	return t.each(ctx, days, t.day)
}

// settleHours marks the days before it computes their hours: after a crash in
// between the hours are still dirty and mark the days again.
func (t *Totals) settleHours(ctx context.Context, hours []models.UsageTotal) error {
	days := map[string]models.UsageTotal{}
	for i := range hours {
		day := totalOf(hours[i].ProjectID, hours[i].Meter, models.WindowDay, hours[i].Start)
		days[day.ID] = day
	}
	marks := make([]models.UsageTotal, 0, len(days))
	for _, day := range days {
		marks = append(marks, day)
	}
	if err := t.c.Totals.Touch(ctx, marks); err != nil {
		return err
	}
	return t.each(ctx, hours, t.hour)
}

func (t *Totals) each(ctx context.Context, totals []models.UsageTotal, compute func(context.Context, *models.UsageTotal) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(settleParallel)
	for i := range totals {
		total := &totals[i]
		group.Go(func() error {
			if err := compute(ctx, total); err != nil {
				return err
			}
			return t.c.Totals.Settle(ctx, total)
		})
	}
	return group.Wait()
}

func (t *Totals) hour(ctx context.Context, total *models.UsageTotal) (err error) {
	end := total.Start.Add(time.Hour)
	if total.Meter == models.MeterPeak {
		total.Value, err = t.peak(ctx, total.ProjectID, total.Start, end)
	} else {
		total.Value, err = t.c.Facts.Sum(ctx, total.ProjectID, total.Meter, total.Start, end)
	}
	return err
}

func (t *Totals) day(ctx context.Context, total *models.UsageTotal) error {
	hours, err := t.c.Totals.Of(ctx, total.ProjectID, models.WindowHour, total.Start, models.WindowDay.Next(total.Start), database.MaxBatch)
	if err != nil {
		return err
	}
	total.Value = 0
	for i := range hours {
		if hours[i].Meter == total.Meter {
			total.Value = combine(total.Meter, total.Value, hours[i].Value)
		}
	}
	return nil
}

// combine combines the values of two windows: the sum, or the higher of two peaks.
func combine(m models.Meter, a, b float64) float64 {
	if m == models.MeterPeak {
		return max(a, b)
	}
	return a + b
}

// peak is the highest number of concurrent STANDARD participants in [start, end).
func (t *Totals) peak(ctx context.Context, p models.ProjectID, start, end time.Time) (float64, error) {
	var steps []step
	add := func(s models.UsageSession) error {
		if s.Meter() == models.MeterParticipantSeconds {
			steps = appendSteps(steps, &s, start, end, t.c.Now())
		}
		return nil
	}
	if err := t.c.Sessions.EachEnded(ctx, p, start, end, overlapping, add); err != nil {
		return 0, err
	}
	if err := t.c.Sessions.EachOpen(ctx, p, overlapping, add); err != nil {
		return 0, err
	}
	return peakOf(steps), nil
}

// step is a change of the number of participants.
type step struct {
	at time.Time
	by int
}

func appendSteps(steps []step, s *models.UsageSession, start, end, now time.Time) []step {
	from, until := s.JoinedAt, s.Until(now)
	if s.Open {
		until = times.Latest(until, end) // an open session lasts beyond the range
	}
	if from.Before(start) {
		from = start
	}
	if until.After(end) {
		until = end
	}
	if !until.After(from) {
		return steps
	}
	return append(steps, step{from, 1}, step{until, -1})
}

// peakOf returns the highest sum of steps in time order. A participant who leaves
// at the moment another joins does not overlap with them.
func peakOf(steps []step) float64 {
	slices.SortFunc(steps, func(a, b step) int {
		return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.by, b.by))
	})
	there, most := 0, 0
	for _, s := range steps {
		there += s.by
		most = max(most, there)
	}
	return float64(most)
}
