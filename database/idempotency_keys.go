package database

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

const idempotencyKeys = "idempotency_keys"

// idempotencyKeysCollection holds requests with an Idempotency-Key, until they
// expire.
func idempotencyKeysCollection() Collection {
	at := time.Duration(0)
	return Collection{
		Name:    idempotencyKeys,
		Fields:  []Field{{Name: "lock", Kind: String}, {Name: "done", Kind: Bool}, {Name: "expires_at", Kind: Time}},
		Indexes: []Index{{Keys: []string{"expires_at"}, ExpireAfter: &at}},
		Sealed: []Sealed{
			{Field: "seed", Purpose: "idempotency answers", BoundTo: "{id} seed"},
			{Field: "answer", Purpose: "idempotency answers", BoundTo: "{id}"},
		},
	}
}

// IdempotencyKeys is the repository of requests with an Idempotency-Key. Their
// ids are hashes that include the tenant, so every filter includes it.
type IdempotencyKeys struct{ engine Engine }

// NewIdempotencyKeys returns the repository over an engine.
func NewIdempotencyKeys(e Engine) *IdempotencyKeys { return &IdempotencyKeys{e} }

// Insert claims a key for its first request; conflict if it is claimed already.
func (r *IdempotencyKeys) Insert(ctx context.Context, k *models.IdempotencyKey) error {
	return r.engine.Insert(ctx, idempotencyKeys, k)
}

// Get reads a key, or not_found.
func (r *IdempotencyKeys) Get(ctx context.Context, id string) (models.IdempotencyKey, error) {
	return one[models.IdempotencyKey](ctx, r.engine, idempotencyKeys, Query{Filter: bson.D{{Key: "_id", Value: id}}})
}

// Take passes a key whose attempt has ended to another attempt, with the seed of
// fresh; not_found if another request took it first.
func (r *IdempotencyKeys) Take(ctx context.Context, old *models.IdempotencyKey, fresh *models.IdempotencyKey) error {
	_, err := changed[models.IdempotencyKey](ctx, r.engine, idempotencyKeys, bson.D{
		{Key: "_id", Value: old.ID}, {Key: "lock", Value: old.Lock},
	}, bson.D{
		{Key: "$set", Value: bson.D{
			{Key: "fingerprint", Value: fresh.Fingerprint}, {Key: "lock", Value: fresh.Lock},
			{Key: "locked_until", Value: fresh.LockedUntil}, {Key: "done", Value: false}, {Key: "seed", Value: fresh.Seed},
			{Key: "created_at", Value: fresh.CreatedAt}, {Key: "expires_at", Value: fresh.ExpiresAt},
		}},
		{Key: "$unset", Value: bson.D{{Key: "answer", Value: ""}, {Key: "status", Value: ""}, {Key: "content_type", Value: ""}}},
	})
	return err
}

// Complete stores the response of the attempt with the lock; not_found if
// another attempt has it.
func (r *IdempotencyKeys) Complete(ctx context.Context, id, lock string, status int, contentType, answer string) error {
	_, err := changed[models.IdempotencyKey](ctx, r.engine, idempotencyKeys, bson.D{
		{Key: "_id", Value: id}, {Key: "lock", Value: lock}, {Key: "done", Value: false},
	}, fields{
		{Key: "done", Value: true}, {Key: "status", Value: status},
		{Key: "content_type", Value: contentType}, {Key: "answer", Value: answer},
	}.update())
	return err
}

// Unlock ends an attempt whose outcome is unknown: the next one may begin at once.
func (r *IdempotencyKeys) Unlock(ctx context.Context, id, lock string, now time.Time) error {
	_, err := r.engine.Update(ctx, idempotencyKeys, bson.D{
		{Key: "_id", Value: id}, {Key: "lock", Value: lock}, {Key: "done", Value: false},
	}, fields{{Key: "locked_until", Value: now}}.update(), UpdateOptions{})
	return err
}

// Release deletes a key whose attempt had no effect.
func (r *IdempotencyKeys) Release(ctx context.Context, id, lock string) error {
	_, err := r.engine.Delete(ctx, idempotencyKeys, bson.D{
		{Key: "_id", Value: id}, {Key: "lock", Value: lock}, {Key: "done", Value: false},
	}, 1)
	return err
}
