package mongo

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"

	"pulse-control-plane/database/engine"
)

// Engine is the engine for MongoDB: the official driver, given documents,
// filters and updates unchanged. It is safe for concurrent use.
//
// Reads go to the primary with read concern majority; writes are acknowledged
// by a journalled majority. A failover therefore rolls back neither an
// acknowledged write nor what a reader saw ("Read Your Own Writes",
// mongodb.com/docs/manual/reference/read-concern-majority). A read may miss a
// write that another client got acknowledged in the same moment: the primary
// learns of the majority by itself and not through that acknowledgement.
// Updates always change the newest document, whatever the read concern.
//
// No operation outlives its deadline (timeoutMS): while the database is
// unavailable each returns models.Unavailable within it. Such a write may have
// happened or not.
type Engine struct {
	client   *mongo.Client
	db       *mongo.Database
	schema   []engine.Collection
	declared engine.Declarations

	operationTimeout time.Duration
	options          Options

	// mu guards deferred, the indexes that Run builds.
	mu       sync.Mutex
	deferred []deferredIndex
}

var _ engine.Engine = (*Engine)(nil)

// collection is a declared collection and its driver handle.
type collection struct {
	*engine.Declared
	handle *mongo.Collection
}

// collection returns a declared collection; any other is an internal error.
func (m *Engine) collection(name string) (collection, error) {
	d, err := m.declared.Collection(name)
	if err != nil {
		return collection{}, err
	}
	return collection{d, m.db.Collection(d.StoredName())}, nil
}

// bounded adds the deadline of one operation to ctx; an earlier one stays. It
// is needed because a later deadline of the caller replaces the driver's own
// timeout (options.ClientOptions.SetTimeout).
func (m *Engine) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if m.operationTimeout <= 0 { // "timeoutMS=0" in the URI: no timeout
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, m.operationTimeout)
}

// Name implements engine.Engine.
func (m *Engine) Name() string { return "mongodb" }

// Exclusive implements engine.Engine: other replicas and people may write too.
func (m *Engine) Exclusive() bool { return false }

// Ping implements engine.Engine: it pings the primary, which serves all reads
// and writes.
func (m *Engine) Ping(ctx context.Context) error {
	ctx, cancel := m.bounded(ctx)
	defer cancel()
	return failure(nil, m.client.Ping(ctx, readpref.Primary()))
}

// Close implements engine.Engine. It ends the sessions at the server, waits for
// active operations and closes the connections, until ctx or the deadline of
// one operation ends. Later operations are unavailable; a second Close does
// nothing.
func (m *Engine) Close(ctx context.Context) error {
	ctx, cancel := m.bounded(ctx) // the driver sets none for endSessions
	defer cancel()
	if err := m.client.Disconnect(ctx); !errors.Is(err, mongo.ErrClientDisconnected) {
		return failure(nil, err)
	}
	return nil
}
