package database

import (
	"context"
	"fmt"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database/engine"
	"pulse-control-plane/models"
	"pulse-control-plane/utils/ids"
)

// A renaming, and who may be at work meanwhile.
//
// Code uses the declared name of a collection; the engine translates it. Which name
// is stored follows from the schema document alone (Names), which every process reads
// before it touches anything else. A new database has the new names from the start. An
// older one keeps the old names, for this version and the previous one beside it, until
// `migrate` contracts. Two processes that used two names at once would count a quota
// twice, so that the steps are:
//
//  1. No process may be alive: the leases stand still (alone). Else migrate refuses, and
//     nothing has changed.
//  2. The mark: Renaming and min_reader, in one write. From here on a start of the
//     previous version is refused by min_reader, one of this version by the mark.
//  3. Again no process may be alive: one that read the document before 2 has its lease
//     by now. Else the mark is taken back.
//  4. Each collection is renamed by one command, and the old name becomes a view.
//  5. Names, min_reader and the end of the mark, in one write.
//
// Killed before 2: nothing has changed. Between 2 and 5: nothing starts (exit code 78
// and a sentence) until migrate is run again, which does what is left, from step 3: a
// collection that has its new name is left. After 5: done.
//
// Two runs of migrate: the second takes the mark over. Only its owner takes a mark back,
// and not one that it took over, so that no server starts while the other run renames.
//
// A process that step 3 did not see because it stood still since 2 (a suspended machine,
// a start that hangs) goes on with the old names: the view refuses each of its writes,
// so that it can admit nobody; one of this version reads the document every
// namesChecked and ends. On a server without views (FerretDB) only the latter holds,
// which is why migrate asks that every server be stopped.
//
// On the embedded engine the lock keeps others out, and 2 to 5 are one transaction.
type renaming struct {
	Version int64 `bson:"version"`
	// By is the run of migrate that owns the mark.
	By string `bson:"by"`
}

// renamed is a collection that a migration gives another name.
type renamed struct{ collection, former string }

const (
	// quietLeases is how long no lease may be renewed before a renaming; each server
	// renews one every second.
	quietLeases = 5 * time.Second
	// namesChecked is how often a server that uses old names looks whether it still
	// may.
	namesChecked = 5 * time.Second
)

// newest is the state of a database that this version makes.
func (m migrator) newest() schemaState {
	state := schemaState{Version: m.latest(), Contracted: m.latest()}
	for _, step := range m.migrations {
		state.MinReader = max(state.MinReader, step.minReader)
		if len(step.rename) > 0 {
			state.Names = step.version
		}
	}
	return state
}

// schema is the schema with the names that the stored data has.
func (m migrator) schema(state schemaState) []Collection {
	all := Schema()
	for _, step := range m.migrations {
		for _, r := range step.rename {
			if step.version <= state.Names {
				continue
			}
			for i := range all {
				if all[i].Name == r.collection {
					all[i].Former = r.former
				}
			}
		}
	}
	return all
}

// FormerNames gives the names that collections have in a database that migrate has not
// contracted, by their own.
func FormerNames() map[string]string {
	names := map[string]string{}
	for _, c := range (migrator{migrations: migrations()}).schema(schemaState{}) {
		if c.Former != "" {
			names[c.Name] = c.Former
		}
	}
	return names
}

// uses tells whether the engine has the old names of a migration.
func (m migrator) uses(step migration) bool {
	return slices.ContainsFunc(step.rename, func(r renamed) bool { return m.engine.StoredName(r.collection) == r.former })
}

// checkNames refuses a database whose names change or are not those of the engine,
// which were right when it was opened.
func (m migrator) checkNames(state schemaState) error {
	if state.Renaming != nil && !m.contract {
		return models.Misconfigured("renaming_unfinished",
			"`pulse-control-plane migrate` is renaming collections of this database, or was interrupted while it did. Wait for it, or run it again, and start this server then.")
	}
	for _, step := range m.migrations {
		if step.version <= state.Names && m.uses(step) {
			return models.Misconfigured("database_migrated",
				"`pulse-control-plane migrate` has renamed collections of this database since this process began to use it. Start it again.")
		}
	}
	return nil
}

// remaining says what migrate has not done yet, in words.
func (m migrator) remaining(state schemaState) (out []string) {
	for _, step := range m.migrations {
		if step.version <= state.Contracted {
			continue
		}
		for _, r := range step.rename {
			if step.version > state.Names {
				out = append(out, fmt.Sprintf("rename the collection %s to %s", r.former, r.collection))
			}
		}
		if n := len(step.retire); n > 0 {
			out = append(out, fmt.Sprintf("drop %d indexes of schema version %d", n, step.version-1))
		}
	}
	return out
}

// declarer is an engine whose schema can be replaced before it is used.
type declarer interface {
	Engine
	Declare(ctx context.Context, schema []Collection) error
}

// named declares the schema of an engine that was opened with schemasCollection
// alone, with the names that the stored data has. An empty database that create
// allows to write gets its document first: whatever dies then, nobody takes it for an
// older one. (Two versions must not start on an empty database in the same moment:
// the older one has read that there is no document, and makes its own names.)
func (m migrator) named(ctx context.Context, e declarer, create bool) error {
	m.engine = e
	state, err := m.read(ctx)
	if models.IsKind(err, models.KindNotFound) {
		state, err = m.unnamed(ctx, create)
	}
	if err != nil {
		return err
	}
	if _, err := m.check(ctx); err != nil {
		return err
	}
	if err := e.Declare(ctx, m.schema(state)); err != nil || state.Renaming == nil {
		return err
	}
	// Before anything makes a collection under its old name again.
	for _, step := range m.migrations {
		if step.version == state.Renaming.Version {
			return m.rename(ctx, step)
		}
	}
	return nil
}

// unnamed is the state of a database without a document: an empty one is as this
// version makes it, any other is older than schema versions.
func (m migrator) unnamed(ctx context.Context, create bool) (schemaState, error) {
	fresh := m.newest()
	existing, err := m.engine.Existing(ctx)
	if err != nil {
		return schemaState{}, err
	}
	for _, c := range slices.Concat(Schema(), m.schema(schemaState{})) {
		if c.Name != schemas && slices.Contains(existing, c.StoredName()) {
			return schemaState{}, nil
		}
	}
	if !create {
		return fresh, nil
	}
	err = m.engine.Insert(ctx, schemas, bson.D{{Key: "_id", Value: schemaID}, {Key: "version", Value: fresh.Version},
		{Key: "contracted", Value: fresh.Contracted}, {Key: "names", Value: fresh.Names}, {Key: "min_reader", Value: fresh.MinReader}})
	if models.IsKind(err, models.KindConflict) {
		return m.read(ctx)
	}
	return fresh, err
}

// rename gives the collections of a migration their new names, in the steps that
// renaming describes.
func (m migrator) rename(ctx context.Context, step migration) error {
	var collections []string
	for _, r := range step.rename {
		collections = append(collections, r.collection)
	}
	if m.uses(step) && !m.engine.Exclusive() {
		if err := m.claim(ctx, step); err != nil {
			return err
		}
	}
	return m.engine.Rename(ctx, collections, engine.Then{Collection: schemas, ID: schemaID, Update: bson.D{
		{Key: "$max", Value: bson.D{{Key: "names", Value: step.version}, {Key: "min_reader", Value: step.minReader}}},
		{Key: "$unset", Value: bson.D{{Key: "renaming", Value: ""}}},
	}})
}

// claim is steps 1 to 3 of a renaming.
func (m migrator) claim(ctx context.Context, step migration) error {
	state, err := m.check(ctx)
	if err != nil {
		return err
	}
	if state.Renaming == nil {
		if err := m.alone(ctx); err != nil {
			return err
		}
	}
	mark := renaming{step.version, ids.New("run")}
	set := bson.D{{Key: "$set", Value: bson.D{{Key: "renaming", Value: mark}}}, {Key: "$max", Value: bson.D{{Key: "min_reader", Value: step.minReader}}}}
	fresh, err := m.engine.Update(ctx, schemas, append(engine.ID(schemaID), bson.E{Key: "renaming.version", Value: bson.D{{Key: "$exists", Value: false}}}), set, UpdateOptions{})
	if err == nil && fresh == 0 {
		err = m.store(ctx, set)
	}
	if err != nil {
		return err
	}
	err = m.settled(ctx)
	if err == nil || fresh == 0 {
		return err
	}
	_, undo := m.engine.Update(context.WithoutCancel(ctx), schemas, append(engine.ID(schemaID), bson.E{Key: "renaming.by", Value: mark.By}), bson.D{
		{Key: "$unset", Value: bson.D{{Key: "renaming", Value: ""}}}, {Key: "$set", Value: bson.D{{Key: "min_reader", Value: state.MinReader}}},
	}, UpdateOptions{})
	if undo != nil {
		m.log.Warn().Err(undo).Msg("the mark of the renaming was not taken back; run migrate again")
	}
	return err
}

// alone refuses while a process keeps a lease alive.
func (m migrator) alone(ctx context.Context) error {
	running, err := Running(ctx, m.engine, m.quiet)
	return serverRuns(running, err)
}

// settled is alone, and gives a process that is about to take its first lease the time
// to do so.
func (m migrator) settled(ctx context.Context) error {
	before, err := NewLeases(m.engine).All(ctx)
	if err != nil {
		return err
	}
	running, err := renewed(ctx, m.engine, before, m.quiet)
	return serverRuns(running, err)
}

func serverRuns(running bool, err error) error {
	if err == nil && running {
		err = models.Misconfigured("server_runs",
			"A server uses the database. Collections are renamed only while none does: stop every server of Pulse on this database, run `pulse-control-plane migrate` again, then start them. Until then everything works as before.")
	}
	return err
}

// FollowNames returns misconfigured when a database whose collections had their old
// names when it was opened is renamed: the process must end. Otherwise it returns when
// ctx ends, or at once if there is nothing to follow.
func FollowNames(ctx context.Context, e Engine) error {
	m := migrator{engine: e, migrations: migrations()}
	if e.Exclusive() || !slices.ContainsFunc(m.migrations, m.uses) {
		return nil
	}
	ticker := time.NewTicker(namesChecked)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if _, err := m.check(ctx); models.IsKind(err, models.KindMisconfigured) {
			return err
		}
	}
}
