package mongo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"pulse-control-plane/database/engine"
	"pulse-control-plane/models"
)

// MongoOptions is how OpenMongo goes about it. The zero value is silent and
// takes the defaults.
type Options struct {
	// Log gets one warning for each try that found no database.
	Log zerolog.Logger
	// IndexTimeout bounds the making of one index by EnsureSchema; default ten
	// minutes. The time depends on the documents that are there.
	IndexTimeout time.Duration
	// FirstWait and LongestWait bound the time between two tries at start,
	// which doubles with each; defaults 250 ms and 10 s.
	FirstWait, LongestWait time.Duration
}

func (o Options) withDefaults() Options {
	if o.IndexTimeout <= 0 {
		o.IndexTimeout = 10 * time.Minute
	}
	if o.FirstWait <= 0 {
		o.FirstWait = 250 * time.Millisecond
	}
	if o.LongestWait <= 0 {
		o.LongestWait = 10 * time.Second
	}
	return o
}

// OpenMongo connects to MongoDB and waits for it: a database that is away is
// asked again, with growing waits and a log line each time, until ctx ends
// (models.Unavailable). What waiting does not mend is returned at once: a
// connection string or name that is not valid, a schema that is not, refused
// credentials (models.Internal). Neither errors nor log lines contain the
// password.
//
// Of the connection string, mongodb:// or mongodb+srv://, every option that the
// driver knows holds before Pulse's defaults: write concern majority with
// journal, read concern majority, primary, retries on, a pool of 2 to 100
// connections, 3 s to find a server, 4 s for an operation (timeoutMS). Wire
// compression is off unless it asks for it.
func Open(ctx context.Context, uri, dbName string, schema []engine.Collection, opts Options) (*Engine, error) {
	declared, err := engine.Declare(schema)
	if err != nil {
		return nil, err
	}
	if err := checkDatabaseName(dbName); err != nil {
		return nil, models.Internal(err)
	}
	opts = opts.withDefaults()
	wait := opts.FirstWait
	for try := 1; ; try++ {
		client, o, err := connect(ctx, uri)
		if err == nil {
			if try > 1 {
				opts.Log.Info().Strs("hosts", o.Hosts).Int("tries", try).Msg("MongoDB is there")
			}
			return &Engine{
				client:           client,
				db:               client.Database(dbName),
				schema:           schema,
				declared:         declared,
				operationTimeout: *o.Timeout,
				indexTimeout:     opts.IndexTimeout,
			}, nil
		}
		if !models.IsKind(err, models.KindUnavailable) {
			return nil, err
		}
		if ctx.Err() == nil {
			opts.Log.Warn().Err(errors.Unwrap(err)).Int("try", try).Dur("next_try_in", wait).
				Msg("MongoDB does not answer; waiting for it")
		}
		if !pause(ctx, wait) {
			return nil, err
		}
		wait = min(2*wait, opts.LongestWait)
	}
}

// connectMongo asks the primary for a sign of life and makes a client. On
// failure nothing is left open.
func connect(ctx context.Context, uri string) (*mongo.Client, *options.ClientOptions, error) {
	o, err := clientOptions(uri)
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return nil, nil, models.Unavailable(err)
	}
	if err != nil {
		return nil, nil, models.Internal(err)
	}
	// The question goes through a client without a least pool: what a
	// connection made in the background meets, such as refused credentials,
	// reaches the question only as a pool that was cleared.
	probe, err := mongo.Connect(o, options.Client().SetMinPoolSize(0))
	if err != nil {
		return nil, nil, models.Internal(uriError(uri, err))
	}
	m := Engine{client: probe, operationTimeout: *o.Timeout}
	err = m.Ping(ctx)
	// Nothing is in use, so this waits for nobody.
	_ = probe.Disconnect(context.WithoutCancel(ctx))
	if err != nil {
		return nil, nil, err
	}
	client, err := mongo.Connect(o)
	if err != nil {
		return nil, nil, models.Internal(uriError(uri, err))
	}
	return client, o, nil
}

// pause waits and tells whether it did so in full rather than ctx ending.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// checkDatabaseName checks a database's name against MongoDB's naming
// restrictions on every platform (mongodb.com/docs/manual/reference/limits).
func checkDatabaseName(name string) error {
	if name == "" || len(name) > 63 || strings.ContainsAny(name, "/\\. \"$*<>:|?\x00") {
		return fmt.Errorf("mongodb: %q can not be a database's name", name)
	}
	return nil
}
