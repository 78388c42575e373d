package database

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

const deliveries = "webhook_deliveries"

// deliveriesCollection holds one document for each event and endpoint.
func deliveriesCollection() Collection {
	kept := models.DeliveriesKept
	return Collection{
		Name: deliveries,
		Fields: []Field{
			{Name: "endpoint_id", Kind: String}, {Name: "owner", Kind: String}, {Name: "org_id", Kind: String}, {Name: "event_id", Kind: String},
			{Name: "seq", Kind: Int}, {Name: "order", Kind: String}, {Name: "shard", Kind: Int}, {Name: "state", Kind: String},
			{Name: "due_at", Kind: Time}, {Name: "tries", Kind: Int}, {Name: "created_at", Kind: Time},
		},
		Indexes: []Index{
			{Keys: []string{"state", "shard", "endpoint_id"}}, {Keys: []string{"state", "due_at"}}, {Keys: []string{"state", "seq"}},
			{Keys: []string{"endpoint_id", "state", "due_at", "seq"}},
			{Keys: []string{"endpoint_id", "state", "order", "seq"}},
			{Keys: []string{"endpoint_id", "state", "_id"}},
			{Keys: []string{"endpoint_id", "_id"}},
			{Keys: []string{"owner", "_id"}}, {Keys: []string{"owner", "state", "_id"}},
			{Keys: []string{"created_at"}, ExpireAfter: &kept},
		},
	}
}

// Deliveries is the repository of deliveries.
type Deliveries struct{ engine Engine }

// NewDeliveries returns the repository over an engine.
func NewDeliveries(e Engine) *Deliveries { return &Deliveries{e} }

// InsertMany stores up to MaxBatch deliveries; stored ones do not change.
func (r *Deliveries) InsertMany(ctx context.Context, list []models.Delivery) error {
	docs := make([]any, len(list))
	for i := range list {
		docs[i] = &list[i]
	}
	_, err := r.engine.InsertMany(ctx, deliveries, docs)
	return err
}

// Named reads those of up to MaxBatch deliveries that are stored, for the worker.
func (r *Deliveries) Named(ctx context.Context, ids []models.DeliveryID) ([]models.Delivery, error) {
	return many[models.Delivery](ctx, r.engine, deliveries, Query{
		Filter: bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}}, Limit: MaxBatch,
	})
}

// Pending reports whether any of some shards has a pending delivery.
func (r *Deliveries) Pending(ctx context.Context, shards []int64) (bool, error) {
	if len(shards) == 0 {
		return false, nil
	}
	n, err := r.engine.Count(ctx, deliveries, bson.D{
		{Key: "state", Value: string(models.DeliveryPending)}, {Key: "shard", Value: bson.D{{Key: "$in", Value: shards}}},
	}, 1)
	return n > 0, err
}

// NextEndpoint gives the next endpoint of a shard, in order of ids, that has a
// pending delivery; "" after the last one. It skips from one to the next, however
// many deliveries each has.
func (r *Deliveries) NextEndpoint(ctx context.Context, shard int64, after models.EndpointID) (models.EndpointID, error) {
	d, err := one[models.Delivery](ctx, r.engine, deliveries, Query{
		Filter: bson.D{{Key: "state", Value: string(models.DeliveryPending)}, {Key: "shard", Value: shard},
			{Key: "endpoint_id", Value: bson.D{{Key: "$gt", Value: string(after)}}}},
		Sort: bson.D{{Key: "endpoint_id", Value: 1}},
	})
	if models.IsKind(err, models.KindNotFound) {
		return "", nil
	}
	return d.EndpointID, err
}

// Due reads up to limit pending deliveries of an endpoint that are due, those
// that wait longest first.
func (r *Deliveries) Due(ctx context.Context, id models.EndpointID, now time.Time, limit int64) ([]models.Delivery, error) {
	return many[models.Delivery](ctx, r.engine, deliveries, Query{
		Filter: bson.D{{Key: "endpoint_id", Value: string(id)}, {Key: "state", Value: string(models.DeliveryPending)},
			{Key: "due_at", Value: bson.D{{Key: "$lte", Value: now}}}},
		Sort: bson.D{{Key: "due_at", Value: 1}, {Key: "seq", Value: 1}}, Limit: limit,
	})
}

// First reads the pending delivery of an endpoint that is the first of a room in
// order of arrival, or not_found.
func (r *Deliveries) First(ctx context.Context, id models.EndpointID, order string) (models.Delivery, error) {
	return one[models.Delivery](ctx, r.engine, deliveries, Query{
		Filter: bson.D{{Key: "endpoint_id", Value: string(id)}, {Key: "state", Value: string(models.DeliveryPending)}, {Key: "order", Value: order}},
		Sort:   bson.D{{Key: "seq", Value: 1}},
	})
}

// NextDue gives when the next pending delivery of an endpoint is due, zero if
// there is none.
func (r *Deliveries) NextDue(ctx context.Context, id models.EndpointID) (time.Time, error) {
	d, err := one[models.Delivery](ctx, r.engine, deliveries, Query{
		Filter: bson.D{{Key: "endpoint_id", Value: string(id)}, {Key: "state", Value: string(models.DeliveryPending)}},
		Sort:   bson.D{{Key: "due_at", Value: 1}, {Key: "seq", Value: 1}},
	})
	if models.IsKind(err, models.KindNotFound) {
		return time.Time{}, nil
	}
	return d.DueAt, err
}

// Waiting gives the ids of up to limit pending deliveries of an endpoint that
// are due after a time.
func (r *Deliveries) Waiting(ctx context.Context, id models.EndpointID, after time.Time, limit int64) ([]models.DeliveryID, error) {
	list, err := many[models.Delivery](ctx, r.engine, deliveries, Query{
		Filter: bson.D{{Key: "endpoint_id", Value: string(id)}, {Key: "state", Value: string(models.DeliveryPending)},
			{Key: "due_at", Value: bson.D{{Key: "$gt", Value: after}}}},
		Sort: bson.D{{Key: "due_at", Value: 1}, {Key: "seq", Value: 1}}, Limit: limit,
	})
	ids := make([]models.DeliveryID, len(list))
	for i := range list {
		ids[i] = list[i].ID
	}
	return ids, err
}

// SetDue changes when those of up to MaxBatch deliveries are due that are
// pending.
func (r *Deliveries) SetDue(ctx context.Context, ids []models.DeliveryID, at time.Time) error {
	return r.changePending(ctx, ids, fields{{Key: "due_at", Value: at}})
}

// Drop takes those of up to MaxBatch deliveries out of the work that are pending:
// their endpoint is deleted.
func (r *Deliveries) Drop(ctx context.Context, ids []models.DeliveryID, now time.Time) error {
	return r.changePending(ctx, ids, fields{{Key: "state", Value: string(models.DeliveryFailed)}, {Key: "updated_at", Value: now}})
}

func (r *Deliveries) changePending(ctx context.Context, ids []models.DeliveryID, f fields) error {
	_, err := r.engine.Update(ctx, deliveries, bson.D{
		{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}, {Key: "state", Value: string(models.DeliveryPending)},
	}, f.update(), UpdateOptions{Many: true})
	return err
}

// Attempted stores the outcome of an attempt at a delivery as it was read; false
// if it was made pending anew, or finished, since.
func (r *Deliveries) Attempted(ctx context.Context, read, after *models.Delivery) (bool, error) {
	matched, err := r.engine.Update(ctx, deliveries, bson.D{
		{Key: "_id", Value: string(read.ID)}, {Key: "state", Value: string(models.DeliveryPending)}, {Key: "tries", Value: read.Tries},
	}, fields{
		{Key: "state", Value: string(after.State)}, {Key: "due_at", Value: after.DueAt}, {Key: "tries", Value: after.Tries},
		{Key: "attempts", Value: after.Attempts}, {Key: "updated_at", Value: after.UpdatedAt},
	}.update(), UpdateOptions{})
	return matched > 0, err
}

// DeliveryScope says whose deliveries are meant: an owner's, and of those one
// endpoint's or those in a state.
type DeliveryScope struct {
	Owner    string
	Endpoint models.EndpointID
	State    models.DeliveryState
}

// List reads a page of deliveries, the latest event first.
func (r *Deliveries) List(ctx context.Context, s DeliveryScope, p Page) ([]models.Delivery, error) {
	filter := bson.D{{Key: "owner", Value: s.Owner}}
	if s.Endpoint != "" {
		filter = append(bson.D{{Key: "endpoint_id", Value: string(s.Endpoint)}}, filter...)
	}
	if s.State != "" {
		filter = append(filter, bson.E{Key: "state", Value: string(s.State)})
	}
	return page[models.Delivery](ctx, r.engine, deliveries, filter, p)
}

func (r *Deliveries) own(t models.Tenant, id models.DeliveryID) (bson.D, error) {
	filter, err := ofOrganization(t)
	if err != nil {
		return nil, err
	}
	if project := t.Project(); project != "" {
		filter = append(filter, bson.E{Key: "owner", Value: string(project)})
	}
	return append(filter, bson.E{Key: "_id", Value: string(id)}), nil
}

// Get reads one delivery of a tenant, or not_found.
func (r *Deliveries) Get(ctx context.Context, t models.Tenant, id models.DeliveryID) (models.Delivery, error) {
	filter, err := r.own(t, id)
	if err != nil {
		return models.Delivery{}, err
	}
	return one[models.Delivery](ctx, r.engine, deliveries, Query{Filter: filter})
}

// Retry makes a delivery of a tenant pending and due, or not_found.
func (r *Deliveries) Retry(ctx context.Context, t models.Tenant, id models.DeliveryID, now time.Time) (models.Delivery, error) {
	filter, err := r.own(t, id)
	if err != nil {
		return models.Delivery{}, err
	}
	return changed[models.Delivery](ctx, r.engine, deliveries, filter, again(now))
}

// RetryFailed makes those of up to MaxBatch deliveries of an owner pending and
// due that failed.
func (r *Deliveries) RetryFailed(ctx context.Context, owner string, list []models.DeliveryID, now time.Time) error {
	_, err := r.engine.Update(ctx, deliveries, bson.D{
		{Key: "_id", Value: bson.D{{Key: "$in", Value: list}}}, {Key: "owner", Value: owner}, {Key: "state", Value: string(models.DeliveryFailed)},
	}, again(now), UpdateOptions{Many: true})
	return err
}

func again(now time.Time) bson.D {
	return fields{
		{Key: "state", Value: string(models.DeliveryPending)}, {Key: "due_at", Value: models.DueAtOnce()}, {Key: "tries", Value: int64(0)}, {Key: "updated_at", Value: now},
	}.update()
}

// CountDue counts the pending deliveries of all tenants that are due, up to
// limit.
func (r *Deliveries) CountDue(ctx context.Context, now time.Time, limit int64) (int64, error) {
	return r.engine.Count(ctx, deliveries, bson.D{
		{Key: "state", Value: string(models.DeliveryPending)}, {Key: "due_at", Value: bson.D{{Key: "$lte", Value: now}}},
	}, limit)
}

// CountIn counts the deliveries of all tenants in a state, up to limit.
func (r *Deliveries) CountIn(ctx context.Context, state models.DeliveryState, limit int64) (int64, error) {
	return r.engine.Count(ctx, deliveries, bson.D{{Key: "state", Value: string(state)}}, limit)
}

// Oldest gives when the oldest pending delivery of all tenants was made, zero if
// there is none.
func (r *Deliveries) Oldest(ctx context.Context) (time.Time, error) {
	d, err := one[models.Delivery](ctx, r.engine, deliveries, Query{
		Filter: bson.D{{Key: "state", Value: string(models.DeliveryPending)}}, Sort: bson.D{{Key: "seq", Value: 1}},
	})
	if models.IsKind(err, models.KindNotFound) {
		return time.Time{}, nil
	}
	return d.CreatedAt, err
}
