package database

import (
	"context"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database/engine"
	"pulse-control-plane/models"
)

// existing lists the collections of a file by their stored names.
func existing(t *testing.T, e Engine) []string {
	t.Helper()
	names, err := e.Existing(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func open(t *testing.T, at Location) Engine {
	t.Helper()
	e, err := Open(t.Context(), at, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func state(t *testing.T, e Engine) schemaState {
	t.Helper()
	state, err := newMigrator(e, zerolog.Nop(), true).check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func TestANewDatabaseHasTheNamesOfTheGlossaryAndNothingToContract(t *testing.T) {
	var logged strings.Builder
	path := filepath.Join(t.TempDir(), "pulse.db")
	for range 2 {
		e, err := Open(t.Context(), Location{Path: path}, zerolog.New(&logged))
		if err != nil {
			t.Fatal(err)
		}
		names := existing(t, e)
		for name, former := range FormerNames() {
			if !slices.Contains(names, name) || slices.Contains(names, former) {
				t.Errorf("%s is stored among %v", name, names)
			}
		}
		s := state(t, e)
		if last := int64(len(migrations())); s.Version != last || s.Contracted != last || s.Names == 0 || s.MinReader < s.Names {
			t.Errorf("the schema document says %+v", s)
		}
		closeEngine(t, e)
	}
	if logged.Len() > 0 {
		t.Errorf("logged %s", logged.String())
	}
}

func TestAnOlderDatabaseKeepsItsNamesUntilMigrateContracts(t *testing.T) {
	path := copyFixture(t)
	var logged strings.Builder
	e, err := Open(t.Context(), Location{Path: path}, zerolog.New(&logged))
	if err != nil {
		t.Fatal(err)
	}
	for _, say := range []string{"rename the collection " + FormerNames()[slots] + " to slots", "drop 15 indexes", "pulse-control-plane migrate"} {
		if !strings.Contains(logged.String(), say) {
			t.Errorf("the log does not say %q: %s", say, logged.String())
		}
	}
	if err := NewSlots(e).Take(t.Context(), &models.Slot{ID: "s", Owner: "o", Quota: models.QuotaProjects, Holder: "h"}); err != nil {
		t.Fatal(err)
	}
	before := contents(t, e)
	closeEngine(t, e)

	for range 2 { // a second run of migrate finds nothing to do
		e = open(t, Location{Path: path})
		if err := Contract(t.Context(), e, zerolog.Nop()); err != nil {
			t.Fatal(err)
		}
		names := existing(t, e)
		for name, former := range FormerNames() {
			if !slices.Contains(names, name) || slices.Contains(names, former) {
				t.Errorf("%s is stored among %v", name, names)
			}
		}
		if s := state(t, e); s.Names != 2 || s.Contracted != 2 || s.MinReader != 2 || s.Renaming != nil {
			t.Errorf("the schema document says %+v", s)
		}
		closeEngine(t, e)
	}
	e = open(t, Location{Path: path})
	defer closeEngine(t, e)
	after := contents(t, e)
	if !maps.Equal(before, after) {
		t.Errorf("%d documents before, %d afterwards, or some differ", len(before), len(after))
	}
	if differences, err := e.SchemaDifferences(t.Context()); err != nil || len(differences) > 0 {
		t.Errorf("differences %v, %v", differences, err)
	}
}

// sharedEngine is an embedded database that other processes might use too, as one of
// MongoDB: it is renamed in the steps of a server.
type sharedEngine struct {
	Engine
	// before is called before each write to the schema document and each renaming.
	before func(step int) error
	steps  int
	// dropped counts indexes.
	dropped int
}

func (e *sharedEngine) Exclusive() bool { return false }

func (e *sharedEngine) step() error {
	if e.before == nil {
		return nil
	}
	e.steps++
	return e.before(e.steps)
}

func (e *sharedEngine) Update(ctx context.Context, c string, filter, update bson.D, o UpdateOptions) (int64, error) {
	if c == schemas {
		if err := e.step(); err != nil {
			return 0, err
		}
	}
	return e.Engine.Update(ctx, c, filter, update, o)
}

func (e *sharedEngine) DropIndex(ctx context.Context, c string, keys []string) error {
	e.dropped++
	return e.Engine.DropIndex(ctx, c, keys)
}

// Rename does one collection at a time, as a server does.
func (e *sharedEngine) Rename(ctx context.Context, collections []string, then engine.Then) error {
	for _, name := range collections {
		if err := e.step(); err != nil {
			return err
		}
		if err := e.Engine.Rename(ctx, []string{name}, engine.Then{Collection: schemas, ID: "none", Update: bson.D{{Key: "$max", Value: bson.D{{Key: "version", Value: 0}}}}}); err != nil {
			return err
		}
	}
	if err := e.step(); err != nil {
		return err
	}
	return e.Engine.Rename(ctx, nil, then)
}

func (e *sharedEngine) Declare(ctx context.Context, schema []Collection) error {
	return e.Engine.(declarer).Declare(ctx, schema)
}

// olderShared is the fixture as a shared database, prepared by a start, and its file.
func olderShared(t *testing.T) (*sharedEngine, string) {
	t.Helper()
	path := copyFixture(t)
	e := &sharedEngine{Engine: open(t, Location{Path: path})}
	return e, path
}

func contracting(e Engine) migrator {
	m := newMigrator(e, zerolog.Nop(), true)
	m.quiet = 20 * time.Millisecond
	return m
}

func TestARenamingKilledAtAnyStepKeepsServersOutUntilMigrateFinishesIt(t *testing.T) {
	finished := false
	for fatal := 1; !finished; fatal++ {
		e, path := olderShared(t)
		before := contents(t, e)
		e.before = func(step int) error {
			if step == fatal {
				return errDied
			}
			return nil
		}
		finished = contracting(e).run(t.Context()) == nil
		closeEngine(t, e)
		if fatal > 20 {
			t.Fatal("it never finishes")
		}

		// A server that starts now: it has the names that are stored, or it is refused.
		raw := openAt(t, path, []Collection{schemasCollection()})
		server := &sharedEngine{Engine: raw}
		m := newMigrator(server, zerolog.Nop(), false)
		err := m.named(t.Context(), server, true)
		marked := state(t, raw).Renaming != nil
		switch {
		case marked && !models.HasCode(err, "renaming_unfinished"):
			t.Errorf("killed at step %d: a start is %v; want it refused", fatal, err)
		case !marked && err != nil:
			t.Errorf("killed at step %d: a start is refused: %v", fatal, err)
		case !marked:
			if now := contents(t, server); !maps.Equal(before, now) {
				t.Errorf("killed at step %d: a server sees %d documents of %d", fatal, len(now), len(before))
			}
		}
		closeEngine(t, raw)

		again := &sharedEngine{Engine: openAt(t, path, []Collection{schemasCollection()})}
		m = contracting(again)
		for _, do := range []func() error{
			func() error { return m.named(t.Context(), again, true) },
			func() error { return prepare(t.Context(), m) },
			func() error { return prepare(t.Context(), m) },
		} {
			if err := do(); err != nil {
				t.Fatalf("killed at step %d: migrate again: %v", fatal, err)
			}
		}
		if now := contents(t, again); !maps.Equal(before, now) {
			t.Errorf("killed at step %d: %d documents of %d after migrate", fatal, len(now), len(before))
		}
		if s := state(t, again); s.Names != 2 || s.Contracted != 2 || s.Renaming != nil || slices.Contains(existing(t, again), FormerNames()[slots]) {
			t.Errorf("killed at step %d: %+v, %v", fatal, s, existing(t, again))
		}
		closeEngine(t, again)
	}
}

func TestARenamingIsRefusedWhileAServerLivesAndChangesNothing(t *testing.T) {
	take := func(l *Leases) (bool, error) {
		return l.Take(t.Context(), &models.Lease{ID: "job"}, "a server", time.Second)
	}
	renew := func(l *Leases) (bool, error) {
		n, err := l.Renew(t.Context(), []string{"job"}, "a server", time.Second)
		return n > 0, err
	}
	for name, at := range map[string][]func(*Leases) (bool, error){
		"it lives all the time":                   {take, nil, renew},
		"it wakes up after the first look":        {take, nil, nil, nil, renew},
		"it takes its first lease after the mark": {nil, nil, nil, take},
	} {
		e, _ := olderShared(t)
		before := state(t, e)
		if _, err := e.Delete(t.Context(), leases, bson.D{}, 0); err != nil {
			t.Fatal(err)
		}
		leases, looks := NewLeases(e), 0
		if at[0] != nil {
			if _, err := at[0](leases); err != nil {
				t.Fatal(err)
			}
		}
		renewing := &renewingEngine{sharedEngine: e, each: func() { // before each list of the leases
			if looks++; looks < len(at) && at[looks] != nil {
				if done, err := at[looks](leases); err != nil || !done {
					t.Errorf("%s: %v, %v", name, done, err)
				}
			}
		}}
		err := contracting(renewing).run(t.Context())
		if !models.HasCode(err, "server_runs") || !models.IsKind(err, models.KindMisconfigured) || !strings.Contains(err.Error(), "stop every server of Pulse on this database") {
			t.Errorf("%s: %v", name, err)
		}
		if after := state(t, e); after != before || after.Names != 0 || after.Contracted != 0 {
			t.Errorf("%s: the schema document was %+v and is %+v", name, before, after)
		}
		if e.dropped > 0 {
			t.Errorf("%s: %d indexes were dropped", name, e.dropped)
		}
		if !slices.Contains(existing(t, e), FormerNames()[slots]) {
			t.Errorf("%s: it was renamed: %v", name, existing(t, e))
		}
		closeEngine(t, e)
	}
}

// renewingEngine calls each before every list of leases.
type renewingEngine struct {
	*sharedEngine
	each func()
}

func (e *renewingEngine) Find(ctx context.Context, c string, q Query, each func(bson.Raw) error) error {
	if c == leases {
		e.each()
	}
	return e.Engine.Find(ctx, c, q, each)
}

func TestARunThatTookARenamingOverDoesNotLetServersStart(t *testing.T) {
	e, _ := olderShared(t)
	defer closeEngine(t, e)
	first, second := contracting(e), contracting(e)
	step := first.migrations[1]
	if err := first.claim(t.Context(), step); err != nil { // and renames now
		t.Fatal(err)
	}
	mark := state(t, e).Renaming.By
	leases := NewLeases(e)
	if _, err := leases.Take(t.Context(), &models.Lease{ID: "job"}, "a server", time.Second); err != nil {
		t.Fatal(err)
	}
	second.engine = &renewingEngine{sharedEngine: e, each: func() {
		if _, err := leases.Renew(t.Context(), []string{"job"}, "a server", time.Second); err != nil {
			t.Error(err)
		}
	}}
	if err := second.claim(t.Context(), step); !models.HasCode(err, "server_runs") {
		t.Errorf("the second run: %v", err)
	}
	if s := state(t, e); s.Renaming == nil || s.Renaming.By == mark {
		t.Errorf("the mark is %+v", s.Renaming)
	}
}

func TestAMoveOfAnOlderDatabaseMakesATargetWithTheNewNames(t *testing.T) {
	source := open(t, Location{Path: copyFixture(t)})
	defer closeEngine(t, source)
	before := contents(t, source)
	path := filepath.Join(t.TempDir(), "target.db")
	target, err := OpenTarget(t.Context(), Location{Path: path}, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	m, err := BeginMove(t.Context(), source, "here")
	if err == nil {
		err = m.Into(t.Context(), target)
	}
	if err != nil {
		t.Fatal(err)
	}
	closeEngine(t, target) // killed; the next run finds the mark
	if target, err = OpenTarget(t.Context(), Location{Path: path}, zerolog.Nop()); err != nil {
		t.Fatal(err)
	}
	if err := m.Into(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	for _, collection := range m.Collections() {
		if err := m.Copy(t.Context(), collection, func(int64) {}); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Finish(t.Context()); err != nil {
		t.Fatal(err)
	}
	closeEngine(t, target)
	var logged strings.Builder
	e, err := Open(t.Context(), Location{Path: path}, zerolog.New(&logged))
	if err != nil {
		t.Fatal(err)
	}
	defer closeEngine(t, e)
	if now := contents(t, e); !maps.Equal(before, now) || logged.Len() > 0 {
		t.Errorf("%d documents of %d, logged %s", len(now), len(before), logged.String())
	}
	if names := existing(t, e); slices.Contains(names, FormerNames()[slots]) || !slices.Contains(existing(t, source), FormerNames()[slots]) {
		t.Errorf("the collections are %v", names)
	}
}
