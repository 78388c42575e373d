package database

import (
	"context"
	"errors"
	"time"

	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/trace"

	"pulse-control-plane/database/embedded"
	"pulse-control-plane/database/mongo"
	"pulse-control-plane/models"
	"pulse-control-plane/utils/worker"
)

// Location says which engine keeps the documents, and where.
type Location struct {
	// URI of MongoDB, with the database's Name; empty for the embedded engine.
	URI, Name string
	// Path of the embedded engine's file.
	Path string
	// Tracer makes spans of MongoDB's commands; nil makes none.
	Tracer trace.Tracer
	// IndexTimeout limits the build of one index on MongoDB; default ten
	// minutes.
	IndexTimeout time.Duration
	// AllIndexes makes Open build every index before it returns. Otherwise
	// Engine.Run builds the indexes of large collections that are only for speed.
	AllIndexes bool
	// Contracting is of `migrate`: Open finishes a renaming that was interrupted,
	// which everything else is refused for.
	Contracting bool
}

// Open opens the engine at a location, brings it to Schema and runs the
// migrations, which add what this version needs and drop nothing; see Contract. It
// waits for a database that is unavailable until ctx ends. A database that a newer
// version of Pulse has migrated is refused unchanged (models.KindMisconfigured), as
// are the operator's mistakes that mongo.Open and embedded.Open report.
func Open(ctx context.Context, at Location, log zerolog.Logger) (Engine, error) {
	e, err := openEngine(ctx, at, log)
	if err != nil {
		return nil, pathMistake(at, err)
	}
	m := newMigrator(e, log, at.Contracting)
	err = patiently(ctx, m, func(ctx context.Context) error { return m.named(ctx, e, true) })
	if err == nil {
		m.contract, m.contracting = false, at.Contracting
		err = m.prepare(ctx)
	}
	if err != nil {
		return nil, pathMistake(at, errors.Join(err, e.Close(context.WithoutCancel(ctx))))
	}
	return e, nil
}

// OpenBeside opens the engine at a location, beside servers that use it, to read
// and change documents. It changes no schema: misconfigured if that of this binary
// was not applied.
func OpenBeside(ctx context.Context, at Location, log zerolog.Logger) (Engine, error) {
	e, err := openBeside(ctx, at, log)
	if err != nil {
		return nil, err
	}
	m := newMigrator(e, log, false)
	state, err := m.check(ctx)
	if err == nil && state.Version < m.latest() {
		err = models.Misconfigured("schema_differs", "The database has not been migrated to this version of Pulse. Start this version's server or run migrate first.")
	}
	if err == nil {
		err = m.named(ctx, e, false)
	}
	if err != nil {
		return nil, errors.Join(err, e.Close(context.WithoutCancel(ctx)))
	}
	return e, nil
}

func openBeside(ctx context.Context, at Location, log zerolog.Logger) (declarer, error) {
	if at.URI != "" {
		return openEngine(ctx, at, log)
	}
	return embedded.Open(ctx, at.Path, []Collection{schemasCollection()}, embedded.Options{Log: log, Beside: true})
}

// openEngine opens an engine with the collection that tells which version and names
// the others have; migrator.named declares those.
func openEngine(ctx context.Context, at Location, log zerolog.Logger) (declarer, error) {
	first := []Collection{schemasCollection()}
	if at.URI != "" {
		return mongo.Open(ctx, at.URI, at.Name, first, mongo.Options{
			Log: log, Tracer: at.Tracer, IndexTimeout: at.IndexTimeout, AllIndexes: at.AllIndexes,
		})
	}
	return embedded.Open(ctx, at.Path, first, embedded.Options{Log: log})
}

func newMigrator(e Engine, log zerolog.Logger, contract bool) migrator {
	return migrator{engine: e, migrations: migrations(), contract: contract, quiet: quietLeases, log: log}
}

// firstRetry and lastRetry are the waits between attempts to prepare a database
// that is unavailable.
const (
	firstRetry = 250 * time.Millisecond
	lastRetry  = 10 * time.Second
)

// Prepare brings an open engine to its schema and runs the migrations, as Open
// does. It logs the indexes that differ from their declaration; they are left
// unchanged.
func Prepare(ctx context.Context, e Engine, log zerolog.Logger) error {
	return newMigrator(e, log, false).prepare(ctx)
}

// Contract drops what only older versions of Pulse need of a database that Prepare
// has prepared, and keeps those versions from starting on it. Only `migrate` does,
// when every replica has this version. If collections are renamed, misconfigured
// "server_runs" while a server uses the database.
func Contract(ctx context.Context, e Engine, log zerolog.Logger) error {
	return newMigrator(e, log, true).prepare(ctx)
}

func (m migrator) prepare(ctx context.Context) error {
	return patiently(ctx, m, func(ctx context.Context) error { return prepare(ctx, m) })
}

// patiently does a part of the preparation, again and again while the database is
// unavailable.
func patiently(ctx context.Context, m migrator, do func(context.Context) error) error {
	waits := worker.Backoff{First: firstRetry, Most: lastRetry}
	for attempt := int64(1); ; attempt++ {
		err := do(ctx)
		// A file that is unavailable stays so; a server comes back.
		if err == nil || m.engine.Exclusive() || !models.IsKind(err, models.KindUnavailable) || ctx.Err() != nil {
			return err
		}
		wait := waits.After(attempt)
		m.log.Warn().Err(errors.Unwrap(err)).Int64("attempt", attempt).Dur("next_try_in", wait).
			Msg("the database is unavailable or busy; retrying to prepare it")
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			timer.Stop()
			return err
		case <-timer.C:
		}
	}
}

func prepare(ctx context.Context, m migrator) error {
	if _, err := m.check(ctx); err != nil {
		return err
	}
	differences, err := m.engine.EnsureSchema(ctx)
	if err != nil {
		return err
	}
	for _, d := range differences {
		m.log.Warn().Str("collection", d.Collection).Str("index", d.Index).Str("declared", d.Declared).
			Str("found", d.Found).Msg("an index differs from its declaration and was left as it is")
	}
	return m.run(ctx)
}
