package database

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

// evictions keeps the name it is stored by.
const evictions = "removals"

// evictionsCollection holds what has to leave the cluster.
func evictionsCollection() Collection {
	return Collection{
		Name:    evictions,
		Fields:  []Field{{"due_at", Time}, {"attempts", Int}, {"cause", String}},
		Indexes: []Index{{Keys: []string{"attempts", "due_at"}}},
	}
}

// Evictions is the repository of evictions. What it holds is of all tenants.
type Evictions struct{ engine Engine }

// NewEvictions reads and writes evictions through an engine.
func NewEvictions(e Engine) *Evictions { return &Evictions{e} }

// Insert stores a eviction; conflict if its session has one already.
func (r *Evictions) Insert(ctx context.Context, v *models.Eviction) error {
	return r.engine.Insert(ctx, evictions, v)
}

// Because gives a eviction another cause and makes it due at a time; false if
// there is none, or none with another cause.
func (r *Evictions) Because(ctx context.Context, id string, cause models.EvictionCause, due time.Time) (bool, error) {
	matched, err := r.engine.Update(ctx, evictions,
		bson.D{{Key: "_id", Value: id}, {Key: "cause", Value: bson.D{{Key: "$ne", Value: string(cause)}}}},
		fields{{Key: "cause", Value: string(cause)}, {Key: "due_at", Value: due}}.update(), UpdateOptions{})
	return matched > 0, err
}

// Claim takes a eviction that is due, those that were tried least before
// others, and puts it off until a time, by when whoever claimed it has done it
// or died; not_found if none is due. One that is due later than anything is
// put off was put off by a clock that was ahead: it is due too.
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

// Postpone makes a eviction due at a time.
func (r *Evictions) Postpone(ctx context.Context, id string, until time.Time) error {
	_, err := r.engine.Update(ctx, evictions, bson.D{{Key: "_id", Value: id}},
		fields{{Key: "due_at", Value: until}}.update(), UpdateOptions{})
	return err
}

// Done forgets a eviction, if its cause is that still.
func (r *Evictions) Done(ctx context.Context, id string, cause models.EvictionCause) error {
	_, err := r.engine.Delete(ctx, evictions, bson.D{{Key: "_id", Value: id}, {Key: "cause", Value: string(cause)}}, 1)
	return err
}
