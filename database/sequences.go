package database

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

const sequences = "sequences"

// sequencesCollection holds counters that number things across replicas.
func sequencesCollection() Collection {
	return Collection{Name: sequences, Fields: []Field{{Name: "n", Kind: Int}}}
}

// Sequences is the repository of sequences.
type Sequences struct{ engine Engine }

// NewSequences reads and writes sequences through an engine.
func NewSequences(e Engine) *Sequences { return &Sequences{e} }

// Take gives the first of n numbers in a row of a sequence, from 1. Who asks after another
// was answered gets greater ones, whatever their clocks say.
func (r *Sequences) Take(ctx context.Context, name string, n int64) (int64, error) {
	var out struct {
		N int64 `bson:"n"`
	}
	err := r.engine.FindOneAndUpdate(ctx, sequences, bson.D{{Key: "_id", Value: name}},
		bson.D{{Key: "$inc", Value: bson.D{{Key: "n", Value: n}}}}, FindAndUpdateOptions{Upsert: true}, &out)
	return out.N - n + 1, err
}

// Last gives a sequence's latest number, 0 if there is none.
func (r *Sequences) Last(ctx context.Context, name string) (int64, error) {
	var out struct {
		N int64 `bson:"n"`
	}
	err := r.engine.FindOne(ctx, sequences, Query{Filter: bson.D{{Key: "_id", Value: name}}}, &out)
	if models.IsKind(err, models.KindNotFound) {
		return 0, nil
	}
	return out.N, err
}

// Reach raises a sequence to n, if it is lower.
func (r *Sequences) Reach(ctx context.Context, name string, n int64) error {
	_, err := r.engine.Update(ctx, sequences, bson.D{{Key: "_id", Value: name}},
		bson.D{{Key: "$max", Value: bson.D{{Key: "n", Value: n}}}}, UpdateOptions{Upsert: true})
	return err
}
