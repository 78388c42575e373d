package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database/engine"
	"pulse-control-plane/models"
)

// Error codes of MongoDB (github.com/mongodb/mongo, src/mongo/base/error_codes.yml).
const (
	codeBadValue      = 2
	codeUnknown       = 59
	codeInterrupted   = 11601
	codeDuplicateKey  = 11000
	codeIndexNotFound = 27
)

func ok(fields ...bson.E) bson.D { return append(bson.D{{Key: "ok", Value: 1}}, fields...) }

func failure(code int32, message string) bson.D {
	return bson.D{{Key: "ok", Value: 0}, {Key: "code", Value: code}, {Key: "errmsg", Value: message}}
}

// failed is the answer to a command that the engine refused.
func failed(err error) bson.D {
	if models.IsKind(err, models.KindUnavailable) {
		return failure(codeInterrupted, err.Error())
	}
	return failure(codeBadValue, err.Error())
}

// answer runs a command.
func (s *Server) answer(ctx context.Context, c command) any {
	switch c.name {
	case "hello", "isMaster", "ismaster":
		me := s.listener.Addr().String()
		return ok(bson.E{Key: "helloOk", Value: true}, bson.E{Key: "isWritablePrimary", Value: true}, bson.E{Key: "ismaster", Value: true},
			bson.E{Key: "setName", Value: "rs0"}, bson.E{Key: "hosts", Value: bson.A{me}}, bson.E{Key: "primary", Value: me}, bson.E{Key: "me", Value: me},
			bson.E{Key: "maxBsonObjectSize", Value: int32(16 << 20)}, bson.E{Key: "maxMessageSizeBytes", Value: int32(maxMessage)},
			bson.E{Key: "maxWriteBatchSize", Value: int32(100_000)}, bson.E{Key: "logicalSessionTimeoutMinutes", Value: int32(30)},
			bson.E{Key: "minWireVersion", Value: int32(0)}, bson.E{Key: "maxWireVersion", Value: int32(21)})
	case "ping", "endSessions", "killCursors":
		return ok()
	case "insert":
		return s.insert(ctx, c)
	case "find":
		return s.find(ctx, c)
	case "update":
		return s.update(ctx, c)
	case "findAndModify":
		return s.findAndModify(ctx, c)
	case "delete":
		return s.delete(ctx, c)
	case "count":
		n, err := s.Engine.Count(ctx, c.collection(), ordered(c.Lookup("query")), 0)
		if err != nil {
			return failed(err)
		}
		return ok(bson.E{Key: "n", Value: n})
	case "aggregate":
		return s.aggregate(ctx, c)
	case "listIndexes", "createIndexes", "dropIndexes", "collMod":
		return s.index(c)
	}
	return failure(codeUnknown, "no such command: "+c.name)
}

func cursor(c command, docs []bson.Raw) bson.D {
	batch := make(bson.A, len(docs))
	for i, d := range docs {
		batch[i] = d
	}
	return ok(bson.E{Key: "cursor", Value: bson.D{{Key: "id", Value: int64(0)}, {Key: "ns", Value: "pulse." + c.collection()}, {Key: "firstBatch", Value: batch}}})
}

// duplicate is the error of one write that a unique index refused.
func (s *Server) duplicate(collection string, index int, err error) bson.D {
	name := "_id_"
	for _, ix := range s.declared[collection].Indexes {
		if ix.Unique && (ix.ConflictCode != "" && models.HasCode(err, ix.ConflictCode) || ix.ConflictCode == "" && err != nil && strings.Contains(fmt.Sprint(errors.Unwrap(err)), ix.Keys[0])) {
			name = engine.IndexName(ix)
		}
	}
	return bson.D{{Key: "index", Value: int32(index)}, {Key: "code", Value: int32(codeDuplicateKey)},
		{Key: "errmsg", Value: "E11000 duplicate key error collection: pulse." + collection + " index: " + name + " dup key: { }"}}
}

func (s *Server) insert(ctx context.Context, c command) bson.D {
	docs := c.list("documents")
	var wrong bson.A
	if len(docs) == 1 {
		err := s.Engine.Insert(ctx, c.collection(), docs[0])
		if models.IsKind(err, models.KindConflict) {
			wrong = append(wrong, s.duplicate(c.collection(), 0, err))
		} else if err != nil {
			return failed(err)
		}
	} else {
		for first := 0; first < len(docs); first += engine.MaxBatch {
			batch := make([]any, 0, engine.MaxBatch)
			for _, d := range docs[first:min(len(docs), first+engine.MaxBatch)] {
				batch = append(batch, d)
			}
			duplicates, err := s.Engine.InsertMany(ctx, c.collection(), batch)
			if err != nil {
				return failed(err)
			}
			for _, i := range duplicates {
				wrong = append(wrong, s.duplicate(c.collection(), first+i, nil))
			}
		}
	}
	answer := ok(bson.E{Key: "n", Value: int32(len(docs) - len(wrong))})
	if len(wrong) > 0 {
		answer = append(answer, bson.E{Key: "writeErrors", Value: wrong})
	}
	return answer
}

func (s *Server) find(ctx context.Context, c command) bson.D {
	q := engine.Query{Filter: ordered(c.Lookup("filter")), Sort: ordered(c.Lookup("sort")), Limit: math.MaxInt32}
	if n, isNumber := c.Lookup("limit").AsInt64OK(); isNumber && n != 0 {
		q.Limit = max(n, -n)
	}
	var docs []bson.Raw
	if err := s.Engine.Find(ctx, c.collection(), q, func(raw bson.Raw) error { docs = append(docs, bytes.Clone(raw)); return nil }); err != nil {
		return failed(err)
	}
	return cursor(c, docs)
}

func (s *Server) update(ctx context.Context, c command) bson.D {
	var n int64
	var upserted, wrong bson.A
	for i, u := range c.list("updates") {
		filter, change := ordered(u.Lookup("q")), ordered(u.Lookup("u"))
		upsert, _ := u.Lookup("upsert").BooleanOK()
		many, _ := u.Lookup("multi").BooleanOK()
		matched, err := s.updateOne(ctx, c.collection(), filter, change, engine.UpdateOptions{Many: many, Upsert: upsert})
		switch {
		case models.IsKind(err, models.KindConflict):
			wrong = append(wrong, s.duplicate(c.collection(), i, err))
		case err != nil:
			return failed(err)
		case matched == 0 && upsert:
			n++
			upserted = append(upserted, bson.D{{Key: "index", Value: int32(i)}, {Key: "_id", Value: value(filter, "_id")}})
		default:
			n += matched
		}
	}
	answer := ok(bson.E{Key: "n", Value: n}, bson.E{Key: "nModified", Value: n - int64(len(upserted))})
	if upserted != nil {
		answer = append(answer, bson.E{Key: "upserted", Value: upserted})
	}
	if wrong != nil {
		answer = append(answer, bson.E{Key: "writeErrors", Value: wrong})
	}
	return answer
}

// updateOne is an update, or a swap: its filter names sealed values.
func (s *Server) updateOne(ctx context.Context, collection string, filter, change bson.D, o engine.UpdateOptions) (int64, error) {
	d, err := s.declared.Collection(collection)
	if err != nil {
		return 0, err
	}
	var before bson.D
	for _, e := range filter {
		if slices.ContainsFunc(d.Sealed, func(f engine.Sealed) bool { return f.Field == e.Key }) {
			before = append(before, e)
		}
	}
	if before == nil {
		return s.Engine.Update(ctx, collection, filter, change, o)
	}
	id, _ := value(filter, "_id").(string)
	after, _ := value(change, "$set").(bson.D)
	swapped, err := s.Engine.Swap(ctx, collection, id, before, after)
	if swapped {
		return 1, err
	}
	return 0, err
}

func value(doc bson.D, key string) any {
	for _, e := range doc {
		if e.Key == key {
			return e.Value
		}
	}
	return nil
}

func (s *Server) findAndModify(ctx context.Context, c command) bson.D {
	upsert, _ := c.Lookup("upsert").BooleanOK()
	var after bson.Raw
	err := s.Engine.FindOneAndUpdate(ctx, c.collection(), ordered(c.Lookup("query")), ordered(c.Lookup("update")),
		engine.FindAndUpdateOptions{Sort: ordered(c.Lookup("sort")), Upsert: upsert}, &after)
	switch {
	case models.IsKind(err, models.KindNotFound):
		return ok(bson.E{Key: "value", Value: nil})
	case models.IsKind(err, models.KindConflict):
		d := s.duplicate(c.collection(), 0, err)
		return failure(codeDuplicateKey, value(d, "errmsg").(string))
	case err != nil:
		return failed(err)
	}
	return ok(bson.E{Key: "value", Value: after})
}

func (s *Server) delete(ctx context.Context, c command) bson.D {
	var n int64
	for _, d := range c.list("deletes") {
		limit, _ := d.Lookup("limit").AsInt64OK()
		deleted, err := s.Engine.Delete(ctx, c.collection(), ordered(d.Lookup("q")), limit)
		if err != nil {
			return failed(err)
		}
		n += deleted
	}
	return ok(bson.E{Key: "n", Value: n})
}

// aggregate answers the two pipelines that the product asks: the driver's count and the engine's sum.
func (s *Server) aggregate(ctx context.Context, c command) bson.D {
	var filter bson.D
	var limit int64
	var docs []bson.Raw
	for _, stage := range c.list("pipeline") {
		first, err := stage.IndexErr(0)
		if err != nil {
			return failure(codeBadValue, err.Error())
		}
		switch first.Key() {
		case "$match":
			filter = ordered(first.Value())
		case "$limit":
			limit, _ = first.Value().AsInt64OK()
		case "$sort": // the engine's groups are sorted
		case "$group":
			var err error
			if docs, err = s.group(ctx, c.collection(), filter, limit, ordered(first.Value())); err != nil {
				return failed(err)
			}
		default:
			return failure(codeBadValue, "no such stage: "+first.Key())
		}
	}
	return cursor(c, docs)
}

func (s *Server) group(ctx context.Context, collection string, filter bson.D, limit int64, group bson.D) (docs []bson.Raw, err error) {
	if value(group, "n") != nil {
		n, err := s.Engine.Count(ctx, collection, filter, limit)
		if err != nil || n == 0 {
			return nil, err
		}
		return encode(docs, bson.D{{Key: "_id", Value: 1}, {Key: "n", Value: n}})
	}
	sum, _ := value(group, "sum").(bson.D)
	field, _ := value(sum, "$sum").(string)
	keys, _ := value(group, "_id").(bson.D)
	var by []string
	for _, k := range keys {
		name, _ := k.Value.(string)
		by = append(by, strings.TrimPrefix(name, "$"))
	}
	groups, err := s.Engine.Sum(ctx, collection, filter, strings.TrimPrefix(field, "$"), by...)
	if err != nil {
		return nil, err
	}
	for _, g := range groups {
		id := bson.D{}
		for i, k := range keys {
			if g.Keys[i] != nil {
				id = append(id, bson.E{Key: k.Key, Value: g.Keys[i]})
			}
		}
		if docs, err = encode(docs, bson.D{{Key: "_id", Value: id}, {Key: "sum", Value: g.Sum}, {Key: "count", Value: g.Count}}); err != nil {
			return nil, err
		}
	}
	return docs, nil
}

func encode(docs []bson.Raw, doc bson.D) ([]bson.Raw, error) {
	raw, err := bson.Marshal(doc)
	return append(docs, raw), err
}

// index keeps the definitions of indexes; the engine has those that the schema declares.
func (s *Server) index(c command) bson.D {
	s.mu.Lock()
	defer s.mu.Unlock()
	collection := c.collection()
	named := func(name string) func(bson.Raw) bool {
		return func(d bson.Raw) bool { return d.Lookup("name").StringValue() == name }
	}
	switch c.name {
	case "listIndexes":
		return cursor(c, s.indexes[collection])
	case "createIndexes":
		for _, definition := range c.list("indexes") {
			s.indexes[collection] = append(slices.DeleteFunc(s.indexes[collection], named(definition.Lookup("name").StringValue())), bytes.Clone(definition))
		}
	case "dropIndexes":
		name, _ := c.Lookup("index").StringValueOK()
		before := len(s.indexes[collection])
		s.indexes[collection] = slices.DeleteFunc(s.indexes[collection], named(name))
		if len(s.indexes[collection]) == before {
			return failure(codeIndexNotFound, "index not found with name ["+name+"]")
		}
	case "collMod":
		change, _ := c.Lookup("index").DocumentOK()
		for i, d := range s.indexes[collection] {
			if !named(change.Lookup("name").StringValue())(d) {
				continue
			}
			definition := ordered(bson.RawValue{Type: bson.TypeEmbeddedDocument, Value: d})
			for j := range definition {
				if definition[j].Key == "expireAfterSeconds" {
					definition[j].Value = change.Lookup("expireAfterSeconds").AsInt64()
				}
			}
			if raw, err := bson.Marshal(definition); err == nil {
				s.indexes[collection][i] = raw
			}
		}
	}
	return ok()
}
