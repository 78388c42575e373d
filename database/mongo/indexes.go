package mongo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"pulse-control-plane/database/engine"
	"pulse-control-plane/models"
)

// EnsureSchema implements engine.Engine. MongoDB creates a collection with its
// first index or document. Missing indexes are created one at a time; an index
// exists if it works as declared, whatever its name.
//
// If the server refuses a non-unique index, it is reported as a difference:
// only speed or expiry depend on it. A unique index that cannot be created is
// an error, since conflicts would not be detected.
func (m *Engine) EnsureSchema(ctx context.Context) ([]engine.IndexDifference, error) {
	var differences []engine.IndexDifference
	for _, collection := range m.schema {
		c, err := m.collection(collection.Name)
		if err != nil {
			return differences, err
		}
		found, err := m.indexes(ctx, c)
		if err != nil {
			return differences, err
		}
		for _, index := range collection.Indexes {
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

// ensureIndex compares an index with the existing ones, and creates it if none
// has its name or keys.
func (m *Engine) ensureIndex(ctx context.Context, c collection, index engine.Index, found []foundIndex) (*engine.IndexDifference, error) {
	name, declared := engine.IndexName(index), describeIndex(index)
	var differs *foundIndex
	for i, f := range found {
		switch {
		case f.description == declared:
			return nil, nil
		case differs == nil && (f.name == name || f.keys == strings.Join(index.Keys, " ")):
			differs = &found[i]
		}
	}
	if differs != nil {
		return &engine.IndexDifference{Collection: c.Name, Index: differs.name, Declared: declared, Found: differs.description}, nil
	}
	err := m.createIndex(ctx, c, index)
	switch {
	case err == nil:
		return nil, nil
	case isUnavailable(err):
		return nil, models.Unavailable(err)
	case index.Unique && mongo.IsDuplicateKeyError(err): // its message contains the value
		return nil, models.Internal(fmt.Errorf("mongodb: unique index %s of %s cannot be created: "+
			"stored documents share a value", name, c.Name))
	case index.Unique:
		return nil, models.Internal(fmt.Errorf("mongodb: unique index %s of %s cannot be created: %w", name, c.Name, err))
	default:
		return &engine.IndexDifference{
			Collection: c.Name, Index: name, Declared: declared,
			Found: "missing; the server refuses it: " + err.Error(),
		}, nil
	}
}

// createIndex creates one index and waits for the build.
func (m *Engine) createIndex(ctx context.Context, c collection, index engine.Index) error {
	ctx, cancel := context.WithTimeout(ctx, m.indexTimeout)
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

// foundIndex is an existing index: its name, its keys (Index.Keys joined by
// spaces) and a description of everything that affects its function.
type foundIndex struct{ name, keys, description string }

// indexes lists the indexes of a collection; none if it does not exist.
func (m *Engine) indexes(ctx context.Context, c collection) ([]foundIndex, error) {
	ctx, cancel := m.bounded(ctx)
	defer cancel()
	cursor, err := c.handle.Indexes().List(ctx)
	if err != nil {
		return nil, failure(c.Declared, err)
	}
	var raws []bson.Raw
	if err := cursor.All(ctx, &raws); err != nil {
		return nil, failure(c.Declared, err)
	}
	found := make([]foundIndex, 0, len(raws))
	for _, raw := range raws {
		f, err := readIndex(raw)
		if err != nil {
			return nil, models.Internal(fmt.Errorf("mongodb: index of %s: %w", c.Name, err))
		}
		found = append(found, f)
	}
	return found, nil
}

// indexOptions are the options in the response of listIndexes that affect the
// function of an index.
type indexOptions struct {
	Name    string   `bson:"name"`
	Key     bson.Raw `bson:"key"`
	Unique  bool     `bson:"unique"`
	Sparse  bool     `bson:"sparse"`
	Hidden  bool     `bson:"hidden"`
	Partial bson.Raw `bson:"partialFilterExpression"`
	// Expire has any numeric type: shells write doubles.
	Expire    *float64 `bson:"expireAfterSeconds"`
	Collation bson.Raw `bson:"collation"`
}

func readIndex(raw bson.Raw) (foundIndex, error) {
	var o indexOptions
	if err := bson.Unmarshal(raw, &o); err != nil {
		return foundIndex{}, err
	}
	keys, err := indexKeys(o.Key)
	if err != nil {
		return foundIndex{}, err
	}
	f := foundIndex{name: o.Name, keys: strings.Join(keys, " ")}
	f.description = f.keys
	if o.Unique {
		f.description += " unique"
	}
	if o.Partial != nil {
		f.description += " partialFilterExpression=" + o.Partial.String()
	}
	if o.Expire != nil {
		f.description += fmt.Sprintf(" expireAfterSeconds=%.0f", *o.Expire)
	}
	if o.Sparse {
		f.description += " sparse"
	}
	if o.Hidden {
		f.description += " hidden"
	}
	if o.Collation != nil {
		f.description += " collation=" + o.Collation.String()
	}
	return f, nil
}

// describeIndex returns for a declared index what readIndex returns for an
// equal one.
func describeIndex(index engine.Index) string {
	description := strings.Join(index.Keys, " ")
	if index.Unique {
		description += " unique"
	}
	if index.Partial {
		filter, err := bson.Marshal(partialFilter(index))
		if err == nil { // strings and bools always encode
			description += " partialFilterExpression=" + bson.Raw(filter).String()
		}
	}
	if index.ExpireAfter != nil {
		description += fmt.Sprintf(" expireAfterSeconds=%d", expireSeconds(*index.ExpireAfter))
	}
	return description
}

// indexKeys converts a key pattern, {email: 1, created_at: -1}, to the form of
// Index.Keys. A special key ("text", "2dsphere", "hashed") includes its type
// and never equals a declared key.
func indexKeys(pattern bson.Raw) ([]string, error) {
	elements, err := pattern.Elements()
	if err != nil {
		return nil, err
	}
	if len(elements) == 0 {
		return nil, errors.New("empty key pattern")
	}
	keys := make([]string, len(elements))
	for i, e := range elements {
		direction, ok := e.Value().AsFloat64OK()
		switch {
		case !ok:
			keys[i] = e.Key() + ":" + e.Value().String()
		case direction < 0:
			keys[i] = "-" + e.Key()
		default:
			keys[i] = e.Key()
		}
	}
	return keys, nil
}
