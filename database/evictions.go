package database

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

const evictions = "evictions"

// evictionsCollection holds the pending evictions.
func evictionsCollection() Collection {
	return Collection{
		Name:    evictions,
		Fields:  []Field{{Name: "due_at", Kind: Time}, {Name: "attempts", Kind: Int}, {Name: "cause", Kind: String}, {Name: "created_at", Kind: Time}},
		Indexes: []Index{{Keys: []string{"attempts", "due_at"}}, {Keys: []string{"created_at"}}},
	}
}

// Evictions is the repository of evictions. It covers all tenants.
type Evictions struct{ engine Engine }

// NewEvictions returns the repository over an engine.
func NewEvictions(e Engine) *Evictions { return &Evictions{e} }

// Insert stores an eviction; conflict if its usage session has one already.
func (r *Evictions) Insert(ctx context.Context, v *models.Eviction) error {
	return r.engine.Insert(ctx, evictions, v)
}

// Because changes the cause of an eviction and its due time; false if there is
// none with another cause.
func (r *Evictions) Because(ctx context.Context, id string, cause models.EvictionCause, due time.Time) (bool, error) {
	matched, err := r.engine.Update(ctx, evictions,
		bson.D{{Key: "_id", Value: id}, {Key: "cause", Value: bson.D{{Key: "$ne", Value: string(cause)}}}},
		fields{{Key: "cause", Value: string(cause)}, {Key: "due_at", Value: due}}.update(), UpdateOptions{})
	return matched > 0, err
}

// Claim returns a due eviction, those with the fewest attempts first, and
// delays it until a time by which the worker has finished or died; not_found if
// none is due. An eviction due after latest was delayed by a fast clock: it
// counts as due.
func (r *Evictions) Claim(ctx context.Context, now, until, latest time.Time) (models.Eviction, error) {
	var out models.Eviction
	err := r.engine.FindOneAndUpdate(ctx, evictions,
		bson.D{{Key: "$or", Value: bson.A{
			bson.D{{Key: "due_at", Value: bson.D{{Key: "$lte", Value: now}}}},
			bson.D{{Key: "due_at", Value: bson.D{{Key: "$gt", Value: latest}}}},
		}}},
		bson.D{{Key: "$set", Value: bson.D{{Key: "due_at", Value: until}}}, {Key: "$inc", Value: bson.D{{Key: "attempts", Value: int64(1)}}}},
		FindAndUpdateOptions{Sort: bson.D{{Key: "attempts", Value: 1}, {Key: "due_at", Value: 1}}}, &out)
	return out, err
}

// Postpone sets the due time of an eviction.
func (r *Evictions) Postpone(ctx context.Context, id string, until time.Time) error {
	_, err := r.engine.Update(ctx, evictions, bson.D{{Key: "_id", Value: id}},
		fields{{Key: "due_at", Value: until}}.update(), UpdateOptions{})
	return err
}

// Done deletes an eviction if it still has that cause.
func (r *Evictions) Done(ctx context.Context, id string, cause models.EvictionCause) error {
	_, err := r.engine.Delete(ctx, evictions, bson.D{{Key: "_id", Value: id}, {Key: "cause", Value: string(cause)}}, 1)
	return err
}

// Count counts the evictions that were attempted at least so often, up to limit.
func (r *Evictions) Count(ctx context.Context, attempts, limit int64) (int64, error) {
	return r.engine.Count(ctx, evictions, bson.D{{Key: "attempts", Value: bson.D{{Key: "$gte", Value: attempts}}}}, limit)
}

// Oldest gives when the oldest eviction was stored, zero if there is none. Those of
// older binaries have no such time and are left out.
func (r *Evictions) Oldest(ctx context.Context) (time.Time, error) {
	v, err := one[models.Eviction](ctx, r.engine, evictions, Query{
		Filter: bson.D{{Key: "created_at", Value: bson.D{{Key: "$gt", Value: time.Unix(0, 0)}}}}, Sort: bson.D{{Key: "created_at", Value: 1}},
	})
	if models.IsKind(err, models.KindNotFound) {
		return time.Time{}, nil
	}
	return v.CreatedAt, err
}
