package database

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

const throttles = "throttles"

// throttlesCollection holds what replicas count of failed logins and of guesses.
func throttlesCollection() Collection {
	at := time.Duration(0)
	return Collection{
		Name:    throttles,
		Fields:  []Field{{Name: "version", Kind: Int}, {Name: "expires_at", Kind: Time}},
		Indexes: []Index{{Keys: []string{"expires_at"}, ExpireAfter: &at}},
	}
}

// Throttles is the repository of throttles. Their ids are hashes of what they
// count, also of addresses that belong to no tenant.
type Throttles struct{ engine Engine }

// NewThrottles returns the repository over an engine.
func NewThrottles(e Engine) *Throttles { return &Throttles{e} }

// Of reads those of up to MaxBatch throttles that there are.
func (r *Throttles) Of(ctx context.Context, ids []string) ([]models.Throttle, error) {
	return many[models.Throttle](ctx, r.engine, throttles, Query{
		Filter: bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}}, Limit: int64(len(ids)),
	})
}

// Put stores a throttle whose Version is one above that which was read; false if
// another replica changed it since.
func (r *Throttles) Put(ctx context.Context, t *models.Throttle) (bool, error) {
	if t.Version == 1 {
		err := r.engine.Insert(ctx, throttles, t)
		if models.IsKind(err, models.KindConflict) {
			return false, nil
		}
		return err == nil, err
	}
	matched, err := r.engine.Update(ctx, throttles, bson.D{
		{Key: "_id", Value: t.ID}, {Key: "version", Value: t.Version - 1},
	}, fields{
		{Key: "version", Value: t.Version}, {Key: "failures", Value: t.Failures}, {Key: "last", Value: t.Last},
		{Key: "until", Value: t.Until},
		{Key: "began", Value: t.Began}, {Key: "given", Value: t.Given}, {Key: "expires_at", Value: t.ExpiresAt},
	}.update(), UpdateOptions{})
	return matched > 0, err
}

// Drop deletes a throttle; that there is none is no error.
func (r *Throttles) Drop(ctx context.Context, id string) error {
	_, err := r.engine.Delete(ctx, throttles, bson.D{{Key: "_id", Value: id}}, 1)
	return err
}
