package database

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

const sightings = "sightings"

// sightingsCollection holds when reconciliation last saw what is open. Entries
// of ended rooms expire after a week.
func sightingsCollection() Collection {
	week := 7 * 24 * time.Hour
	return Collection{
		Name:    sightings,
		Fields:  []Field{{Name: "seen_at", Kind: Time}},
		Indexes: []Index{{Keys: []string{"seen_at"}, ExpireAfter: &week}},
	}
}

// Sightings is the repository of sightings.
type Sightings struct{ engine Engine }

// NewSightings returns the repository over an engine.
func NewSightings(e Engine) *Sightings { return &Sightings{e} }

// Of reads up to MaxBatch sightings by name.
func (r *Sightings) Of(ctx context.Context, names []string) (map[string]time.Time, error) {
	found, err := many[models.Sighting](ctx, r.engine, sightings, Query{
		Filter: bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: names}}}}, Limit: MaxBatch,
	})
	if err != nil {
		return nil, err
	}
	out := make(map[string]time.Time, len(found))
	for _, s := range found {
		out[s.ID] = s.SeenAt
	}
	return out, nil
}

// Saw stores the time at which names were listed.
func (r *Sightings) Saw(ctx context.Context, names []string, at time.Time) error {
	for len(names) > 0 {
		batch := names[:min(len(names), MaxBatch)]
		names = names[len(batch):]
		matched, err := r.engine.Update(ctx, sightings, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: batch}}}},
			fields{{Key: "seen_at", Value: at}}.update(), UpdateOptions{Many: true})
		if err != nil {
			return err
		}
		if matched == int64(len(batch)) {
			continue
		}
		docs := make([]any, len(batch))
		for i, name := range batch {
			docs[i] = &models.Sighting{ID: name, SeenAt: at}
		}
		if _, err := r.engine.InsertMany(ctx, sightings, docs); err != nil {
			return err
		}
	}
	return nil
}
