package database

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

const idempotencyStorage = "idempotency_storage"

// idempotencyStorageCollection counts the bytes of the answers a tenant stored
// in an hour, until the last of them has expired.
func idempotencyStorageCollection() Collection {
	at := time.Duration(0)
	return Collection{
		Name:    idempotencyStorage,
		Fields:  []Field{{Name: "bytes", Kind: Int}, {Name: "expires_at", Kind: Time}},
		Indexes: []Index{{Keys: []string{"expires_at"}, ExpireAfter: &at}},
	}
}

// IdempotencyStorage is the repository of what tenants stored. Ids name the
// tenant, which is therefore part of every filter.
type IdempotencyStorage struct{ engine Engine }

// NewIdempotencyStorage reads and writes through an engine.
func NewIdempotencyStorage(e Engine) *IdempotencyStorage { return &IdempotencyStorage{e} }

// Add counts bytes into one hour of a tenant.
func (r *IdempotencyStorage) Add(ctx context.Context, h models.IdempotencyHour) error {
	_, err := r.engine.Update(ctx, idempotencyStorage, bson.D{{Key: "_id", Value: h.ID}}, bson.D{
		{Key: "$inc", Value: bson.D{{Key: "bytes", Value: h.Bytes}}},
		{Key: "$set", Value: bson.D{{Key: "expires_at", Value: h.ExpiresAt}}},
	}, UpdateOptions{Upsert: true})
	return err
}

// Of reads hours of a tenant by their ids; those without bytes are missing.
func (r *IdempotencyStorage) Of(ctx context.Context, ids []string) ([]models.IdempotencyHour, error) {
	return many[models.IdempotencyHour](ctx, r.engine, idempotencyStorage, Query{
		Filter: bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}}, Limit: int64(len(ids)),
	})
}
