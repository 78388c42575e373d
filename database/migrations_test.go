package database

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database/embedded"
	"pulse-control-plane/models"
)

// The fixture was written by the binary before schema versions: one
// organization with a project, two API keys, three rooms of LiveKit events, the
// last one open, and a token.
const (
	fixture        = "testdata/layout1.db.gz"
	fixtureEmail   = "ann3@example.com"
	fixtureProject = models.ProjectID("prj_01a22532-0bd0-7da2-920d-e6904612014c")
	fixtureKey     = "pulse_key_cdZ95QiQZ0gS28VtOauNB92gJt9B"
)

func copyFixture(t *testing.T) string {
	t.Helper()
	f, err := os.Open(fixture)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	unzipped, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(unzipped)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "pulse.db")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// openAt opens a file without migrations.
func openAt(t *testing.T, path string, schema []Collection) *embedded.Engine {
	t.Helper()
	e, err := embedded.Open(t.Context(), path, schema, embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func closeEngine(t *testing.T, e Engine) {
	t.Helper()
	if err := e.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// contents returns every document of every collection, by collection and id.
func contents(t *testing.T, e Engine) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, c := range Schema() {
		if c.Name == schemas {
			continue
		}
		if err := e.Find(t.Context(), c.Name, Query{Limit: 10_000}, func(raw bson.Raw) error {
			all[c.Name+" "+raw.Lookup("_id").StringValue()] = raw.String()
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// formerSchema is the schema with the names of before any migration.
func formerSchema() []Collection { return migrator{migrations: migrations()}.schema(schemaState{}) }

func TestADatabaseWithoutASchemaVersionIsMigratedWithoutLoss(t *testing.T) {
	path := copyFixture(t)
	e := openAt(t, path, formerSchema())
	before := contents(t, e)
	closeEngine(t, e)
	if len(before) < 100 {
		t.Fatalf("the fixture has %d documents", len(before))
	}
	for range 2 { // the second start finds nothing to do
		e, err := Open(t.Context(), Location{Path: path}, zerolog.Nop())
		if err != nil {
			t.Fatal(err)
		}
		if after := contents(t, e); !maps.Equal(before, after) {
			t.Errorf("%d documents before, %d afterwards, or some differ", len(before), len(after))
		}
		state, err := migrator{engine: e, migrations: migrations()}.check(t.Context())
		if err != nil || state.Version != int64(len(migrations())) {
			t.Errorf("schema %+v, %v; want version %d", state, err, len(migrations()))
		}
		if differences, err := e.EnsureSchema(t.Context()); err != nil || len(differences) > 0 {
			t.Errorf("differences %v, %v", differences, err)
		}
		org, err := NewOrganizations(e).ByAdminEmail(t.Context(), fixtureEmail)
		if err != nil {
			t.Fatal(err)
		}
		key, err := NewAPIKeys(e).ByKey(t.Context(), fixtureKey)
		if err != nil || key.ProjectID != fixtureProject || key.OrgID != org.ID {
			t.Errorf("API key %+v, %v", key, err)
		}
		open := 0
		if err := NewUsageSessions(e).EachOpen(t.Context(), fixtureProject, 100, func(models.UsageSession) error { open++; return nil }); err != nil || open != 5 {
			t.Errorf("%d open usage sessions, %v; want a room and four participants", open, err)
		}
		facts, err := NewUsageMetrics(e).List(t.Context(), fixtureProject, FactFilter{End: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)}, 1000)
		if err != nil || len(facts) < 10 {
			t.Errorf("%d usage facts, %v", len(facts), err)
		}
		closeEngine(t, e)
	}
}

func TestANewerSchemaIsRefusedWithoutAChange(t *testing.T) {
	path := copyFixture(t)
	old := []Collection{{Name: "organizations"}, schemasCollection()}
	e := openAt(t, path, old)
	if err := e.Insert(t.Context(), schemas, bson.D{{Key: "_id", Value: schemaID}, {Key: "version", Value: 900}, {Key: "min_reader", Value: 800}}); err != nil {
		t.Fatal(err)
	}
	closeEngine(t, e)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Open(t.Context(), Location{Path: path}, zerolog.Nop())
	if !models.HasCode(err, "database_too_new") || !models.IsKind(err, models.KindMisconfigured) {
		t.Fatalf("opened: %v", err)
	}
	for _, want := range []string{"schema version 900", "knows schema version 800", "Start the newer version again"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
	if strings.Contains(err.Error(), "our side") {
		t.Errorf("the operator reads %q", err)
	}
	after, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(before, after) {
		t.Error("a refused file was changed")
	}
}

func TestASchemaOfTheNextVersionThatStillServesThisOneIsKept(t *testing.T) {
	path := copyFixture(t)
	e := openAt(t, path, []Collection{schemasCollection()})
	if err := e.Insert(t.Context(), schemas, bson.D{{Key: "_id", Value: schemaID}, {Key: "version", Value: 900}, {Key: "min_reader", Value: 1}}); err != nil {
		t.Fatal(err)
	}
	closeEngine(t, e)
	opened, err := Open(t.Context(), Location{Path: path}, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	defer closeEngine(t, opened)
	state, err := migrator{engine: opened, migrations: migrations()}.check(t.Context())
	if err != nil || state.Version != 900 || state.MinReader != 1 {
		t.Errorf("schema %+v, %v; want it unchanged", state, err)
	}
}

// dyingEngine fails every write from the fatal one on, as a killed process.
type dyingEngine struct {
	Engine
	writes atomic.Int64
	fatal  int64
}

var errDied = errors.New("killed by the test")

func (e *dyingEngine) dies() bool {
	n := e.writes.Add(1)
	return e.fatal > 0 && n >= e.fatal
}

func (e *dyingEngine) Update(ctx context.Context, c string, filter, update bson.D, o UpdateOptions) (int64, error) {
	if e.dies() {
		return 0, errDied
	}
	return e.Engine.Update(ctx, c, filter, update, o)
}

func (e *dyingEngine) DropIndex(ctx context.Context, c string, keys []string) error {
	if e.dies() {
		return errDied
	}
	return e.Engine.DropIndex(ctx, c, keys)
}

// doubling are migrations that show when a step ran twice: the second one adds
// to what it finds, guarded by a marker in the document.
func doubling() []migration {
	return []migration{
		{version: 1, retire: []retiredIndex{{"numbers", []string{"n"}}}},
		{version: 2, minReader: 1, rewrite: &rewrite{collection: "numbers", change: func(raw bson.Raw) (bson.D, error) {
			if _, err := raw.LookupErr("doubled"); err == nil {
				return nil, nil
			}
			n := raw.Lookup("n").AsInt64()
			return bson.D{{Key: "$set", Value: bson.D{{Key: "n", Value: 2 * n}, {Key: "doubled", Value: true}}}}, nil
		}}},
	}
}

func TestAMigrationKilledAtAnyWriteIsFinishedByTheNextStart(t *testing.T) {
	const documents = MaxBatch + 5
	schema := []Collection{schemasCollection(), {Name: "numbers", Fields: []Field{{Name: "n", Kind: Int}}}}
	for _, fatal := range []int64{1, 2, 3, documents / 2, MaxBatch + 3, MaxBatch + 4, documents + 3, documents + 4, documents + 5, documents + 6} {
		e := openAt(t, filepath.Join(t.TempDir(), "pulse.db"), schema)
		docs := make([]any, documents)
		for i := range docs {
			docs[i] = bson.D{{Key: "_id", Value: fmt.Sprintf("%05d", i)}, {Key: "n", Value: int64(i)}}
		}
		for _, batch := range [][]any{docs[:MaxBatch], docs[MaxBatch:]} {
			if _, err := e.InsertMany(t.Context(), "numbers", batch); err != nil {
				t.Fatal(err)
			}
		}
		dying := &dyingEngine{Engine: e, fatal: fatal}
		err := prepare(t.Context(), migrator{engine: dying, migrations: doubling(), contract: true})
		if died := errors.Is(err, errDied); !died && dying.writes.Load() >= fatal {
			t.Fatalf("killed at write %d: %v", fatal, err)
		}
		again := &dyingEngine{Engine: e}
		for range 2 {
			if err := prepare(t.Context(), migrator{engine: again, migrations: doubling(), contract: true}); err != nil {
				t.Fatal(err)
			}
		}
		// What was done before the last stored page is not done again.
		if fatal > MaxBatch+3 && again.writes.Load() > 20 { // the second page, and what ends each migration
			t.Errorf("killed at write %d: the next start wrote %d times; want it to continue", fatal, again.writes.Load())
		}
		wrong := 0
		if err := e.Find(t.Context(), "numbers", Query{Limit: 10_000}, func(raw bson.Raw) error {
			var i int64
			if _, err := fmt.Sscanf(raw.Lookup("_id").StringValue(), "%d", &i); err != nil {
				return err
			}
			if raw.Lookup("n").AsInt64() != 2*i {
				wrong++
			}
			return nil
		}); err != nil || wrong > 0 {
			t.Errorf("killed at write %d: %d documents are wrong: %v", fatal, wrong, err)
		}
		state, err := migrator{engine: e, migrations: doubling()}.check(t.Context())
		if err != nil || state.Version != 2 || state.MinReader != 1 || state.Cursor != nil {
			t.Errorf("schema %+v: %v", state, err)
		}
		closeEngine(t, e)
	}
}

// startingEngine is a server that is busy at first.
type startingEngine struct {
	Engine
	busy, asked int
}

func (e *startingEngine) Exclusive() bool { return false }

func (e *startingEngine) EnsureSchema(ctx context.Context) ([]IndexDifference, error) {
	if e.asked++; e.asked <= e.busy {
		return nil, models.Unavailable(errors.New("deadlock detected"))
	}
	return e.Engine.EnsureSchema(ctx)
}

func TestABusyServerIsAskedAgainUntilItsSchemaIsPrepared(t *testing.T) {
	e := openAt(t, filepath.Join(t.TempDir(), "pulse.db"), Schema())
	defer closeEngine(t, e)
	starting := &startingEngine{Engine: e, busy: 1}
	var logged strings.Builder
	if err := Prepare(t.Context(), starting, zerolog.New(&logged)); err != nil {
		t.Fatal(err)
	}
	if starting.asked != 2 || !strings.Contains(logged.String(), "deadlock detected") {
		t.Errorf("asked %d times, logged %s", starting.asked, logged.String())
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := Prepare(ctx, &startingEngine{Engine: e, busy: 1000}, zerolog.Nop()); !models.IsKind(err, models.KindUnavailable) {
		t.Errorf("a server that stays busy: %v, want unavailable when the context ends", err)
	}
}

func TestTheProgressOfAFinishedMigrationDoesNotSkipDocumentsOfTheNext(t *testing.T) {
	schema := []Collection{schemasCollection(), {Name: "numbers", Fields: []Field{{Name: "n", Kind: Int}}}}
	e := openAt(t, filepath.Join(t.TempDir(), "pulse.db"), schema)
	defer closeEngine(t, e)
	if err := e.Insert(t.Context(), "numbers", bson.D{{Key: "_id", Value: "a"}, {Key: "n", Value: 1}}); err != nil {
		t.Fatal(err)
	}
	// A slow process stored how far it was with version 1 after another had finished it.
	if err := e.Insert(t.Context(), schemas, bson.D{{Key: "_id", Value: schemaID}, {Key: "version", Value: 1}, {Key: "min_reader", Value: 0},
		{Key: "cursor", Value: rewriteCursor{1, "z"}}}); err != nil {
		t.Fatal(err)
	}
	if err := prepare(t.Context(), migrator{engine: e, migrations: doubling(), contract: true}); err != nil {
		t.Fatal(err)
	}
	var out struct{ N int64 }
	if err := e.FindOne(t.Context(), "numbers", Query{}, &out); err != nil || out.N != 2 {
		t.Errorf("n is %d, %v; want 2", out.N, err)
	}
}

func TestMigrationsAreNumberedWithoutGaps(t *testing.T) {
	for i, m := range migrations() {
		if m.version != int64(i+1) || m.minReader > m.version {
			t.Errorf("migration %d has version %d and minReader %d", i+1, m.version, m.minReader)
		}
	}
}
