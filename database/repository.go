package database

import (
	"context"
	"maps"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

// Page selects a part of a list, newest first: at most Limit items with ids
// below After (from the newest if After is empty).
type Page struct {
	After string
	Limit int
}

// one reads the first match as a T, or not_found.
func one[T any](ctx context.Context, e Engine, collection string, q Query) (T, error) {
	var out T
	err := e.FindOne(ctx, collection, q, &out)
	return out, err
}

// many reads every match, up to q.Limit, as Ts.
func many[T any](ctx context.Context, e Engine, collection string, q Query) ([]T, error) {
	out := make([]T, 0, min(q.Limit, 128))
	err := e.Find(ctx, collection, q, func(raw bson.Raw) error {
		var item T
		if err := bson.Unmarshal(raw, &item); err != nil {
			return models.Internal(err)
		}
		out = append(out, item)
		return nil
	})
	return out, err
}

// insertOnce stores a new document. That one with its id is there already is no
// error: ids are random or a function of the request, so that an earlier attempt
// stored it, whose answer was lost. It is then read into doc.
func insertOnce[T any](ctx context.Context, e Engine, collection string, doc *T, id string) error {
	err := e.Insert(ctx, collection, doc)
	if !models.IsKind(err, models.KindConflict) {
		return err
	}
	found, lookErr := one[T](ctx, e, collection, Query{Filter: bson.D{{Key: "_id", Value: id}}})
	switch {
	case models.IsKind(lookErr, models.KindNotFound):
		return err
	case lookErr != nil:
		return lookErr
	}
	*doc = found
	return nil
}

// pages calls each for every match, up to limit, in ascending order of a field
// of unique, non-empty strings. It reads MaxBatch documents at a time and holds
// neither a cursor nor a connection while each runs.
func pages[T any](ctx context.Context, e Engine, collection string, filter bson.D, field string, limit int64,
	key func(*T) string, each func(T) error) error {
	for after := ""; limit > 0; {
		size := min(limit, MaxBatch)
		batch, err := many[T](ctx, e, collection, Query{
			Filter: append(slices.Clone(filter), bson.E{Key: field, Value: bson.D{{Key: "$gt", Value: after}}}),
			Sort:   bson.D{{Key: field, Value: 1}}, Limit: size,
		})
		if err != nil {
			return err
		}
		for i := range batch {
			if err := each(batch[i]); err != nil {
				return err
			}
		}
		if int64(len(batch)) < size {
			return nil
		}
		limit -= size
		after = key(&batch[len(batch)-1])
	}
	return nil
}

// changed updates the one matching document and returns it afterwards, or
// not_found.
func changed[T any](ctx context.Context, e Engine, collection string, filter, update bson.D) (T, error) {
	var out T
	err := e.FindOneAndUpdate(ctx, collection, filter, update, FindAndUpdateOptions{}, &out)
	return out, err
}

// page reads a page of a list, newest first; ids sort by creation.
func page[T any](ctx context.Context, e Engine, collection string, filter bson.D, p Page) ([]T, error) {
	if p.After != "" {
		filter = append(filter, bson.E{Key: "_id", Value: bson.D{{Key: "$lt", Value: p.After}}})
	}
	return many[T](ctx, e, collection, Query{
		Filter: filter, Sort: bson.D{{Key: "_id", Value: -1}}, Limit: int64(p.Limit),
	})
}

// alive is the condition that a document is not soft-deleted.
func alive() bson.E { return bson.E{Key: "is_deleted", Value: false} }

// prefixed is the condition that a folded field starts with prefix. U+10FFFF
// sorts after every other character.
func prefixed(prefix string) bson.D {
	return bson.D{{Key: "$gte", Value: prefix}, {Key: "$lt", Value: prefix + "\U0010FFFF"}}
}

// fields are the $set of a partial update.
type fields bson.D

func setIf[T any](f *fields, name string, value *T) {
	if value != nil {
		*f = append(*f, bson.E{Key: name, Value: *value})
	}
}

// setTimes sets the times that are given, and gives the names of those to take away:
// the zero times.
func setTimes(f *fields, times map[string]*time.Time) (unset bson.D) {
	for _, name := range slices.Sorted(maps.Keys(times)) {
		if at := times[name]; at != nil && at.IsZero() {
			unset = append(unset, bson.E{Key: name, Value: ""})
		} else {
			setIf(f, name, at)
		}
	}
	return unset
}

func (f fields) update() bson.D { return bson.D{{Key: "$set", Value: bson.D(f)}} }
