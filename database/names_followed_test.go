package database

import (
	"cmp"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"
	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

func TestAServerThatMissedARenamingIsToldToEnd(t *testing.T) {
	e, path := olderShared(t)
	m := newMigrator(e, zerolog.Nop(), false)
	if err := contracting(e).claim(t.Context(), m.migrations[1]); err != nil {
		t.Fatal(err)
	}
	if err := FollowNames(t.Context(), e); !models.HasCode(err, "renaming_unfinished") {
		t.Errorf("while it goes on: %v", err)
	}
	// Another process finishes it; this one still has the old names.
	if err := m.store(t.Context(), bson.D{{Key: "$max", Value: bson.D{{Key: "names", Value: 2}}}, {Key: "$unset", Value: bson.D{{Key: "renaming", Value: ""}}}}); err != nil {
		t.Fatal(err)
	}
	if err := FollowNames(t.Context(), e); !models.HasCode(err, "database_migrated") {
		t.Errorf("after it: %v", err)
	}
	closeEngine(t, e)
	fresh := open(t, Location{Path: filepath.Join(filepath.Dir(path), "fresh.db")})
	defer closeEngine(t, fresh)
	if err := FollowNames(t.Context(), &sharedEngine{Engine: fresh}); err != nil {
		t.Errorf("a database without old names is followed: %v", err)
	}
}

// olderNames is the engine of a process that opened the database before a renaming.
type olderNames struct{ sharedEngine }

func (*olderNames) StoredName(collection string) string {
	return cmp.Or(FormerNames()[collection], collection)
}

// TestAServerThatSeesAMarkGoesOnExactlyIfItIsTakenBack has a server look at each step of
// migrate, without a lease, as one that just started or whose leases stand still.
func TestAServerThatSeesAMarkGoesOnExactlyIfItIsTakenBack(t *testing.T) {
	ended, kept := 0, 0
	for at := 1; ; at++ {
		e, _ := olderShared(t)
		if _, err := e.Delete(t.Context(), leases, bson.D{}, 0); err != nil {
			t.Fatal(err)
		}
		var looked bool
		var seen error
		server := newMigrator(&olderNames{sharedEngine{Engine: e.Engine}}, zerolog.Nop(), false)
		migrating, looks := &renewingEngine{sharedEngine: e}, 0
		look := func() {
			if looks++; looks == at {
				looked, seen = true, server.mayGoOn(t.Context())
			}
		}
		e.before = func(int) error { look(); return nil }
		migrating.each = look
		err := contracting(migrating).run(t.Context())
		if !looked {
			closeEngine(t, e)
			break
		}
		switch s := state(t, e); {
		case err == nil:
			if s.Renaming != nil || s.Names != 2 {
				t.Errorf("look %d: %+v", at, s)
			}
			if seen != nil {
				ended++
			}
		case !models.HasCode(err, "server_runs") || seen != nil || s.Renaming != nil || s.Names != 0 || s.MinReader != 0:
			t.Errorf("look %d: migrate ends with %v, the server with %v, and the schema document is %+v", at, err, seen, s)
		default:
			kept++
		}
		if err == nil { // the server must end, at once or on its next look
			if err := server.mayGoOn(t.Context()); !models.HasCode(err, "database_migrated") {
				t.Errorf("look %d: after the renaming the server goes on: %v", at, err)
			}
		}
		closeEngine(t, e)
	}
	if ended == 0 || kept == 0 {
		t.Errorf("it ended %d times and went on %d times", ended, kept)
	}
}

func TestARunThatIsKilledBeforeItBeganEndsNoServer(t *testing.T) {
	e, _ := olderShared(t)
	defer closeEngine(t, e)
	m, server := contracting(e), newMigrator(e, zerolog.Nop(), false)
	steps := 0
	e.before = func(int) error { // killed after the mark
		if steps++; steps > 1 {
			return errDied
		}
		return nil
	}
	if err := m.run(t.Context()); !errors.Is(err, errDied) {
		t.Fatal(err)
	}
	e.before = nil
	for range 2 {
		if err := server.mayGoOn(t.Context()); err != nil {
			t.Fatalf("the server ends: %v", err)
		}
	}
	// Another run takes over, and the server objects again.
	second, looks := &renewingEngine{sharedEngine: e}, 0
	second.each = func() {
		if looks++; looks == 2 {
			if err := server.mayGoOn(t.Context()); err != nil {
				t.Errorf("the server ends: %v", err)
			}
		}
	}
	if err := contracting(second).run(t.Context()); !models.HasCode(err, "server_runs") {
		t.Errorf("beside the server: %v", err)
	}
	if err := contracting(e).run(t.Context()); err != nil || state(t, e).Names != 2 {
		t.Errorf("without it: %v, %+v", err, state(t, e))
	}
}

func TestMigrateDoesNotSuggestMigrate(t *testing.T) {
	for _, contracting := range []bool{false, true} {
		var logged strings.Builder
		e, err := Open(t.Context(), Location{Path: copyFixture(t), Contracting: contracting}, zerolog.New(&logged))
		if err != nil {
			t.Fatal(err)
		}
		closeEngine(t, e)
		if strings.Contains(logged.String(), "still serves earlier versions") == contracting {
			t.Errorf("of migrate: %v; logged %s", contracting, logged.String())
		}
	}
}
