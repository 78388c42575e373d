package database

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
	"pulse-control-plane/utils/observe"
)

// Observed returns an engine whose calls a recorder observes, as system
// "database" with the collection as target. Missing documents are results, not
// failures; conflicts have the result "conflict". With a nil recorder it returns e itself.
func Observed(e Engine, r *observe.Recorder) Engine {
	if r == nil {
		return e
	}
	r.Declare(system, []string{observe.OK, observe.Failed, resultConflict},
		"insert", "insert_many", "find_one", "find", "update", "find_one_and_update", "delete", "count", "sum")
	return &observed{Engine: e, r: r}
}

// system is the database in metrics and spans.
const system = "database"

type observed struct {
	Engine
	r *observe.Recorder
}

func (o *observed) start(ctx context.Context, name, collection string) (context.Context, observe.Started) {
	return o.r.Start(ctx, observe.Operation{System: system, Name: name, Target: collection})
}

// finish records what came of an operation: a missing document is no failure, and a
// conflict, which the caller resolves, is a result of its own.
func finish(op observe.Started, err error) {
	switch {
	case models.IsKind(err, models.KindNotFound):
		op.End(nil)
	case models.IsKind(err, models.KindConflict):
		op.EndAs(resultConflict, nil)
	default:
		op.End(err)
	}
}

// resultConflict is the result of a write that a unique index refused.
const resultConflict = "conflict"

func (o *observed) Insert(ctx context.Context, collection string, doc any) error {
	ctx, op := o.start(ctx, "insert", collection)
	err := o.Engine.Insert(ctx, collection, doc)
	finish(op, err)
	return err
}

func (o *observed) InsertMany(ctx context.Context, collection string, docs []any) ([]int, error) {
	ctx, op := o.start(ctx, "insert_many", collection)
	duplicates, err := o.Engine.InsertMany(ctx, collection, docs)
	finish(op, err)
	return duplicates, err
}

func (o *observed) FindOne(ctx context.Context, collection string, q Query, out any) error {
	ctx, op := o.start(ctx, "find_one", collection)
	err := o.Engine.FindOne(ctx, collection, q, out)
	finish(op, err)
	return err
}

// Find is observed with the time that each takes: a reader that is slow holds
// the database's cursor.
func (o *observed) Find(ctx context.Context, collection string, q Query, each func(bson.Raw) error) error {
	ctx, op := o.start(ctx, "find", collection)
	var own error // each's, which is none of the database's
	err := o.Engine.Find(ctx, collection, q, func(doc bson.Raw) error {
		own = each(doc)
		return own
	})
	if own != nil {
		op.End(nil)
		return err
	}
	finish(op, err)
	return err
}

func (o *observed) Update(ctx context.Context, collection string, filter, update bson.D, opts UpdateOptions) (int64, error) {
	ctx, op := o.start(ctx, "update", collection)
	matched, err := o.Engine.Update(ctx, collection, filter, update, opts)
	finish(op, err)
	return matched, err
}

func (o *observed) FindOneAndUpdate(ctx context.Context, collection string, filter, update bson.D, opts FindAndUpdateOptions, out any) error {
	ctx, op := o.start(ctx, "find_one_and_update", collection)
	err := o.Engine.FindOneAndUpdate(ctx, collection, filter, update, opts, out)
	finish(op, err)
	return err
}

func (o *observed) Delete(ctx context.Context, collection string, filter bson.D, limit int64) (int64, error) {
	ctx, op := o.start(ctx, "delete", collection)
	deleted, err := o.Engine.Delete(ctx, collection, filter, limit)
	finish(op, err)
	return deleted, err
}

func (o *observed) Count(ctx context.Context, collection string, filter bson.D, limit int64) (int64, error) {
	ctx, op := o.start(ctx, "count", collection)
	n, err := o.Engine.Count(ctx, collection, filter, limit)
	finish(op, err)
	return n, err
}

func (o *observed) Sum(ctx context.Context, collection string, filter bson.D, field string, groupBy ...string) ([]Group, error) {
	ctx, op := o.start(ctx, "sum", collection)
	groups, err := o.Engine.Sum(ctx, collection, filter, field, groupBy...)
	finish(op, err)
	return groups, err
}
