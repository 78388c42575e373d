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
	// lossy is how many more writes answer before one is done whose answer is lost;
	// then the process is dead, if fatal.
	lossy int
	fatal bool
}

// loseAnswerOf loses the answer of the nth write from now to any collection; fatal
// ends the process there too.
func (e *crashingEngine) loseAnswerOf(nth int, fatal bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.lossy, e.fatal = nth, fatal
}

// done gives the answer of a write that was done.
func (e *crashingEngine) done(err error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.lossy == 0 {
		return err
	}
	if e.lossy--; e.lossy > 0 {
		return err
	}
	e.dead = e.fatal
	return models.Unavailable(errAway)
}

// pending reports whether the write that loseAnswerOf named is still to come.
func (e *crashingEngine) pending() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.lossy > 0
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
	e.collection, e.dead, e.lossy = "", false, 0
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
	return e.done(e.Engine.Insert(ctx, c, doc))
}

func (e *crashingEngine) InsertMany(ctx context.Context, c string, docs []any) ([]int, error) {
	if err := e.write(c); err != nil {
		return nil, err
	}
	duplicates, err := e.Engine.InsertMany(ctx, c, docs)
	return duplicates, e.done(err)
}

func (e *crashingEngine) Update(ctx context.Context, c string, filter, update bson.D, o database.UpdateOptions) (int64, error) {
	if err := e.write(c); err != nil {
		return 0, err
	}
	matched, err := e.Engine.Update(ctx, c, filter, update, o)
	return matched, e.done(err)
}

func (e *crashingEngine) FindOneAndUpdate(ctx context.Context, c string, filter, update bson.D, o database.FindAndUpdateOptions, out any) error {
	if err := e.write(c); err != nil {
		return err
	}
	return e.done(e.Engine.FindOneAndUpdate(ctx, c, filter, update, o, out))
}

func (e *crashingEngine) Delete(ctx context.Context, c string, filter bson.D, limit int64) (int64, error) {
	if err := e.write(c); err != nil {
		return 0, err
	}
	deleted, err := e.Engine.Delete(ctx, c, filter, limit)
	return deleted, e.done(err)
}
