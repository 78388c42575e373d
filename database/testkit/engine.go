package testkit

import (
	"context"
	"errors"
	"path/filepath"
	"sync/atomic"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database"
	"pulse-control-plane/database/embedded"
	"pulse-control-plane/models"
)

// NewEngine opens an embedded database in a temporary folder and closes it at the
// end of the test.
func NewEngine(t testing.TB) *Engine {
	t.Helper()
	e, err := embedded.Open(t.Context(), filepath.Join(t.TempDir(), "pulse.db"), database.Schema(), embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return &Engine{Engine: e}
}

// Engine refuses every write from number Fatal on, like a killed process.
type Engine struct {
	database.Engine
	// Writes counts the writes so far.
	Writes atomic.Int64
	// Fatal is the number of the first write to refuse; 0 refuses none.
	Fatal int64
}

// ErrKilled is the cause of a refused write.
var ErrKilled = errors.New("killed by the test")

func (e *Engine) alive() error {
	if n := e.Writes.Add(1); e.Fatal > 0 && n >= e.Fatal {
		return models.Unavailable(ErrKilled)
	}
	return nil
}

func (e *Engine) Insert(ctx context.Context, c string, doc any) error {
	if err := e.alive(); err != nil {
		return err
	}
	return e.Engine.Insert(ctx, c, doc)
}

func (e *Engine) InsertMany(ctx context.Context, c string, docs []any) ([]int, error) {
	if err := e.alive(); err != nil {
		return nil, err
	}
	return e.Engine.InsertMany(ctx, c, docs)
}

func (e *Engine) Update(ctx context.Context, c string, filter, update bson.D, o database.UpdateOptions) (int64, error) {
	if err := e.alive(); err != nil {
		return 0, err
	}
	return e.Engine.Update(ctx, c, filter, update, o)
}

func (e *Engine) FindOneAndUpdate(ctx context.Context, c string, filter, update bson.D, o database.FindAndUpdateOptions, out any) error {
	if err := e.alive(); err != nil {
		return err
	}
	return e.Engine.FindOneAndUpdate(ctx, c, filter, update, o, out)
}

func (e *Engine) Swap(ctx context.Context, c, id string, before, after bson.D) (bool, error) {
	if err := e.alive(); err != nil {
		return false, err
	}
	return e.Engine.Swap(ctx, c, id, before, after)
}

func (e *Engine) Delete(ctx context.Context, c string, filter bson.D, limit int64) (int64, error) {
	if err := e.alive(); err != nil {
		return 0, err
	}
	return e.Engine.Delete(ctx, c, filter, limit)
}
