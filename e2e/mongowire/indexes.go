package mongowire

import (
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database/engine"
	"pulse-control-plane/models"
)

// listIndexes lists the declared indexes, which the embedded engine has from the start.
func (s *Server) listIndexes(command bson.D) bson.D {
	name, _ := command[0].Value.(string)
	batch := bson.A{bson.D{{Key: "v", Value: 2}, {Key: "key", Value: bson.D{{Key: "_id", Value: 1}}}, {Key: "name", Value: "_id_"}}}
	for _, c := range s.schema {
		if c.Name != name {
			continue
		}
		for _, ix := range c.Indexes {
			batch = append(batch, describe(ix))
		}
	}
	return bson.D{{Key: "cursor", Value: bson.D{{Key: "id", Value: int64(0)}, {Key: "ns", Value: "pulse." + name}, {Key: "firstBatch", Value: batch}}}}
}

func describe(ix engine.Index) bson.D {
	out := bson.D{{Key: "v", Value: 2}, {Key: "key", Value: pattern(ix)}, {Key: "name", Value: engine.IndexName(ix)}}
	if ix.Unique {
		out = append(out, bson.E{Key: "unique", Value: true})
	}
	if ix.Partial {
		filter := bson.D{}
		for _, key := range ix.Keys {
			name, _ := engine.IndexKey(key)
			filter = append(filter, bson.E{Key: name, Value: bson.D{{Key: "$exists", Value: true}}})
		}
		out = append(out, bson.E{Key: "partialFilterExpression", Value: filter})
	}
	if ix.ExpireAfter != nil {
		out = append(out, bson.E{Key: "expireAfterSeconds", Value: int32(ix.ExpireAfter.Seconds())})
	}
	return out
}

func pattern(ix engine.Index) bson.D {
	var keys bson.D
	for _, key := range ix.Keys {
		name, direction := engine.IndexKey(key)
		keys = append(keys, bson.E{Key: name, Value: int32(direction)})
	}
	return keys
}

// duplicate returns the keys of the unique index that an error of the embedded engine is about. SQLite names its columns, or
// the index of those without a key: "UNIQUE constraint failed: users.email (2067)", "… index 'users.email_1.null' (2067)".
func (s *Server) duplicate(err error) (bson.D, bool) {
	if !models.IsKind(err, models.KindConflict) {
		return nil, false
	}
	_, what, _ := strings.Cut(err.Error(), "UNIQUE constraint failed: ")
	if end := strings.LastIndex(what, " ("); end >= 0 {
		what = what[:end]
	}
	for _, c := range s.schema {
		for _, ix := range c.Indexes {
			columns := make([]string, len(ix.Keys))
			for i, key := range ix.Keys {
				name, _ := engine.IndexKey(key)
				columns[i] = c.Name + "." + name
			}
			if ix.Unique && (what == strings.Join(columns, ", ") || strings.HasPrefix(what, "index '"+c.Name+"."+engine.IndexName(ix)+".")) {
				return pattern(ix), true
			}
		}
	}
	return bson.D{{Key: "_id", Value: 1}}, true
}
