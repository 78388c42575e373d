package database

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

const changes = "changes"

// changesCollection holds what replicas announce to each other: what their caches must
// drop. A replica that missed an hour drops everything.
func changesCollection() Collection {
	kept := models.ChangesKept
	return Collection{
		Name:    changes,
		Fields:  []Field{{Name: "at", Kind: Time}},
		Indexes: []Index{{Keys: []string{"at"}, ExpireAfter: &kept}, {Keys: []string{"at", "_id"}}},
	}
}

// Changes is the repository of changes.
type Changes struct{ engine Engine }

// NewChanges returns the repository over an engine.
func NewChanges(e Engine) *Changes { return &Changes{e} }

// Put stores a change at the database's time; a change that is stored already
// gets a new time.
func (r *Changes) Put(ctx context.Context, c *models.StoredChange) error {
	_, err := r.engine.Update(ctx, changes, bson.D{{Key: "_id", Value: c.ID}}, bson.D{
		{Key: "$set", Value: bson.D{{Key: "writer", Value: c.Writer}, {Key: "change", Value: c.Change}}},
		{Key: "$currentDate", Value: bson.D{{Key: "at", Value: true}}},
	}, UpdateOptions{Upsert: true})
	return err
}

// Latest reads the time of the newest change; the zero time if there is none.
func (r *Changes) Latest(ctx context.Context) (time.Time, error) {
	c, err := one[models.StoredChange](ctx, r.engine, changes, Query{Sort: bson.D{{Key: "at", Value: -1}}})
	if models.IsKind(err, models.KindNotFound) {
		return time.Time{}, nil
	}
	return c.At, err
}

// Since reads up to limit changes at or after a time, oldest first.
func (r *Changes) Since(ctx context.Context, at time.Time, limit int64) ([]models.StoredChange, error) {
	return many[models.StoredChange](ctx, r.engine, changes, Query{
		Filter: bson.D{{Key: "at", Value: bson.D{{Key: "$gte", Value: at}}}},
		Sort:   bson.D{{Key: "at", Value: 1}, {Key: "_id", Value: 1}}, Limit: limit,
	})
}
