package database

import (
	"context"
	"fmt"
	"time"

	"github.com/rs/zerolog"
	"go.mongodb.org/mongo-driver/v2/bson"
	"golang.org/x/sync/errgroup"

	"pulse-control-plane/models"
)

// migration brings the stored data from one schema version to the next.
//
// Rules, so that an interrupted migration can run again and replicas of two
// versions can run side by side:
//   - it is idempotent: its second run changes nothing;
//   - it expands: it adds what the new version reads and leaves what the old
//     version reads. Every start does this;
//   - it contracts: it drops what only the old version needs, and raises minReader.
//     Only `migrate` does this, when no replica has the old version any more.
type migration struct {
	// version is the schema version after this migration.
	version int64
	// minReader is the oldest schema version whose binary can use the data once the
	// migration has contracted; 0 leaves it.
	minReader int64
	// rewrite, if set, changes the documents of one collection. Its progress is
	// stored, so that it continues where it was interrupted.
	rewrite *rewrite
	// rename are collections that get another name when the migration contracts; see
	// renaming.
	rename []renamed
	// retire are indexes that this version no longer declares; contracting drops
	// them.
	retire []retiredIndex
}

// rewrite changes the documents of a collection one by one.
type rewrite struct {
	collection string
	// change returns the update of a document; nil leaves it. It must return the
	// same or nil for a document that is changed already.
	change func(bson.Raw) (bson.D, error)
}

// retiredIndex is an index that an earlier version declared.
type retiredIndex struct {
	collection string
	keys       []string
}

// migrations are all migrations in ascending order of their versions. A new one
// is appended; a released one never changes.
func migrations() []migration {
	return []migration{
		// Every list index ends with the field that the list is sorted by.
		{version: 1, retire: []retiredIndex{
			{apiKeys, []string{"project_id"}},
			{organizations, []string{"plan"}},
			{invitations, []string{"org_id"}},
			{sessions, []string{"user_id"}},
			{auditLogs, []string{"org_id", "actor.id"}},
			{auditLogs, []string{"org_id", "action"}},
			{auditLogs, []string{"org_id", "target.id"}},
			{quotaEvents, []string{"owner", "at"}},
			{usageMetrics, []string{"project_id", "event_type", "timestamp"}},
			{usageSessions, []string{"project_id", "subject", "joined_at"}},
			{usageSessions, []string{"project_id", "subject", "left_at"}},
			{usageSessions, []string{"project_id", "identity", "joined_at"}},
			{usageSessions, []string{"project_id", "open"}},
			{usageSessions, []string{"room_sid", "open"}},
			{usageSessions, []string{"open"}},
		}},
		// Collections have the names of the glossary.
		{version: 2, minReader: 2, rename: []renamed{{evictions, "removals"}, {slots, "quota_places"}}},
	}
}

// SchemaVersion is the schema version of this version of Pulse.
func SchemaVersion() int64 { return migrator{migrations: migrations()}.latest() }

const (
	schemas = "schema"
	// schemaID is the id of the one document of the collection.
	schemaID = "schema"
)

// schemasCollection holds the version of the stored data.
func schemasCollection() Collection {
	return Collection{Name: schemas, Fields: []Field{
		{Name: "version", Kind: Int}, {Name: "min_reader", Kind: Int}, {Name: "renaming.version", Kind: Int}, {Name: "renaming.by", Kind: String},
		{Name: "renaming.objected", Kind: Bool},
	}}
}

// schemaState is the version of the stored data.
type schemaState struct {
	// Version is that of the last migration that has expanded, Contracted of the last
	// that has contracted.
	Version    int64 `bson:"version"`
	Contracted int64 `bson:"contracted"`
	// MinReader is the oldest schema version whose binary can use the data.
	MinReader int64 `bson:"min_reader"`
	// Names is the version of the last migration whose collections have their new
	// names; Renaming is set while one of them gets them.
	Names    int64     `bson:"names"`
	Renaming *renaming `bson:"renaming"`
	// Moving is set in the target of a move that has not finished.
	Moving bool           `bson:"moving"`
	Cursor *rewriteCursor `bson:"cursor"`
}

// rewriteCursor is the progress of a rewrite. It names its migration, since a
// second process may store its progress after the first has finished.
type rewriteCursor struct {
	Version int64  `bson:"version"`
	After   string `bson:"after"`
}

// migrator runs migrations on an engine.
type migrator struct {
	engine     Engine
	migrations []migration
	// contract makes it contract too; contracting is of an engine that is contracted
	// afterwards.
	contract, contracting bool
	// quiet is how long leases stand still before a renaming; see alone.
	quiet time.Duration
	log   zerolog.Logger
}

// latest is the schema version of this binary.
func (m migrator) latest() int64 {
	if len(m.migrations) == 0 {
		return 0
	}
	return m.migrations[len(m.migrations)-1].version
}

// check returns the state of the stored data, or misconfigured if this binary
// is too old for it. A database without a state has version 0.
func (m migrator) check(ctx context.Context) (schemaState, error) {
	state, err := m.read(ctx)
	if err != nil && !models.IsKind(err, models.KindNotFound) {
		return schemaState{}, err
	}
	if state.Moving {
		return schemaState{}, models.Misconfigured("move_unfinished",
			"This database is the target of a move that has not finished. Run `pulse-control-plane migrate --to` with the source again, or drop this database.")
	}
	if state.MinReader > m.latest() {
		return schemaState{}, models.Misconfigured("database_too_new", fmt.Sprintf(
			"A newer version of Pulse migrated this database to schema version %d; it requires a Pulse that knows schema version %d, and this one knows %d. "+
				"Start the newer version again, or restore a backup from before the migration.", state.Version, state.MinReader, m.latest()))
	}
	return state, m.checkNames(state)
}

// read reads the state, or not_found.
func (m migrator) read(ctx context.Context) (schemaState, error) {
	return one[schemaState](ctx, m.engine, schemas, Query{Filter: bson.D{{Key: "_id", Value: schemaID}}})
}

// run runs the migrations that the stored data has not had. A second process
// may do so at the same time: every step is idempotent, and versions only rise.
func (m migrator) run(ctx context.Context) error {
	state, err := m.check(ctx)
	if err != nil {
		return err
	}
	for _, step := range m.migrations {
		if step.version <= state.Version {
			continue
		}
		if err := m.expand(ctx, step, state.Cursor); err != nil {
			return fmt.Errorf("migration to schema version %d: %w", step.version, err)
		}
		m.log.Info().Int64("schema_version", step.version).Msg("the database was migrated")
		state.Cursor = nil
	}
	if remaining := m.remaining(state); !m.contract && !m.contracting && len(remaining) > 0 {
		m.log.Info().Strs("remaining", remaining).Msg("the database still serves earlier versions of Pulse; " +
			"when you will not go back to one, stop every server and run `pulse-control-plane migrate`, which finishes the migration")
	}
	if !m.contract {
		return nil
	}
	// First what a server that runs forbids: until then nothing has been dropped.
	for _, step := range m.migrations {
		if len(step.rename) == 0 || step.version <= state.Names {
			continue
		}
		if err := m.rename(ctx, step); err != nil {
			return fmt.Errorf("renaming of schema version %d: %w", step.version, err)
		}
	}
	for _, step := range m.migrations {
		if step.version <= state.Contracted {
			continue
		}
		if err := m.dropOld(ctx, step); err != nil {
			return fmt.Errorf("contraction of schema version %d: %w", step.version, err)
		}
		m.log.Info().Int64("schema_version", step.version).Msg("what only older versions need was dropped")
	}
	return nil
}

// expand does what a version of Pulse before the migration can bear.
func (m migrator) expand(ctx context.Context, step migration, cursor *rewriteCursor) error {
	if step.rewrite != nil {
		after := ""
		if cursor != nil && cursor.Version == step.version {
			after = cursor.After
		}
		if err := m.rewrite(ctx, step, after); err != nil {
			return err
		}
	}
	raised := bson.D{{Key: "version", Value: step.version}, {Key: "min_reader", Value: int64(0)}}
	if len(step.rename) > 0 && !m.uses(step) { // the engine was opened with the new names
		raised = bson.D{{Key: "version", Value: step.version}, {Key: "min_reader", Value: step.minReader}, {Key: "names", Value: step.version}}
	}
	return m.store(ctx, bson.D{
		{Key: "$max", Value: raised},
		{Key: "$unset", Value: bson.D{{Key: "cursor", Value: ""}}},
	})
}

// dropOld does the rest, after the collections have their names. It keeps older
// versions from starting before it drops what they need.
func (m migrator) dropOld(ctx context.Context, step migration) error {
	if err := m.store(ctx, bson.D{{Key: "$max", Value: bson.D{{Key: "min_reader", Value: step.minReader}}}}); err != nil {
		return err
	}
	for _, ix := range step.retire {
		if err := m.engine.DropIndex(ctx, ix.collection, ix.keys); err != nil {
			return err
		}
	}
	return m.store(ctx, bson.D{{Key: "$max", Value: bson.D{{Key: "contracted", Value: step.version}}}})
}

func (m migrator) store(ctx context.Context, update bson.D) error {
	_, err := m.engine.Update(ctx, schemas, bson.D{{Key: "_id", Value: schemaID}}, update, UpdateOptions{Upsert: true})
	return err
}

// rewriteParallel is how many documents of a page change at the same time.
const rewriteParallel = 64

// rewrite changes the documents after an id, a page at a time in order of
// their ids, and stores the progress after each page.
func (m migrator) rewrite(ctx context.Context, step migration, after string) error {
	collection := step.rewrite.collection
	for {
		var page []bson.Raw
		err := m.engine.Find(ctx, collection, Query{
			Filter: bson.D{{Key: "_id", Value: bson.D{{Key: "$gt", Value: after}}}},
			Sort:   bson.D{{Key: "_id", Value: 1}}, Limit: MaxBatch,
		}, func(raw bson.Raw) error {
			page = append(page, append(bson.Raw(nil), raw...))
			return nil
		})
		if err != nil {
			return err
		}
		// Writes that wait together share a sync of the disk.
		writes, within := errgroup.WithContext(ctx)
		writes.SetLimit(rewriteParallel)
		for _, raw := range page {
			writes.Go(func() error { return m.change(within, *step.rewrite, raw) })
		}
		if err := writes.Wait(); err != nil {
			return err
		}
		if len(page) < MaxBatch {
			return nil
		}
		after = page[len(page)-1].Lookup("_id").StringValue()
		if err := m.store(ctx, bson.D{{Key: "$set", Value: bson.D{{Key: "cursor", Value: rewriteCursor{step.version, after}}}}}); err != nil {
			return err
		}
	}
}

// change applies the rewrite to one document.
func (m migrator) change(ctx context.Context, r rewrite, raw bson.Raw) error {
	// The query above matches string ids only.
	id := raw.Lookup("_id").StringValue()
	update, err := r.change(raw)
	if err != nil {
		return models.Internal(fmt.Errorf("%s %s: %w", r.collection, id, err))
	}
	if update == nil {
		return nil
	}
	_, err = m.engine.Update(ctx, r.collection, bson.D{{Key: "_id", Value: id}}, update, UpdateOptions{})
	return err
}
