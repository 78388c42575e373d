package routes_test

import (
	"context"
	"sync"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
)

// crashingEngine dies when it is told to: from one write to a collection on
// nothing is written any more, as if the process had ended there, until revive.
type crashingEngine struct {
	database.Engine
	mu         sync.Mutex
	collection string
	left       int
	dead       bool
	// refused is a collection that alone can't be written.
	refused string
}

// refuse makes a collection, and no other, impossible to write; "" none.
func (e *crashingEngine) refuse(collection string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.refused = collection
}

// dieBefore ends the process before the nth write to a collection from now.
func (e *crashingEngine) dieBefore(collection string, nth int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.collection, e.left = collection, nth
}

func (e *crashingEngine) revive() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.collection, e.dead = "", false
}

func (e *crashingEngine) write(collection string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if collection == e.collection {
		e.left--
		e.dead = e.dead || e.left == 0
	}
	if e.dead || collection == e.refused {
		return models.Unavailable(errAway)
	}
	return nil
}

func (e *crashingEngine) Insert(ctx context.Context, c string, doc any) error {
	if err := e.write(c); err != nil {
		return err
	}
	return e.Engine.Insert(ctx, c, doc)
}

func (e *crashingEngine) InsertMany(ctx context.Context, c string, docs []any) ([]int, error) {
	if err := e.write(c); err != nil {
		return nil, err
	}
	return e.Engine.InsertMany(ctx, c, docs)
}

func (e *crashingEngine) Update(ctx context.Context, c string, filter, update bson.D, o database.UpdateOptions) (int64, error) {
	if err := e.write(c); err != nil {
		return 0, err
	}
	return e.Engine.Update(ctx, c, filter, update, o)
}

func (e *crashingEngine) FindOneAndUpdate(ctx context.Context, c string, filter, update bson.D, o database.FindAndUpdateOptions, out any) error {
	if err := e.write(c); err != nil {
		return err
	}
	return e.Engine.FindOneAndUpdate(ctx, c, filter, update, o, out)
}

func (e *crashingEngine) Delete(ctx context.Context, c string, filter bson.D, limit int64) (int64, error) {
	if err := e.write(c); err != nil {
		return 0, err
	}
	return e.Engine.Delete(ctx, c, filter, limit)
}
