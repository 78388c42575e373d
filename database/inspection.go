package database

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

// Inspection reads the documents of all tenants, one by one, to describe or
// check a database as a whole.
type Inspection struct{ engine Engine }

// NewInspection returns the repository over an engine.
func NewInspection(e Engine) *Inspection { return &Inspection{e} }

// SchemaVersion reads the version of the stored data, 0 if there is none, or
// misconfigured if this binary is too old for it.
func (r *Inspection) SchemaVersion(ctx context.Context) (int64, error) {
	state, err := migrator{engine: r.engine, migrations: migrations()}.check(ctx)
	return state.Version, err
}

// EachChain calls each for every organization that has an audit trail, in order
// of their ids, with the last entry.
func (r *Inspection) EachChain(ctx context.Context, each func(head models.AuditEntry) error) error {
	logs := NewAuditLogs(r.engine)
	for after := ""; ; {
		next, err := one[models.AuditEntry](ctx, r.engine, auditLogs, Query{
			Filter: bson.D{{Key: "org_id", Value: bson.D{{Key: "$gt", Value: after}}}},
			Sort:   bson.D{{Key: "org_id", Value: 1}, {Key: "seq", Value: 1}},
		})
		if models.IsKind(err, models.KindNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		head, err := logs.Head(ctx, next.OrgID)
		if err != nil {
			return err
		}
		if err := each(head); err != nil {
			return err
		}
		after = string(next.OrgID)
	}
}

// everything bounds a walk over a whole collection.
const everything = 1 << 62

// EachUsageSession calls each for every usage session, up to MaxBatch at a time, in order
// of their ids.
func (r *Inspection) EachUsageSession(ctx context.Context, each func([]models.UsageSession) error) error {
	return batches(ctx, r.engine, usageSessions, func(s *models.UsageSession) string { return s.ID }, each)
}

// EachUsageTotal calls each for every usage total, as EachUsageSession.
func (r *Inspection) EachUsageTotal(ctx context.Context, each func([]models.UsageTotal) error) error {
	return batches(ctx, r.engine, usageTotals, func(t *models.UsageTotal) string { return t.ID }, each)
}

// EachUsageFact calls each for every usage fact, as EachUsageSession.
func (r *Inspection) EachUsageFact(ctx context.Context, each func([]models.UsageFact) error) error {
	return batches(ctx, r.engine, usageMetrics, func(f *models.UsageFact) string { return f.ID }, each)
}

// EachLiveKitEvent calls each for every LiveKit event, as EachUsageSession.
func (r *Inspection) EachLiveKitEvent(ctx context.Context, each func([]models.LiveKitEvent) error) error {
	return batches(ctx, r.engine, liveKitEvents, func(e *models.LiveKitEvent) string { return e.ID }, each)
}

// batches reads a whole collection in order of the ids.
func batches[T any](ctx context.Context, e Engine, collection string, id func(*T) string, each func([]T) error) error {
	batch := make([]T, 0, MaxBatch)
	err := pages(ctx, e, collection, bson.D{}, "_id", everything, id, func(item T) error {
		if batch = append(batch, item); len(batch) < MaxBatch {
			return nil
		}
		full := batch
		batch = make([]T, 0, MaxBatch)
		return each(full)
	})
	if err != nil || len(batch) == 0 {
		return err
	}
	return each(batch)
}

// PendingProjects gives the projects that LiveKit events wait for: what is derived
// from them is not complete.
func (r *Inspection) PendingProjects(ctx context.Context) (map[models.ProjectID]bool, error) {
	groups, err := r.engine.Sum(ctx, liveKitEvents, bson.D{{Key: "state", Value: string(models.EventPending)}}, "shard", "project_id")
	pending := map[models.ProjectID]bool{}
	for _, g := range groups {
		if project, ok := g.Keys[0].(string); ok {
			pending[models.ProjectID(project)] = true
		}
	}
	return pending, err
}

// UsageFacts reads up to MaxBatch usage facts of any tenant by their ids.
func (r *Inspection) UsageFacts(ctx context.Context, ids []string) ([]models.UsageFact, error) {
	return many[models.UsageFact](ctx, r.engine, usageMetrics, named(ids))
}

// UsageTotals reads up to MaxBatch usage totals of any tenant by their ids.
func (r *Inspection) UsageTotals(ctx context.Context, ids []string) ([]models.UsageTotal, error) {
	return many[models.UsageTotal](ctx, r.engine, usageTotals, named(ids))
}

// LiveKitEvents reads up to MaxBatch LiveKit events of any tenant by their ids.
func (r *Inspection) LiveKitEvents(ctx context.Context, ids []string) ([]models.LiveKitEvent, error) {
	return many[models.LiveKitEvent](ctx, r.engine, liveKitEvents, named(ids))
}

func named(ids []string) Query {
	return Query{Filter: bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}}, Limit: MaxBatch}
}
