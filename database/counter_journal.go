package database

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

const counterJournal = "counter_journal"

// counterJournalCollection holds counts that are not usage facts yet.
func counterJournalCollection() Collection {
	return Collection{
		Name:    counterJournal,
		Fields:  []Field{{Name: "written_at", Kind: Time}},
		Indexes: []Index{{Keys: []string{"written_at", "_id"}}},
	}
}

// CounterJournal is the repository of counts that are not usage facts yet, of all
// tenants together.
type CounterJournal struct{ engine Engine }

// NewCounterJournal returns the repository over an engine.
func NewCounterJournal(e Engine) *CounterJournal { return &CounterJournal{e} }

// Write stores up to MaxBatch new pages.
func (r *CounterJournal) Write(ctx context.Context, pages []models.CounterPage) error {
	docs := make([]any, len(pages))
	for i := range pages {
		docs[i] = &pages[i]
	}
	_, err := r.engine.InsertMany(ctx, counterJournal, docs)
	return err
}

// Oldest reads up to limit pages that were written before a time, the oldest
// first.
func (r *CounterJournal) Oldest(ctx context.Context, before time.Time, limit int64) ([]models.CounterPage, error) {
	return many[models.CounterPage](ctx, r.engine, counterJournal, Query{
		Filter: bson.D{{Key: "written_at", Value: bson.D{{Key: "$lt", Value: before}}}},
		Sort:   bson.D{{Key: "written_at", Value: 1}, {Key: "_id", Value: 1}}, Limit: limit,
	})
}

// Remove deletes up to MaxBatch pages.
func (r *CounterJournal) Remove(ctx context.Context, pages []string) error {
	_, err := r.engine.Delete(ctx, counterJournal, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: pages}}}}, 0)
	return err
}
