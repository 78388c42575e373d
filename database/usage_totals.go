package database

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

const usageTotals = "usage_totals"

// usageTotalsCollection holds the hourly and daily usage totals; they are never
// pruned.
func usageTotalsCollection() Collection {
	return Collection{
		Name: usageTotals,
		Fields: []Field{
			{Name: "project_id", Kind: String}, {Name: "meter", Kind: String}, {Name: "window", Kind: String}, {Name: "start", Kind: Time}, {Name: "value", Kind: Float},
			{Name: "dirty", Kind: Bool}, {Name: "touches", Kind: Int},
		},
		Indexes: []Index{
			{Keys: []string{"project_id", "window", "start"}},
			{Keys: []string{"dirty", "window"}},
			{Keys: []string{"project_id", "dirty"}},
			{Keys: []string{"window", "start"}},
		},
	}
}

// UsageTotals is the repository of usage totals.
type UsageTotals struct{ engine Engine }

// NewUsageTotals returns the repository over an engine.
func NewUsageTotals(e Engine) *UsageTotals { return &UsageTotals{e} }

// Touch marks totals as dirty and creates missing ones. Call it after the facts
// are stored and before their cause is marked as done.
func (r *UsageTotals) Touch(ctx context.Context, totals []models.UsageTotal) error {
	for len(totals) > 0 {
		batch := totals[:min(len(totals), MaxBatch)]
		totals = totals[len(batch):]
		names := make([]string, len(batch))
		for i := range batch {
			names[i] = batch[i].ID
		}
		touch := bson.D{{Key: "$inc", Value: bson.D{{Key: "touches", Value: int64(1)}}},
			{Key: "$set", Value: bson.D{{Key: "dirty", Value: true}}}}
		matched, err := r.engine.Update(ctx, usageTotals,
			bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: names}}}}, touch, UpdateOptions{Many: true})
		if err != nil {
			return err
		}
		if matched == int64(len(batch)) {
			continue
		}
		docs := make([]any, len(batch))
		for i := range batch {
			batch[i].Dirty, batch[i].Touches = true, 1
			docs[i] = &batch[i]
		}
		if _, err := r.engine.InsertMany(ctx, usageTotals, docs); err != nil {
			return err
		}
	}
	return nil
}

// TouchSince marks the hourly totals since start as dirty.
func (r *UsageTotals) TouchSince(ctx context.Context, start time.Time) error {
	_, err := r.engine.Update(ctx, usageTotals,
		bson.D{{Key: "window", Value: string(models.WindowHour)}, {Key: "start", Value: bson.D{{Key: "$gte", Value: start}}}},
		bson.D{{Key: "$inc", Value: bson.D{{Key: "touches", Value: int64(1)}}},
			{Key: "$set", Value: bson.D{{Key: "dirty", Value: true}}}}, UpdateOptions{Many: true})
	return err
}

// Dirty reads dirty totals of a window.
func (r *UsageTotals) Dirty(ctx context.Context, w models.Window, limit int64) ([]models.UsageTotal, error) {
	return many[models.UsageTotal](ctx, r.engine, usageTotals, Query{
		Filter: bson.D{{Key: "dirty", Value: true}, {Key: "window", Value: string(w)}}, Limit: limit,
	})
}

// CountDirty counts the dirty totals of all projects, up to limit.
func (r *UsageTotals) CountDirty(ctx context.Context, limit int64) (int64, error) {
	return r.engine.Count(ctx, usageTotals, bson.D{{Key: "dirty", Value: true}}, limit)
}

// DirtyOf reads the dirty totals of a project and window that begin in [start,
// end).
func (r *UsageTotals) DirtyOf(ctx context.Context, p models.ProjectID, w models.Window, start, end time.Time, limit int64) ([]models.UsageTotal, error) {
	return many[models.UsageTotal](ctx, r.engine, usageTotals, Query{
		Filter: bson.D{{Key: "project_id", Value: string(p)}, {Key: "dirty", Value: true}, {Key: "window", Value: string(w)},
			{Key: "start", Value: bson.D{{Key: "$gte", Value: start}, {Key: "$lt", Value: end}}}},
		Limit: limit,
	})
}

// Settle stores the value of a total that was computed when it had been touched
// t.Touches times, and marks it as clean. If it was touched since, it stores
// the value only while the total is dirty and will be computed again: another
// worker may have stored a later value.
func (r *UsageTotals) Settle(ctx context.Context, t *models.UsageTotal) error {
	matched, err := r.engine.Update(ctx, usageTotals,
		bson.D{{Key: "_id", Value: t.ID}, {Key: "touches", Value: t.Touches}},
		fields{{Key: "value", Value: t.Value}, {Key: "dirty", Value: false}}.update(), UpdateOptions{})
	if err != nil || matched == 1 {
		return err
	}
	_, err = r.engine.Update(ctx, usageTotals, bson.D{{Key: "_id", Value: t.ID}, {Key: "dirty", Value: true}},
		fields{{Key: "value", Value: t.Value}}.update(), UpdateOptions{})
	return err
}

// Of reads the totals of a project and window that start in [start, end).
func (r *UsageTotals) Of(ctx context.Context, p models.ProjectID, w models.Window, start, end time.Time, limit int64) ([]models.UsageTotal, error) {
	return many[models.UsageTotal](ctx, r.engine, usageTotals, Query{
		Filter: bson.D{{Key: "project_id", Value: string(p)}, {Key: "window", Value: string(w)},
			{Key: "start", Value: bson.D{{Key: "$gte", Value: start}, {Key: "$lt", Value: end}}}},
		Sort: bson.D{{Key: "start", Value: 1}}, Limit: limit,
	})
}
