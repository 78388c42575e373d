package database

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

const quotaEvents = "quota_events"

// quotaEventsCollection holds the reached thresholds of quotas; it is never
// pruned, like the totals.
func quotaEventsCollection() Collection {
	return Collection{
		Name:    quotaEvents,
		Fields:  []Field{{Name: "owner", Kind: String}, {Name: "quota", Kind: String}, {Name: "at", Kind: Time}},
		Indexes: []Index{{Keys: []string{"owner", "at", "_id"}}},
	}
}

// QuotaEvents is the repository of quota events.
type QuotaEvents struct{ engine Engine }

// NewQuotaEvents returns the repository over an engine.
func NewQuotaEvents(e Engine) *QuotaEvents { return &QuotaEvents{e} }

// Insert stores an event; conflict if it is stored already.
func (r *QuotaEvents) Insert(ctx context.Context, e *models.QuotaEvent) error {
	return r.engine.Insert(ctx, quotaEvents, e)
}

// Get reads an event, or not_found.
func (r *QuotaEvents) Get(ctx context.Context, id string) (models.QuotaEvent, error) {
	return one[models.QuotaEvent](ctx, r.engine, quotaEvents, Query{Filter: bson.D{{Key: "_id", Value: id}}})
}

// Since reads up to limit events of owners since a time, latest first.
func (r *QuotaEvents) Since(ctx context.Context, owners []string, at time.Time, limit int64) ([]models.QuotaEvent, error) {
	return many[models.QuotaEvent](ctx, r.engine, quotaEvents, Query{
		Filter: bson.D{{Key: "owner", Value: bson.D{{Key: "$in", Value: owners}}}, {Key: "at", Value: bson.D{{Key: "$gte", Value: at}}}},
		Sort:   bson.D{{Key: "at", Value: -1}, {Key: "_id", Value: -1}}, Limit: limit,
	})
}
