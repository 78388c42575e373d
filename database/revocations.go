package database

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

const revocations = "revocations"

// revocationsCollection holds revoked tokens until they expire.
func revocationsCollection() Collection {
	at := time.Duration(0)
	return Collection{
		Name:   revocations,
		Fields: []Field{{Name: "project_id", Kind: String}, {Name: "revoked_at", Kind: Time}, {Name: "expires_at", Kind: Time}},
		Indexes: []Index{
			{Keys: []string{"revoked_at"}},
			{Keys: []string{"expires_at"}, ExpireAfter: &at},
		},
	}
}

// Revocations is the repository of revocations.
type Revocations struct{ engine Engine }

// NewRevocations returns the repository over an engine.
func NewRevocations(e Engine) *Revocations { return &Revocations{e} }

// Put inserts or replaces a revocation.
func (r *Revocations) Put(ctx context.Context, v *models.Revocation) error {
	set, _, err := replacement(v)
	if err != nil {
		return err
	}
	_, err = r.engine.Update(ctx, revocations, bson.D{{Key: "_id", Value: v.ID}}, bson.D{{Key: "$set", Value: set}}, UpdateOptions{Upsert: true})
	return err
}

// Since reads the revocations of all tenants since a time, earliest first.
func (r *Revocations) Since(ctx context.Context, at time.Time, limit int64) ([]models.Revocation, error) {
	return many[models.Revocation](ctx, r.engine, revocations, Query{
		Filter: bson.D{{Key: "revoked_at", Value: bson.D{{Key: "$gte", Value: at}}}},
		Sort:   bson.D{{Key: "revoked_at", Value: 1}}, Limit: limit,
	})
}
