package database

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"golang.org/x/sync/errgroup"

	"pulse-control-plane/models"
)

const usageMetrics = "usage_metrics"

// RawUsageRetention is how long usage facts are kept; hourly and daily usage
// totals stay.
const RawUsageRetention = 90 * 24 * time.Hour

// usageMetricsCollection holds the usage facts.
func usageMetricsCollection() Collection {
	retention := RawUsageRetention
	return Collection{
		Name: usageMetrics,
		Fields: []Field{
			{Name: "project_id", Kind: String}, {Name: "event_type", Kind: String}, {Name: "timestamp", Kind: Time}, {Name: "value", Kind: Float},
		},
		Indexes: []Index{
			{Keys: []string{"project_id"}},
			{Keys: []string{"project_id", "timestamp"}},
			{Keys: []string{"project_id", "timestamp", "_id"}},
			{Keys: []string{"event_type"}},
			{Keys: []string{"project_id", "event_type", "timestamp", "_id"}},
			{Keys: []string{"timestamp"}, ExpireAfter: &retention},
		},
	}
}

// parallelUpdates is how many facts are updated at a time.
const parallelUpdates = 64

// UsageMetrics is the repository of usage facts.
type UsageMetrics struct{ engine Engine }

// NewUsageMetrics returns the repository over an engine.
func NewUsageMetrics(e Engine) *UsageMetrics { return &UsageMetrics{e} }

// Put inserts or replaces usage facts.
func (r *UsageMetrics) Put(ctx context.Context, facts []models.UsageFact) error {
	for len(facts) > 0 {
		batch := facts[:min(len(facts), MaxBatch)]
		facts = facts[len(batch):]
		docs := make([]any, len(batch))
		for i := range batch {
			docs[i] = &batch[i]
		}
		present, err := r.engine.InsertMany(ctx, usageMetrics, docs)
		if err != nil {
			return err
		}
		group, updating := errgroup.WithContext(ctx)
		group.SetLimit(parallelUpdates)
		for _, i := range present {
			f := &batch[i]
			group.Go(func() error {
				_, err := r.engine.Update(updating, usageMetrics, bson.D{{Key: "_id", Value: f.ID}}, fields{
					{Key: "timestamp", Value: f.Timestamp}, {Key: "value", Value: f.Value}, {Key: "event_ids", Value: f.EventIDs},
				}.update(), UpdateOptions{})
				return err
			})
		}
		if err := group.Wait(); err != nil {
			return err
		}
	}
	return nil
}

// PutCounts stores up to MaxBatch facts whose values only grow, each over a lower
// value.
func (r *UsageMetrics) PutCounts(ctx context.Context, facts []models.UsageFact) error {
	docs := make([]any, len(facts))
	for i := range facts {
		docs[i] = &facts[i]
	}
	present, err := r.engine.InsertMany(ctx, usageMetrics, docs)
	if err != nil {
		return err
	}
	again := make([]models.UsageFact, 0, len(present))
	for _, i := range present {
		again = append(again, facts[i])
	}
	return r.RaiseCounts(ctx, again)
}

// RaiseCounts stores the values of facts that are there, each over a lower value.
func (r *UsageMetrics) RaiseCounts(ctx context.Context, facts []models.UsageFact) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(parallelUpdates)
	for i := range facts {
		f := &facts[i]
		group.Go(func() error {
			_, err := r.engine.Update(ctx, usageMetrics, bson.D{{Key: "_id", Value: f.ID}},
				bson.D{{Key: "$max", Value: bson.D{{Key: "value", Value: f.Value}}}}, UpdateOptions{})
			return err
		})
	}
	return group.Wait()
}

func metered(p models.ProjectID, m models.Meter, start, end time.Time) bson.D {
	return bson.D{
		{Key: "project_id", Value: string(p)}, {Key: "event_type", Value: string(m)},
		{Key: "timestamp", Value: bson.D{{Key: "$gte", Value: start}, {Key: "$lt", Value: end}}},
	}
}

// Sum adds up the values of a project's meter in [start, end).
func (r *UsageMetrics) Sum(ctx context.Context, p models.ProjectID, m models.Meter, start, end time.Time) (float64, error) {
	groups, err := r.engine.Sum(ctx, usageMetrics, metered(p, m, start, end), "value")
	if err != nil || len(groups) == 0 {
		return 0, err
	}
	return groups[0].Sum, nil
}

// FactFilter narrows a list to the facts in [Start, End), of one meter or of
// all.
type FactFilter struct {
	Meter      models.Meter
	Start, End time.Time
	// AfterTime and AfterID identify the last fact of the previous page.
	AfterTime time.Time
	AfterID   string
}

// List reads the non-zero usage facts of a project in order of time and id.
func (r *UsageMetrics) List(ctx context.Context, p models.ProjectID, f FactFilter, limit int64) ([]models.UsageFact, error) {
	start := f.Start
	filter := bson.D{{Key: "project_id", Value: string(p)}}
	if f.Meter != "" {
		filter = append(filter, bson.E{Key: "event_type", Value: string(f.Meter)})
	}
	if f.AfterID != "" {
		start = f.AfterTime
		filter = append(filter, bson.E{Key: "$or", Value: bson.A{
			bson.D{{Key: "timestamp", Value: bson.D{{Key: "$gt", Value: f.AfterTime}}}},
			bson.D{{Key: "_id", Value: bson.D{{Key: "$gt", Value: f.AfterID}}}},
		}})
	}
	filter = append(filter, bson.E{Key: "timestamp", Value: bson.D{{Key: "$gte", Value: start}, {Key: "$lt", Value: f.End}}},
		bson.E{Key: "value", Value: bson.D{{Key: "$gt", Value: 0.0}}})
	return many[models.UsageFact](ctx, r.engine, usageMetrics, Query{
		Filter: filter, Sort: bson.D{{Key: "timestamp", Value: 1}, {Key: "_id", Value: 1}}, Limit: limit,
	})
}
