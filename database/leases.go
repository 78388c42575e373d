package database

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

const leases = "leases"

// leasesCollection holds which replica runs which job.
func leasesCollection() Collection {
	return Collection{Name: leases, Fields: []Field{{Name: "holder", Kind: String}, {Name: "expires_at", Kind: Time}, {Name: "term", Kind: Int}}}
}

// Leases is the repository of leases.
type Leases struct{ engine Engine }

// NewLeases returns the repository over an engine.
func NewLeases(e Engine) *Leases { return &Leases{e} }

// Acquire takes or renews a lease until a time; false while another holder has
// it.
func (r *Leases) Acquire(ctx context.Context, id, holder string, now, until time.Time) (bool, error) {
	_, err := changed[models.Lease](ctx, r.engine, leases, bson.D{
		{Key: "_id", Value: id},
		{Key: "$or", Value: bson.A{
			bson.D{{Key: "holder", Value: holder}},
			bson.D{{Key: "expires_at", Value: bson.D{{Key: "$lte", Value: now}}}},
		}},
	}, fields{{Key: "holder", Value: holder}, {Key: "expires_at", Value: until}}.update())
	if !models.IsKind(err, models.KindNotFound) {
		return err == nil, err
	}
	err = r.engine.Insert(ctx, leases, &models.Lease{ID: id, Holder: holder, ExpiresAt: until})
	if models.IsKind(err, models.KindConflict) {
		return false, nil
	}
	return err == nil, err
}

// Release ends a lease early.
func (r *Leases) Release(ctx context.Context, id, holder string) error {
	_, err := r.engine.Delete(ctx, leases, bson.D{{Key: "_id", Value: id}, {Key: "holder", Value: holder}}, 1)
	return err
}
