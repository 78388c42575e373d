package mongo

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.opentelemetry.io/otel/trace"

	"pulse-control-plane/database/engine"
	"pulse-control-plane/models"
)

// Options configure Open. The zero value is silent and uses the defaults.
type Options struct {
	// Log receives one warning for each failed attempt to connect.
	Log zerolog.Logger
	// Tracer makes a span of each command within a span; nil makes none.
	Tracer trace.Tracer
	// IndexTimeout limits the build of one index by EnsureSchema; default ten
	// minutes. The time depends on the number of documents.
	IndexTimeout time.Duration
	// AllIndexes makes EnsureSchema build every index. Otherwise Run builds the
	// indexes of large collections that are only for speed or expiry.
	AllIndexes bool
	// FirstWait and LongestWait limit the wait between two attempts at start,
	// which doubles each time; defaults 250 ms and 10 s.
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

// Open connects to MongoDB. While the database is unavailable it retries with
// growing waits and one log line each, until ctx ends (models.Unavailable).
// Errors that a retry cannot fix are returned at once (models.KindMisconfigured): an
// invalid connection string, name or schema, refused credentials. Neither
// errors nor log lines contain the password.
//
// Every option of the connection string (mongodb:// or mongodb+srv://) that the
// driver knows overrides the defaults of Pulse: write concern majority with
// journal, read concern majority, primary, retries, a pool of 2 to 100
// connections, 3 s to select a server, 4 s for an operation (timeoutMS), no
// wire compression.
func Open(ctx context.Context, uri, dbName string, schema []engine.Collection, opts Options) (*Engine, error) {
	declared, err := engine.Declare(schema)
	if err != nil {
		return nil, err
	}
	if err := checkDatabaseName(dbName); err != nil {
		return nil, err
	}
	opts = opts.withDefaults()
	wait := opts.FirstWait
	for try := 1; ; try++ {
		client, o, err := connect(ctx, uri, opts.Tracer)
		if err == nil {
			if try > 1 {
				opts.Log.Info().Strs("hosts", o.Hosts).Int("tries", try).Msg("connected to MongoDB")
			}
			return &Engine{
				client:           client,
				db:               client.Database(dbName),
				schema:           schema,
				declared:         declared,
				operationTimeout: *o.Timeout,
				options:          opts,
			}, nil
		}
		if !models.IsKind(err, models.KindUnavailable) {
			return nil, err
		}
		if ctx.Err() == nil {
			opts.Log.Warn().Err(errors.Unwrap(err)).Int("try", try).Dur("next_try_in", wait).
				Msg("MongoDB does not answer; retrying")
		}
		if !pause(ctx, wait) {
			return nil, err
		}
		wait = min(2*wait, opts.LongestWait)
	}
}

// connect pings the primary and returns a client. On failure it leaves nothing
// open.
func connect(ctx context.Context, uri string, tracer trace.Tracer) (*mongo.Client, *options.ClientOptions, error) {
	o, err := clientOptions(uri)
	if err != nil {
		return nil, nil, err
	}
	// The ping uses a client without a minimum pool: an error of a background
	// connection, such as refused credentials, would reach the ping only as a
	// cleared pool.
	probe, err := mongo.Connect(o, options.Client().SetMinPoolSize(0))
	if err != nil {
		return nil, nil, uriError(uri, err)
	}
	m := Engine{client: probe, operationTimeout: *o.Timeout}
	err = m.Ping(ctx)
	// No operation is active, so this does not wait.
	_ = probe.Disconnect(context.WithoutCancel(ctx))
	if isAccessError(err) {
		return nil, nil, models.Misconfigured("mongodb_access_refused",
			"MongoDB refused the user name, the password or the permissions in MONGO_URI.").Because(errors.Unwrap(err))
	}
	if err != nil {
		return nil, nil, err
	}
	if tracer != nil {
		o.SetMonitor(commandMonitor(tracer))
	}
	client, err := mongo.Connect(o)
	if err != nil {
		return nil, nil, uriError(uri, err)
	}
	return client, o, nil
}

// pause waits for d and reports whether ctx did not end.
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

// checkDatabaseName checks a database name against MongoDB's restrictions for
// all platforms (mongodb.com/docs/manual/reference/limits).
func checkDatabaseName(name string) error {
	if name == "" || len(name) > 63 || strings.ContainsAny(name, "/\\. \"$*<>:|?\x00") {
		return models.Misconfigured("invalid_database_name", fmt.Sprintf("%q is not a valid name for a MongoDB database.", name))
	}
	return nil
}
