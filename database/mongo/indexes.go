package mongo

import (
	"context"
	"fmt"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"pulse-control-plane/database/engine"
	"pulse-control-plane/models"
)

// largeCollection is how many documents a collection has whose indexes Run
// builds, so that a start does not wait for them.
const largeCollection = 10_000

// EnsureSchema implements engine.Engine. MongoDB creates a collection with its
// first index or document. Missing indexes are created one at a time; an index
// exists if it works as declared, whatever its name. A different expiry is
// changed directly (collMod).
//
// If the server refuses a non-unique index, it is reported as a difference: only
// speed or expiry depend on it. On a large collection Run builds such an index
// later. A unique index that cannot be created is an error, since conflicts
// would not be detected.
func (m *Engine) EnsureSchema(ctx context.Context) ([]engine.IndexDifference, error) {
	var differences []engine.IndexDifference
	m.mu.Lock()
	m.deferred = nil
	m.mu.Unlock()
	for _, declared := range m.schema {
		c, err := m.collection(declared.Name)
		if err != nil {
			return differences, err
		}
		found, err := m.indexes(ctx, c)
		if err != nil {
			return differences, err
		}
		for _, index := range declared.Indexes {
			difference, err := m.ensureIndex(ctx, c, index, found)
			if err != nil {
				return differences, err
			}
			if difference != nil {
				differences = append(differences, *difference)
			}
		}
	}
	return differences, nil
}

// SchemaDifferences implements engine.Engine.
func (m *Engine) SchemaDifferences(ctx context.Context) (differences []engine.IndexDifference, err error) {
	for _, declared := range m.schema {
		c, err := m.collection(declared.Name)
		if err != nil {
			return nil, err
		}
		found, err := m.indexes(ctx, c)
		if err != nil {
			return nil, err
		}
		for _, index := range declared.Indexes {
			exists, differs := lookFor(index, found)
			if exists {
				continue
			}
			d := engine.IndexDifference{Collection: c.Name, Index: engine.IndexName(index), Declared: describeIndex(index), Found: "missing"}
			if differs != nil {
				d.Index, d.Found = differs.name, differs.description
			}
			differences = append(differences, d)
		}
	}
	return differences, nil
}

// lookFor reports whether an index exists as declared, else gives one that has its
// name or keys, or nil.
func lookFor(index engine.Index, found []foundIndex) (exists bool, differs *foundIndex) {
	for i, f := range found {
		switch {
		case f.description == describeIndex(index):
			return true, nil
		case differs == nil && (f.name == engine.IndexName(index) || f.keys == strings.Join(index.Keys, " ")):
			differs = &found[i]
		}
	}
	return false, differs
}

// ensureIndex compares an index with the existing ones, and creates it, now or
// in Run, if none has its name or keys.
func (m *Engine) ensureIndex(ctx context.Context, c collection, index engine.Index, found []foundIndex) (*engine.IndexDifference, error) {
	name, declared := engine.IndexName(index), describeIndex(index)
	exists, differs := lookFor(index, found)
	if exists {
		return nil, nil
	}
	if differs != nil {
		difference := &engine.IndexDifference{Collection: c.Name, Index: differs.name, Declared: declared, Found: differs.description}
		if index.ExpireAfter == nil || differs.withExpiry(index) != declared {
			return difference, nil
		}
		return m.changeExpiry(ctx, c, index, difference)
	}
	if !index.Unique && !m.options.AllIndexes {
		large, err := m.isLarge(ctx, c)
		if err != nil {
			return nil, err
		}
		if large {
			m.mu.Lock()
			m.deferred = append(m.deferred, deferredIndex{c, index})
			m.mu.Unlock()
			return nil, nil
		}
	}
	err := m.createIndex(ctx, c, index)
	switch {
	case err == nil:
		return nil, nil
	case isBusy(err):
		return nil, models.Unavailable(err)
	case isConflictingIndex(err): // another process may have made it since
		found, lookErr := m.indexes(ctx, c)
		if lookErr != nil {
			return nil, lookErr
		}
		if exists, _ := lookFor(index, found); exists {
			return nil, nil
		}
	}
	switch {
	case index.Unique && mongo.IsDuplicateKeyError(err): // its message contains the value
		return nil, models.Misconfigured("duplicate_documents", fmt.Sprintf(
			"The unique index %s of %s cannot be created: stored documents share a value. Remove the duplicates and start again.", name, c.Name))
	case index.Unique:
		return nil, models.Misconfigured("index_refused", fmt.Sprintf(
			"MongoDB refused to create the unique index %s of %s.", name, c.Name)).Because(err)
	default:
		return &engine.IndexDifference{
			Collection: c.Name, Index: name, Declared: declared,
			Found: "missing; the server refuses it: " + err.Error(),
		}, nil
	}
}

// isLarge reports whether a collection has so many documents that an index
// build takes long.
func (m *Engine) isLarge(ctx context.Context, c collection) (bool, error) {
	ctx, cancel := m.bounded(ctx)
	defer cancel()
	n, err := c.handle.EstimatedDocumentCount(ctx)
	return n > largeCollection, failure(nil, err)
}

// changeExpiry sets the expiry of an existing index to the declared one, or
// returns the difference if the server refuses.
func (m *Engine) changeExpiry(ctx context.Context, c collection, index engine.Index, difference *engine.IndexDifference) (*engine.IndexDifference, error) {
	ctx, cancel := m.bounded(ctx)
	defer cancel()
	err := m.db.RunCommand(ctx, bson.D{{Key: "collMod", Value: c.StoredName()}, {Key: "index", Value: bson.D{
		{Key: "name", Value: difference.Index}, {Key: "expireAfterSeconds", Value: expireSeconds(*index.ExpireAfter)},
	}}}).Err()
	switch {
	case err == nil:
		m.options.Log.Info().Str("collection", c.Name).Str("index", difference.Index).
			Str("declared", difference.Declared).Str("found", difference.Found).Msg("the expiry of an index was changed")
		return nil, nil
	case isBusy(err):
		return nil, models.Unavailable(err)
	}
	difference.Found += "; the server refuses to change it: " + err.Error()
	return difference, nil
}

// DropIndex implements engine.Engine.
func (m *Engine) DropIndex(ctx context.Context, collection string, keys []string) error {
	c, err := m.collection(collection)
	if err != nil {
		return err
	}
	if err := c.CheckDrop(keys); err != nil {
		return err
	}
	ctx, cancel := m.bounded(ctx)
	defer cancel()
	err = c.handle.Indexes().DropOne(ctx, engine.IndexName(engine.Index{Keys: keys}))
	for _, code := range mongo.ErrorCodes(err) {
		if code == namespaceNotFound || code == indexNotFound {
			return nil
		}
	}
	if isBusy(err) {
		return models.Unavailable(err)
	}
	return failure(nil, err)
}

// createIndex creates one index and waits for the build.
func (m *Engine) createIndex(ctx context.Context, c collection, index engine.Index) error {
	ctx, cancel := context.WithTimeout(ctx, m.options.IndexTimeout)
	defer cancel()
	opts := options.Index().SetName(engine.IndexName(index))
	if index.Unique {
		opts.SetUnique(true)
	}
	if index.Partial {
		opts.SetPartialFilterExpression(partialFilter(index))
	}
	if index.ExpireAfter != nil {
		opts.SetExpireAfterSeconds(expireSeconds(*index.ExpireAfter))
	}
	var keys bson.D
	for _, key := range index.Keys {
		field, direction := engine.IndexKey(key)
		keys = append(keys, bson.E{Key: field, Value: int32(direction)})
	}
	_, err := c.handle.Indexes().CreateOne(ctx, mongo.IndexModel{Keys: keys, Options: opts})
	return err
}

// partialFilter returns {field: {$exists: true}} for each key.
func partialFilter(index engine.Index) bson.D {
	var filter bson.D
	for _, key := range index.Keys {
		field, _ := engine.IndexKey(key)
		filter = append(filter, bson.E{Key: field, Value: bson.D{{Key: "$exists", Value: true}}})
	}
	return filter
}

// expireSeconds converts a duration for a TTL index: whole seconds in an int32,
// rounded up so that no document expires early.
func expireSeconds(d time.Duration) int32 {
	const most = 1<<31 - 1
	return int32(min((d+time.Second-1)/time.Second, most))
}
