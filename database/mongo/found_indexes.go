package mongo

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database/engine"
	"pulse-control-plane/models"
)

// foundIndex is an existing index: its name, its keys (Index.Keys joined by
// spaces) and a description of everything that affects its function.
type foundIndex struct{ name, keys, description string }

// withExpiry is the description of the index with the expiry of a declared one.
func (f foundIndex) withExpiry(index engine.Index) string {
	f.description = expiryPart.ReplaceAllString(f.description, "")
	return f.description + expiry(index)
}

// expiryPart is the part of a description that expiry writes.
var expiryPart = regexp.MustCompile(` expireAfterSeconds=-?[0-9]+`)

func expiry(index engine.Index) string {
	return fmt.Sprintf(" expireAfterSeconds=%d", expireSeconds(*index.ExpireAfter))
}

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
		description += expiry(index)
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
