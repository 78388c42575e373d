package mongo

import (
	"context"
	"errors"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"

	"pulse-control-plane/database/engine"
)

// Mongo is the engine for MongoDB: the official driver, given documents,
// filters and updates as they are. It is safe for concurrent use.
//
// Reads go to the primary with read concern majority and writes are
// acknowledged by a journalled majority. Together the two give what the rest of
// Pulse relies on: a reader sees what was acknowledged to anybody before, and
// nothing it saw is rolled back by a failover ("Read Your Own Writes",
// mongodb.com/docs/manual/reference/read-concern-majority). Updates always act
// on the newest document, whatever the read concern.
//
// No operation outlives its deadline (MongoOptions.OperationTimeout): with the
// database away, each answers models.Unavailable within it. A write that ended
// so may or may not have happened.
type Engine struct {
	client   *mongo.Client
	db       *mongo.Database
	schema   []engine.Collection
	declared engine.Declarations

	operationTimeout time.Duration
	indexTimeout     time.Duration
}

var _ engine.Engine = (*Engine)(nil)

// mongoCollection is a declared collection and the driver's handle on it.
type collection struct {
	*engine.Declared
	handle *mongo.Collection
}

// collection finds a declared collection; any other is an internal error.
func (m *Engine) collection(name string) (collection, error) {
	d, err := m.declared.Collection(name)
	if err != nil {
		return collection{}, err
	}
	return collection{d, m.db.Collection(name)}, nil
}

// bounded puts the deadline of one operation on ctx; a nearer one stays. The
// driver would let a farther deadline of the caller replace its own timeout
// (options.ClientOptions.SetTimeout), so its setting alone is no bound.
func (m *Engine) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if m.operationTimeout <= 0 { // "timeoutMS=0" in the URI: the operator wants none
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, m.operationTimeout)
}

// Name implements Engine.
func (m *Engine) Name() string { return "mongodb" }

// Exclusive implements Engine: other replicas, and people, may write too.
func (m *Engine) Exclusive() bool { return false }

// Run implements Engine. MongoDB does its own upkeep (its TTL monitor), so it
// only waits for ctx to end; it returns nil.
func (m *Engine) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Ping implements Engine: it asks the primary, as every read and write does.
func (m *Engine) Ping(ctx context.Context) error {
	ctx, cancel := m.bounded(ctx)
	defer cancel()
	return failure(nil, m.client.Ping(ctx, readpref.Primary()))
}

// Close implements Engine. It tells the server which sessions ended, waits for
// operations under way and closes the connections; what is not done when ctx or
// the deadline of one operation ends is cut. Later operations are unavailable;
// closing again does nothing.
func (m *Engine) Close(ctx context.Context) error {
	ctx, cancel := m.bounded(ctx) // the driver sets none for endSessions
	defer cancel()
	if err := m.client.Disconnect(ctx); !errors.Is(err, mongo.ErrClientDisconnected) {
		return failure(nil, err)
	}
	return nil
}
