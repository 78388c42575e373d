package database

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

const removals = "removals"

// removalsCollection holds the pending evictions.
func removalsCollection() Collection {
	return Collection{
		Name:    removals,
		Fields:  []Field{{Name: "due_at", Kind: Time}, {Name: "attempts", Kind: Int}, {Name: "cause", Kind: String}},
		Indexes: []Index{{Keys: []string{"attempts", "due_at"}}},
	}
}

// Removals is the repository of evictions. It covers all tenants.
type Removals struct{ engine Engine }

// NewRemovals returns the repository over an engine.
func NewRemovals(e Engine) *Removals { return &Removals{e} }

// Insert stores an eviction; conflict if its usage session has one already.
func (r *Removals) Insert(ctx context.Context, v *models.Removal) error {
	return r.engine.Insert(ctx, removals, v)
}

// Because changes the cause of an eviction and its due time; false if there is
// none with another cause.
func (r *Removals) Because(ctx context.Context, id string, cause models.RemovalCause, due time.Time) (bool, error) {
	matched, err := r.engine.Update(ctx, removals,
		bson.D{{Key: "_id", Value: id}, {Key: "cause", Value: bson.D{{Key: "$ne", Value: string(cause)}}}},
		fields{{Key: "cause", Value: string(cause)}, {Key: "due_at", Value: due}}.update(), UpdateOptions{})
	return matched > 0, err
}

// Claim returns a due eviction, those with the fewest attempts first, and
// delays it until a time by which the worker has finished or died; not_found if
// none is due. An eviction due after latest was delayed by a fast clock: it
// counts as due.
func (r *Removals) Claim(ctx context.Context, now, until, latest time.Time) (models.Removal, error) {
	var out models.Removal
	err := r.engine.FindOneAndUpdate(ctx, removals,
		bson.D{{Key: "$or", Value: bson.A{
			bson.D{{Key: "due_at", Value: bson.D{{Key: "$lte", Value: now}}}},
			bson.D{{Key: "due_at", Value: bson.D{{Key: "$gt", Value: latest}}}},
		}}},
		bson.D{{Key: "$set", Value: bson.D{{Key: "due_at", Value: until}}}, {Key: "$inc", Value: bson.D{{Key: "attempts", Value: int64(1)}}}},
		FindAndUpdateOptions{Sort: bson.D{{Key: "attempts", Value: 1}, {Key: "due_at", Value: 1}}}, &out)
	return out, err
}

// Postpone sets the due time of an eviction.
func (r *Removals) Postpone(ctx context.Context, id string, until time.Time) error {
	_, err := r.engine.Update(ctx, removals, bson.D{{Key: "_id", Value: id}},
		fields{{Key: "due_at", Value: until}}.update(), UpdateOptions{})
	return err
}

// Done deletes an eviction if it still has that cause.
func (r *Removals) Done(ctx context.Context, id string, cause models.RemovalCause) error {
	_, err := r.engine.Delete(ctx, removals, bson.D{{Key: "_id", Value: id}, {Key: "cause", Value: string(cause)}}, 1)
	return err
}
