package mongowire

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database"
	"pulse-control-plane/database/engine"
	"pulse-control-plane/models"
)

// commandTimeout bounds one command, which goes on after its client hung up.
const commandTimeout = 30 * time.Second

// unlimited is the limit of a find without one.
const unlimited = 1 << 40

// cursor is what a client has not read yet.
type cursor struct {
	namespace string
	rest      []bson.Raw
}

// run executes a command. Its error is part of the reply.
func (s *Server) run(ctx context.Context, command bson.D) bson.D {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commandTimeout)
	defer cancel()
	if slices.Contains(structures, command[0].Key) {
		return s.reply(s.structure(ctx, command))
	}
	s.structural.RLock()
	defer s.structural.RUnlock()
	collection, _ := command[0].Value.(string)
	collection, refused := s.resolve(command[0].Key, collection)
	if refused != nil {
		return refused
	}
	var out bson.D
	var err error
	switch name := command[0].Key; name {
	case "insert":
		out, err = s.insert(ctx, collection, command)
	case "update":
		out, err = s.update(ctx, collection, command)
	case "delete":
		out, err = s.delete(ctx, collection, command)
	case "findAndModify":
		out, err = s.findAndModify(ctx, collection, command)
	case "find":
		out, err = s.find(ctx, collection, command)
	case "getMore":
		out, err = s.getMore(command)
	case "killCursors":
	case "aggregate":
		out, err = s.aggregate(ctx, collection, command)
	case "count":
		var n int64
		n, err = s.engine.Count(ctx, collection, bson.D{}, 0)
		out = bson.D{{Key: "n", Value: n}}
	case "listIndexes":
		out = s.listIndexes(command)
	case "createIndexes", "collMod", "dropIndexes":
	default:
		return failed(59, "no such command: "+name)
	}
	return s.reply(out, err)
}

// reply is that of a command; a command that refused itself gave its own.
func (s *Server) reply(out bson.D, err error) bson.D {
	switch {
	case err != nil:
		return s.failure(err)
	case len(out) > 0 && out[0].Key == "ok":
		return out
	}
	return append(bson.D{{Key: "ok", Value: 1}}, out...)
}

func (s *Server) insert(ctx context.Context, collection string, command bson.D) (bson.D, error) {
	list, _ := field(command, "documents").(bson.A)
	if len(list) == 1 {
		if err := s.engine.Insert(ctx, collection, list[0]); err != nil {
			return s.wrote(err)
		}
		return bson.D{{Key: "n", Value: 1}}, nil
	}
	docs := make([]any, len(list))
	copy(docs, list)
	duplicates, err := s.engine.InsertMany(ctx, collection, docs)
	if err != nil {
		return nil, err
	}
	out := bson.D{{Key: "n", Value: len(docs) - len(duplicates)}}
	errs := bson.A{}
	for _, index := range duplicates {
		errs = append(errs, bson.D{{Key: "index", Value: int32(index)}, {Key: "code", Value: int32(11000)},
			{Key: "keyPattern", Value: bson.D{{Key: "_id", Value: 1}}}, {Key: "errmsg", Value: "E11000 duplicate key error"}})
	}
	if len(errs) > 0 {
		out = append(out, bson.E{Key: "writeErrors", Value: errs})
	}
	return out, nil
}

func (s *Server) update(ctx context.Context, collection string, command bson.D) (bson.D, error) {
	updates, err := documents(command, "updates")
	if err != nil || len(updates) != 1 {
		return nil, errors.Join(errMalformed, err)
	}
	u := updates[0]
	if before := s.sealed(collection, sub(u, "q")); before != nil {
		id, _ := field(sub(u, "q"), "_id").(string)
		swapped, err := s.engine.Swap(ctx, collection, id, before, sub(sub(u, "u"), "$set"))
		n := int64(0)
		if swapped {
			n = 1
		}
		return bson.D{{Key: "n", Value: n}, {Key: "nModified", Value: n}}, err
	}
	matched, err := s.engine.Update(ctx, collection, sub(u, "q"), sub(u, "u"), engine.UpdateOptions{Many: flag(u, "multi"), Upsert: flag(u, "upsert")})
	if err != nil {
		return s.wrote(err)
	}
	out := bson.D{{Key: "n", Value: matched}, {Key: "nModified", Value: matched}}
	if matched == 0 && flag(u, "upsert") {
		out = bson.D{{Key: "n", Value: 1}, {Key: "nModified", Value: 0}, {Key: "upserted", Value: bson.A{
			bson.D{{Key: "index", Value: 0}, {Key: "_id", Value: field(sub(u, "q"), "_id")}}}}}
	}
	return out, nil
}

// sealed is the part of an update's filter that names sealed fields: such an update is a swap.
func (s *Server) sealed(collection string, filter bson.D) (before bson.D) {
	for _, c := range s.schema {
		if c.Name != collection {
			continue
		}
		for _, e := range filter {
			if slices.ContainsFunc(c.Sealed, func(f engine.Sealed) bool { return f.Field == e.Key }) {
				before = append(before, e)
			}
		}
	}
	return before
}

func (s *Server) delete(ctx context.Context, collection string, command bson.D) (bson.D, error) {
	deletes, err := documents(command, "deletes")
	if err != nil || len(deletes) != 1 {
		return nil, errors.Join(errMalformed, err)
	}
	n, err := s.engine.Delete(ctx, collection, sub(deletes[0], "q"), number(deletes[0], "limit"))
	return bson.D{{Key: "n", Value: n}}, err
}

func (s *Server) findAndModify(ctx context.Context, collection string, command bson.D) (bson.D, error) {
	var doc bson.Raw
	err := s.engine.FindOneAndUpdate(ctx, collection, sub(command, "query"), sub(command, "update"),
		engine.FindAndUpdateOptions{Sort: sub(command, "sort"), Upsert: flag(command, "upsert")}, &doc)
	if models.IsKind(err, models.KindNotFound) {
		return bson.D{{Key: "value", Value: nil}}, nil
	}
	return bson.D{{Key: "value", Value: doc}}, err
}

func (s *Server) find(ctx context.Context, collection string, command bson.D) (bson.D, error) {
	q := database.Query{Filter: sub(command, "filter"), Sort: sub(command, "sort"), Limit: number(command, "limit")}
	if q.Limit == 0 {
		q.Limit = unlimited
	}
	var found []bson.Raw
	err := s.engine.Find(ctx, collection, q, func(raw bson.Raw) error {
		found = append(found, append(bson.Raw(nil), raw...))
		return nil
	})
	if err != nil {
		return nil, err
	}
	namespace, _ := field(command, "$db").(string)
	c := &cursor{namespace: namespace + "." + collection, rest: found}
	batch := number(command, "batchSize")
	if batch == 0 {
		batch = int64(len(found))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	return s.batch(s.next, c, "firstBatch", batch), nil
}

// batch takes the next documents of a cursor; s.mu is held.
func (s *Server) batch(id int64, c *cursor, name string, size int64) bson.D {
	size = min(size, int64(len(c.rest)))
	batch := make(bson.A, size)
	for i := range batch {
		batch[i] = c.rest[i]
	}
	c.rest = c.rest[size:]
	if len(c.rest) == 0 {
		delete(s.cursors, id)
		id = 0
	} else {
		s.cursors[id] = c
	}
	return bson.D{{Key: "cursor", Value: bson.D{{Key: "id", Value: id}, {Key: "ns", Value: c.namespace}, {Key: name, Value: batch}}}}
}

func (s *Server) getMore(command bson.D) (bson.D, error) {
	id := number(command, "getMore")
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.cursors[id]
	if c == nil {
		return failed(43, "cursor not found"), nil
	}
	size := number(command, "batchSize")
	if size == 0 {
		size = int64(len(c.rest))
	}
	return s.batch(id, c, "nextBatch", size), nil
}

// aggregate does the two pipelines of package database/mongo: a count ($match, $limit, $group by 1) and a sum ($match,
// $group by numbered fields, $sort).
func (s *Server) aggregate(ctx context.Context, collection string, command bson.D) (bson.D, error) {
	stages, err := documents(command, "pipeline")
	if err != nil {
		return nil, err
	}
	var filter, group bson.D
	var limit int64
	for _, stage := range stages {
		switch stage[0].Key {
		case "$match":
			filter = sub(stage, "$match")
		case "$limit":
			limit = number(stage, "$limit")
		case "$group":
			group = sub(stage, "$group")
		}
	}
	var rows bson.A
	if field(group, "n") != nil {
		n, err := s.engine.Count(ctx, collection, filter, limit)
		if err != nil {
			return nil, err
		}
		if n > 0 {
			rows = bson.A{bson.D{{Key: "_id", Value: 1}, {Key: "n", Value: n}}}
		}
	} else if rows, err = s.sum(ctx, collection, filter, group); err != nil {
		return nil, err
	}
	if rows == nil {
		rows = bson.A{}
	}
	return bson.D{{Key: "cursor", Value: bson.D{{Key: "id", Value: int64(0)}, {Key: "ns", Value: "pulse." + collection}, {Key: "firstBatch", Value: rows}}}}, nil
}

func (s *Server) sum(ctx context.Context, collection string, filter, group bson.D) (rows bson.A, err error) {
	path := func(v any) string { text, _ := v.(string); return strings.TrimPrefix(text, "$") }
	var by []string
	for _, key := range sub(group, "_id") {
		by = append(by, path(key.Value))
	}
	groups, err := s.engine.Sum(ctx, collection, filter, path(field(sub(group, "sum"), "$sum")), by...)
	if err != nil {
		return nil, err
	}
	for _, g := range groups {
		var id bson.D
		for i, key := range sub(group, "_id") {
			id = append(id, bson.E{Key: key.Key, Value: g.Keys[i]})
		}
		rows = append(rows, bson.D{{Key: "_id", Value: id}, {Key: "sum", Value: g.Sum}, {Key: "count", Value: g.Count}})
	}
	return rows, nil
}

// wrote is the reply of a write that met a duplicate; any other error is that of the whole command.
func (s *Server) wrote(err error) (bson.D, error) {
	pattern, ok := s.duplicate(err)
	if !ok {
		return nil, err
	}
	return bson.D{{Key: "n", Value: 0}, {Key: "writeErrors", Value: bson.A{bson.D{{Key: "index", Value: int32(0)},
		{Key: "code", Value: int32(11000)}, {Key: "keyPattern", Value: pattern}, {Key: "errmsg", Value: "E11000 duplicate key error"}}}}}, nil
}

// failure is the reply of a command that failed.
func (s *Server) failure(err error) bson.D {
	if pattern, ok := s.duplicate(err); ok {
		return append(failed(11000, "E11000 duplicate key error"), bson.E{Key: "keyPattern", Value: pattern})
	}
	if models.IsKind(err, models.KindUnavailable) {
		return failed(91, err.Error()) // ShutdownInProgress
	}
	return failed(8, err.Error()) // UnknownError
}

// failed is the reply of a command that failed with a code.
func failed(code int32, message string) bson.D {
	return bson.D{{Key: "ok", Value: 0}, {Key: "code", Value: code}, {Key: "errmsg", Value: message}}
}
