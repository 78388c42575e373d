package testkit

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database"
	"pulse-control-plane/database/embedded"
	"pulse-control-plane/models"
)

// NewEngine opens an embedded database, as Open.
func NewEngine(t testing.TB) *Engine {
	t.Helper()
	return &Engine{Engine: Open(t, embedded.Options{})}
}

// Engine refuses every write from number Fatal on, like a killed process.
type Engine struct {
	database.Engine
	// Writes counts the writes so far.
	Writes atomic.Int64
	// Fatal is the number of the first write to refuse; 0 refuses none.
	Fatal int64
	// Late has the first of them done: only its answer is lost.
	Late bool
}

// ErrKilled is the cause of a refused write.
var ErrKilled = errors.New("killed by the test")

func (e *Engine) write(do func() error) error {
	n := e.Writes.Add(1)
	if e.Fatal == 0 || n < e.Fatal {
		return do()
	}
	if e.Late && n == e.Fatal {
		_ = do()
	}
	return models.Unavailable(ErrKilled)
}

func (e *Engine) Insert(ctx context.Context, c string, doc any) error {
	return e.write(func() error { return e.Engine.Insert(ctx, c, doc) })
}

func (e *Engine) InsertMany(ctx context.Context, c string, docs []any) (refused []int, err error) {
	err = e.write(func() error { refused, err = e.Engine.InsertMany(ctx, c, docs); return err })
	return refused, err
}

func (e *Engine) Update(ctx context.Context, c string, filter, update bson.D, o database.UpdateOptions) (matched int64, err error) {
	err = e.write(func() error { matched, err = e.Engine.Update(ctx, c, filter, update, o); return err })
	return matched, err
}

func (e *Engine) FindOneAndUpdate(ctx context.Context, c string, filter, update bson.D, o database.FindAndUpdateOptions, out any) error {
	return e.write(func() error { return e.Engine.FindOneAndUpdate(ctx, c, filter, update, o, out) })
}

func (e *Engine) Swap(ctx context.Context, c, id string, before, after bson.D) (swapped bool, err error) {
	err = e.write(func() error { swapped, err = e.Engine.Swap(ctx, c, id, before, after); return err })
	return swapped, err
}

func (e *Engine) Delete(ctx context.Context, c string, filter bson.D, limit int64) (deleted int64, err error) {
	err = e.write(func() error { deleted, err = e.Engine.Delete(ctx, c, filter, limit); return err })
	return deleted, err
}
