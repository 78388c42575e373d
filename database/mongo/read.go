package mongo

import (
	"context"
	"math"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"pulse-control-plane/database/engine"
)

const (
	// cursorBatch is how many documents Find requests at once: one round trip
	// for a list of the API, some megabytes at a time for a long scan.
	cursorBatch = 1000
	// cursorCloseTimeout limits killCursors. The server closes an idle cursor
	// by itself after ten minutes.
	cursorCloseTimeout = time.Second
)

// FindOne implements engine.Engine.
func (m *Engine) FindOne(ctx context.Context, collection string, q engine.Query, out any) error {
	c, err := m.collection(collection)
	if err != nil {
		return err
	}
	if _, _, err := c.CheckQuery(q, false); err != nil {
		return err
	}
	ctx, cancel := m.bounded(ctx)
	defer cancel()
	opts := options.FindOne()
	if len(q.Sort) > 0 {
		opts.SetSort(q.Sort)
	}
	return failure(c.Declared, c.handle.FindOne(ctx, filterOrAll(q.Filter), opts).Decode(out))
}

// Find implements engine.Engine. The deadline of an operation applies to each
// batch, so a long list may take longer.
func (m *Engine) Find(ctx context.Context, collection string, q engine.Query, each func(bson.Raw) error) error {
	c, err := m.collection(collection)
	if err != nil {
		return err
	}
	if _, _, err := c.CheckQuery(q, true); err != nil {
		return err
	}
	cursor, err := m.open(ctx, c, q)
	if err != nil {
		return failure(c.Declared, err)
	}
	defer closeCursor(ctx, cursor)
	for m.next(ctx, cursor) {
		if err := each(cursor.Current); err != nil {
			return err
		}
	}
	if err := ctx.Err(); err != nil {
		return failure(c.Declared, err)
	}
	return failure(c.Declared, cursor.Err())
}

// open requests the first batch.
func (m *Engine) open(ctx context.Context, c collection, q engine.Query) (*mongo.Cursor, error) {
	ctx, cancel := m.bounded(ctx)
	defer cancel()
	// The driver counts to the limit in an int32.
	limit := min(q.Limit, math.MaxInt32)
	// With a batch of limit+1 the server returns everything and closes the
	// cursor in the first response (CRUD specification, "Combining Limit and
	// Batch Size for the Wire Protocol").
	opts := options.Find().SetLimit(limit).SetBatchSize(int32(min(limit+1, cursorBatch)))
	if len(q.Sort) > 0 {
		opts.SetSort(q.Sort)
	}
	return c.handle.Find(ctx, filterOrAll(q.Filter), opts)
}

// next moves to the next document and requests a batch if needed. It also stops
// between documents when ctx ends.
func (m *Engine) next(ctx context.Context, cursor *mongo.Cursor) bool {
	if ctx.Err() != nil {
		return false
	}
	if cursor.RemainingBatchLength() > 0 {
		return cursor.Next(ctx)
	}
	ctx, cancel := m.bounded(ctx)
	defer cancel()
	return cursor.Next(ctx)
}

// closeCursor closes the cursor at the server, even after ctx has ended. A
// failure costs only server memory for ten minutes and is not reported.
func closeCursor(ctx context.Context, cursor *mongo.Cursor) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cursorCloseTimeout)
	defer cancel()
	_ = cursor.Close(ctx)
}

// Count implements engine.Engine.
func (m *Engine) Count(ctx context.Context, collection string, filter bson.D, limit int64) (int64, error) {
	c, err := m.collection(collection)
	if err != nil {
		return 0, err
	}
	if limit < 0 {
		return 0, c.Refuse("a count with limit %d", limit)
	}
	if _, err := c.CheckFilter(filter); err != nil {
		return 0, err
	}
	ctx, cancel := m.bounded(ctx)
	defer cancel()
	opts := options.Count()
	if limit > 0 {
		opts.SetLimit(limit)
	}
	n, err := c.handle.CountDocuments(ctx, filterOrAll(filter), opts)
	return n, failure(c.Declared, err)
}

// filterOrAll replaces a nil filter, which the driver refuses.
func filterOrAll(filter bson.D) bson.D {
	if filter == nil {
		return bson.D{}
	}
	return filter
}
