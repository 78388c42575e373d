package database

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rs/zerolog"
	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

// moveID is the id of the document that describes a move, in the collection of
// the schema's version: in the source its identity, in the target its progress
// too.
const moveID = "move"

// moving is the minReader of a target that is not complete: no version of Pulse
// starts on it.
const moving = 1 << 40

// moveState is the document of a move.
type moveState struct {
	// Source is the identity of the source.
	Source string `bson:"source"`
	// Identity is that of a finished target which became a source itself.
	Identity string `bson:"identity,omitempty"`
	// After is the id of the last document that was copied, by collection.
	After map[string]string `bson:"after,omitempty"`
	// Copied counts the documents of each.
	Copied map[string]int64 `bson:"copied,omitempty"`
	// Verified says that the copy was compared and is being completed, Finished that
	// the target is complete.
	Verified bool `bson:"verified,omitempty"`
	Finished bool `bson:"finished,omitempty"`
}

// Move copies every document of one database into another.
type Move struct {
	source, target Engine
	state          moveState
	// started says that the target was empty or is of this move.
	started bool
}

// BeginMove prepares the move of a source, which nothing else changes meanwhile and
// which has the schema of this binary. id is its identity if it has none yet. The
// target of an earlier move gets its own: under that of its source, a move of
// either would pass for a move of the other.
func BeginMove(ctx context.Context, source Engine, id string) (*Move, error) {
	m := &Move{source: source}
	_, err := source.Update(ctx, schemas, bson.D{{Key: "_id", Value: moveID}},
		bson.D{{Key: "$setOnInsert", Value: bson.D{{Key: "source", Value: id}}}}, UpdateOptions{Upsert: true})
	if err != nil {
		return nil, err
	}
	own, err := one[moveState](ctx, source, schemas, Query{Filter: bson.D{{Key: "_id", Value: moveID}}})
	if err != nil {
		return nil, err
	}
	switch {
	case own.Identity != "":
		m.state.Source = own.Identity
	case own.After == nil:
		m.state.Source = own.Source
	default:
		m.state.Source = id
		_, err = source.Update(ctx, schemas, bson.D{{Key: "_id", Value: moveID}},
			bson.D{{Key: "$set", Value: bson.D{{Key: "identity", Value: id}}}}, UpdateOptions{})
	}
	return m, err
}

// OpenTarget opens the engine that a move copies into, with the schema of this
// binary, which it may create. An embedded target is locked.
func OpenTarget(ctx context.Context, at Location, log zerolog.Logger) (Engine, error) {
	at.AllIndexes = true
	e, err := openEngine(ctx, at, log)
	if err != nil {
		return nil, err
	}
	m := newMigrator(e, log, false)
	state, err := m.read(ctx)
	switch {
	case models.IsKind(err, models.KindNotFound):
		err = m.named(ctx, e, false)
	case err == nil: // of a move that has not finished too
		err = e.Declare(ctx, m.schema(state))
	}
	if err != nil {
		return nil, errors.Join(err, e.Close(context.WithoutCancel(ctx)))
	}
	return e, nil
}

// Into begins or continues the move into a target. conflict "target_not_empty"
// if it has documents that this move did not copy; the source itself is refused
// too. A target that this move completed is not changed; see Finished.
func (m *Move) Into(ctx context.Context, target Engine) error {
	m.target = target
	stored, err := one[moveState](ctx, target, schemas, Query{Filter: bson.D{{Key: "_id", Value: moveID}}})
	switch {
	case models.IsKind(err, models.KindNotFound):
		return m.begin(ctx, schemas)
	case err != nil:
		return err
	case stored.After == nil:
		return notEmpty("it is the source of a move itself")
	case stored.Source == m.state.Source:
		m.state = stored
		return m.resume(ctx)
	case stored.Finished:
		return notEmpty("it is the complete target of another move")
	}
	return notEmpty("it is the target of another move, which did not finish")
}

// begun is the only key of moveState.After in a target before it is marked.
const begun = "begun"

// begin takes a target without documents in the collections of the move and in
// further ones.
func (m *Move) begin(ctx context.Context, further ...string) error {
	for _, collection := range append(m.Collections(), further...) {
		n, err := m.target.Count(ctx, collection, bson.D{}, 1)
		if err != nil {
			return err
		}
		if n > 0 {
			return notEmpty("it has documents in " + collection)
		}
	}
	m.state.After, m.state.Copied = map[string]string{"": ""}, map[string]int64{}
	_, err := m.target.Update(ctx, schemas, bson.D{{Key: "_id", Value: moveID}}, bson.D{{Key: "$set", Value: bson.D{
		{Key: "source", Value: m.state.Source}, {Key: "after", Value: bson.D{{Key: begun, Value: begun}}}}}}, UpdateOptions{Upsert: true})
	if err != nil {
		return err
	}
	return m.prepare(ctx)
}

// resume continues an earlier run, which may have ended after any write. Without
// the mark a server may use the target, so that it is not marked again: either the
// run had completed it and only not noted so, or it had written nothing else.
func (m *Move) resume(ctx context.Context) error {
	if m.state.Finished {
		return nil
	}
	schema, err := one[schemaState](ctx, m.target, schemas, Query{Filter: bson.D{{Key: "_id", Value: schemaID}}})
	switch {
	case err != nil && !models.IsKind(err, models.KindNotFound):
		return err
	case schema.Moving:
		return m.prepare(ctx)
	case !m.state.Verified:
		return m.begin(ctx)
	}
	m.state.Finished = true
	_, err = m.target.Update(ctx, schemas, bson.D{{Key: "_id", Value: moveID}}, bson.D{{Key: "$set", Value: bson.D{{Key: "finished", Value: true}}}}, UpdateOptions{})
	return err
}

// prepare marks the target and brings it to the schema: an earlier run may have
// ended before every index was made.
func (m *Move) prepare(ctx context.Context) error {
	if err := m.mark(ctx); err != nil {
		return err
	}
	m.started = true
	_, err := m.target.EnsureSchema(ctx)
	return err
}

func notEmpty(why string) error {
	return models.Misconfigured("target_not_empty", "The target of the move is not empty: "+why+". Name an empty database; a move never overwrites.")
}

// mark keeps every version of Pulse from starting on the target.
func (m *Move) mark(ctx context.Context) error {
	raised := bson.D{{Key: "min_reader", Value: int64(moving)}}
	if names := m.made().Names; names > 0 {
		raised = append(raised, bson.E{Key: "names", Value: names})
	}
	_, err := m.target.Update(ctx, schemas, bson.D{{Key: "_id", Value: schemaID}}, bson.D{
		{Key: "$set", Value: bson.D{{Key: "moving", Value: true}}}, {Key: "$max", Value: raised},
	}, UpdateOptions{Upsert: true})
	return err
}

// made is the state of a target as this version makes it, whatever names its source
// has: it has no index to drop and no collection to rename. One that an earlier version
// began keeps its names and is contracted by migrate.
func (m *Move) made() schemaState {
	target := newMigrator(m.target, zerolog.Nop(), false)
	if slices.ContainsFunc(target.migrations, target.uses) {
		return schemaState{}
	}
	return target.newest()
}

// Collections are those that a move copies: all but the schema's version, which
// completes the target.
func (m *Move) Collections() (names []string) {
	for _, c := range Schema() {
		if c.Name != schemas {
			names = append(names, c.Name)
		}
	}
	return names
}

// Total counts the documents of a collection in the source, and those that were
// copied already.
func (m *Move) Total(ctx context.Context, collection string) (total, copied int64, err error) {
	total, err = m.source.Count(ctx, collection, bson.D{}, 0)
	return total, m.state.Copied[collection], err
}

const (
	// pageBytes bounds the documents that are held of one page.
	pageBytes = 8 << 20
	// pagesAhead is how many pages are read before they are written.
	pagesAhead = 2
)

// Copy copies the documents of a collection that were not copied yet, and calls
// each with how many of a page it copied. It can be interrupted and run again.
func (m *Move) Copy(ctx context.Context, collection string, each func(n int64)) error {
	if !m.started {
		return models.Internal(errors.New("database: a move without a target"))
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	copied := m.state.Copied[collection]
	for p := range readPages(ctx, m.source, collection, m.state.After[collection]) {
		if p.err != nil {
			return p.err
		}
		if len(p.docs) == 0 {
			continue
		}
		if err := m.insert(ctx, collection, p.docs); err != nil {
			return err
		}
		copied += int64(len(p.docs))
		_, err := m.target.Update(ctx, schemas, bson.D{{Key: "_id", Value: moveID}}, bson.D{{Key: "$set", Value: bson.D{
			{Key: "after." + collection, Value: p.after()}, {Key: "copied." + collection, Value: copied}}}}, UpdateOptions{})
		if err != nil {
			return err
		}
		each(int64(len(p.docs)))
	}
	return ctx.Err()
}

// insert stores a page. What is there already must be the same.
func (m *Move) insert(ctx context.Context, collection string, docs []bson.Raw) error {
	batch := make([]any, len(docs))
	for i, raw := range docs {
		batch[i] = raw
	}
	duplicates, err := m.target.InsertMany(ctx, collection, batch)
	if err != nil {
		return err
	}
	for _, i := range duplicates {
		id := docs[i].Lookup("_id").StringValue()
		found, err := one[bson.Raw](ctx, m.target, collection, Query{Filter: bson.D{{Key: "_id", Value: id}}})
		if err != nil && !models.IsKind(err, models.KindNotFound) {
			return err
		}
		if err != nil && expired(collection, docs[i], time.Now()) {
			continue
		}
		if err != nil || !bytes.Equal(found, docs[i]) {
			return notEmpty(fmt.Sprintf("%s %s is not that of the source", collection, id))
		}
	}
	return nil
}

// Finish completes a target that was compared: it gets the version of the schema,
// so that a server starts on it.
func (m *Move) Finish(ctx context.Context) error {
	state, err := migrator{engine: m.source, migrations: migrations()}.check(ctx)
	if err != nil {
		return err
	}
	own := bson.D{{Key: "_id", Value: moveID}}
	if _, err := m.target.Update(ctx, schemas, own, bson.D{{Key: "$set", Value: bson.D{{Key: "verified", Value: true}}}}, UpdateOptions{}); err != nil {
		return err
	}
	made := m.made()
	_, err = m.target.Update(ctx, schemas, bson.D{{Key: "_id", Value: schemaID}}, bson.D{
		{Key: "$set", Value: bson.D{{Key: "version", Value: state.Version}, {Key: "min_reader", Value: max(state.MinReader, made.MinReader)},
			{Key: "names", Value: made.Names}, {Key: "contracted", Value: made.Contracted}}},
		{Key: "$unset", Value: bson.D{{Key: "moving", Value: ""}}},
	}, UpdateOptions{})
	if err != nil {
		return err
	}
	_, err = m.target.Update(ctx, schemas, own, bson.D{{Key: "$set", Value: bson.D{{Key: "finished", Value: true}}}}, UpdateOptions{})
	return err
}

// Finished says that an earlier run completed the target: there is nothing to copy
// or finish, and servers may have changed it since.
func (m *Move) Finished() bool { return m.state.Finished }

// Running reports whether a server seems to use a database: one of its leases is
// renewed within a time.
func Running(ctx context.Context, e Engine, within time.Duration) (bool, error) {
	before, err := NewLeases(e).All(ctx)
	if err != nil || len(before) == 0 {
		return false, err
	}
	return renewed(ctx, e, before, within)
}

// renewed reports whether one of some leases is renewed, or another one taken, within
// a time.
func renewed(ctx context.Context, e Engine, before []models.Lease, within time.Duration) (bool, error) {
	timer := time.NewTimer(within)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false, models.Unavailable(ctx.Err())
	case <-timer.C:
	}
	after, err := NewLeases(e).All(ctx)
	if err != nil {
		return false, err
	}
	terms := map[string]int64{}
	for _, l := range before {
		terms[l.ID] = l.Term
	}
	for _, l := range after {
		if term, known := terms[l.ID]; !known || term != l.Term {
			return true, nil
		}
	}
	return false, nil
}
