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

// renaming is the mark that `migrate` sets in the schema document while it gives
// collections other names. docs/ARCHITECTURE.md, "Renaming of collections", has the
// steps and who may be at work meanwhile; their numbers are used below.
type renaming struct {
	Version int64 `bson:"version"`
	// By is the run of migrate that owns the mark.
	By string `bson:"by"`
	// Objected is set by a server that uses the old names and saw the mark; Begun by
	// migrate, in a write that matches only a mark without Objected.
	Objected bool `bson:"objected,omitempty"`
	Begun    bool `bson:"begun,omitempty"`
}

// renamed is a collection that a migration gives another name.
type renamed struct{ collection, former string }

const (
	// quietLeases is how long no lease may be renewed before a renaming; each server
	// renews one every second.
	quietLeases = 5 * time.Second
	// namesChecked is how often a server that uses old names looks whether it still
	// may: at least twice while migrate waits for quietLeases.
	namesChecked = 2 * time.Second
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

// uses reports whether the engine has the old names of a migration.
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
// allows to write gets its document first, so that a crash cannot leave one that looks
// older. (Two versions must not start on an empty database in the same moment: the
// older one has read that there is no document, and makes its own names.)
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

// rename gives the collections of a migration their new names.
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
	by := ids.New("run")
	mark := bson.D{
		// Field by field: a mark that is taken over stays Begun.
		{Key: "$set", Value: bson.D{{Key: "renaming.version", Value: step.version}, {Key: "renaming.by", Value: by}}},
		{Key: "$unset", Value: bson.D{{Key: "renaming.objected", Value: ""}}},
		{Key: "$max", Value: bson.D{{Key: "min_reader", Value: step.minReader}}},
	}
	fresh, err := m.engine.Update(ctx, schemas, append(engine.ID(schemaID), absent("renaming.version")), mark, UpdateOptions{})
	if err == nil && fresh == 0 {
		err = m.store(ctx, mark)
	}
	if err != nil {
		return err
	}
	err = m.settled(ctx)
	if err == nil {
		err = m.begin(ctx, by)
	}
	if err == nil || fresh == 0 {
		return err
	}
	_, undo := m.engine.Update(context.WithoutCancel(ctx), schemas, append(engine.ID(schemaID), bson.E{Key: "renaming.by", Value: by}), bson.D{
		{Key: "$unset", Value: bson.D{{Key: "renaming", Value: ""}}}, {Key: "$set", Value: bson.D{{Key: "min_reader", Value: state.MinReader}}},
	}, UpdateOptions{})
	if undo != nil {
		m.log.Warn().Err(undo).Msg("the mark of the renaming was not taken back; run migrate again")
	}
	return err
}

// begin ends step 3: it changes the mark of a run unless a server has objected.
func (m migrator) begin(ctx context.Context, by string) error {
	matched, err := m.engine.Update(ctx, schemas, append(engine.ID(schemaID), bson.E{Key: "renaming.by", Value: by}, absent("renaming.objected")),
		bson.D{{Key: "$set", Value: bson.D{{Key: "renaming.begun", Value: true}}}}, UpdateOptions{})
	if err != nil || matched > 0 {
		return err
	}
	state, err := m.check(ctx)
	if err == nil && (state.Renaming == nil || state.Renaming.By != by) {
		return models.Misconfigured("renaming_elsewhere",
			"Another run of `pulse-control-plane migrate` renames collections of this database. Wait for it, then run it again if it failed.")
	}
	return serverRuns(true, err)
}

func absent(field string) bson.E {
	return bson.E{Key: field, Value: bson.D{{Key: "$exists", Value: false}}}
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
// names when it was opened is renamed: the process must end. It keeps a run of
// migrate from beginning, as long as it can write. It returns when ctx ends, or at
// once if there is nothing to follow.
func FollowNames(ctx context.Context, e Engine) error {
	m := migrator{engine: e, migrations: migrations()}
	if e.Exclusive() || !slices.ContainsFunc(m.migrations, m.uses) {
		return nil
	}
	ticker := time.NewTicker(namesChecked)
	defer ticker.Stop()
	for {
		if err := m.mayGoOn(ctx); models.IsKind(err, models.KindMisconfigured) {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// mayGoOn is misconfigured if a server with the old names must end. One that sees a
// mark objects to it, and goes on if the mark shows that migrate had not begun:
// migrate cannot begin under that mark any more, and reports that nothing changed.
func (m migrator) mayGoOn(ctx context.Context) error {
	state, err := m.check(ctx)
	if !models.HasCode(err, "renaming_unfinished") {
		return err
	}
	if !state.Renaming.Begun {
		if _, err := m.engine.Update(ctx, schemas, append(engine.ID(schemaID), bson.E{Key: "renaming.by", Value: state.Renaming.By}),
			bson.D{{Key: "$set", Value: bson.D{{Key: "renaming.objected", Value: true}}}}, UpdateOptions{}); err != nil {
			return err
		}
		state, err = m.check(ctx)
	}
	if models.HasCode(err, "renaming_unfinished") && !state.Renaming.Begun {
		return nil
	}
	return err
}
