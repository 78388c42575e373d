package database

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

const removals = "removals"

// removalsCollection holds what has to leave the cluster.
func removalsCollection() Collection {
	return Collection{
		Name:    removals,
		Fields:  []Field{{Name: "due_at", Kind: Time}, {Name: "attempts", Kind: Int}, {Name: "cause", Kind: String}},
		Indexes: []Index{{Keys: []string{"attempts", "due_at"}}},
	}
}

// Removals is the repository of removals. What it holds is of all tenants.
type Removals struct{ engine Engine }

// NewRemovals reads and writes removals through an engine.
func NewRemovals(e Engine) *Removals { return &Removals{e} }

// Insert stores a removal; conflict if its session has one already.
func (r *Removals) Insert(ctx context.Context, v *models.Removal) error {
	return r.engine.Insert(ctx, removals, v)
}

// Because gives a removal another cause and makes it due at a time; false if
// there is none, or none with another cause.
func (r *Removals) Because(ctx context.Context, id string, cause models.RemovalCause, due time.Time) (bool, error) {
	matched, err := r.engine.Update(ctx, removals,
		bson.D{{Key: "_id", Value: id}, {Key: "cause", Value: bson.D{{Key: "$ne", Value: string(cause)}}}},
		fields{{Key: "cause", Value: string(cause)}, {Key: "due_at", Value: due}}.update(), UpdateOptions{})
	return matched > 0, err
}

// Claim takes a removal that is due, those that were tried least before
// others, and puts it off until a time, by when whoever claimed it has done it
// or died; not_found if none is due. One that is due later than anything is
// put off was put off by a clock that was ahead: it is due too.
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

// Postpone makes a removal due at a time.
func (r *Removals) Postpone(ctx context.Context, id string, until time.Time) error {
	_, err := r.engine.Update(ctx, removals, bson.D{{Key: "_id", Value: id}},
		fields{{Key: "due_at", Value: until}}.update(), UpdateOptions{})
	return err
}

// Done forgets a removal, if its cause is that still.
func (r *Removals) Done(ctx context.Context, id string, cause models.RemovalCause) error {
	_, err := r.engine.Delete(ctx, removals, bson.D{{Key: "_id", Value: id}, {Key: "cause", Value: string(cause)}}, 1)
	return err
}
