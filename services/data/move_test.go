package data

import (
	"context"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database"
	"pulse-control-plane/database/embedded"
	"pulse-control-plane/database/testkit"
	"pulse-control-plane/models"
)

// mover moves between databases of the tests.
func mover(out io.Writer) Commands {
	return Commands{Tool: Tool{Now: time.Now}, Out: out, Progress: io.Discard}
}

// emptyEngine is a database whose writes a test can end, in a file that stays.
func emptyEngine(t *testing.T) (e *testkit.Engine, path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "pulse.db")
	opened := testkit.Must[*embedded.Engine](t)(embedded.Open(t.Context(), path, database.Schema(), embedded.Options{}))
	t.Cleanup(func() { _ = opened.Close(context.Background()) })
	return &testkit.Engine{Engine: opened}, path
}

// sourceEngine has sealed values, facts, totals and n documents more.
func sourceEngine(t *testing.T, n int) *testkit.Engine {
	t.Helper()
	e, _ := emptyEngine(t)
	if err := database.Prepare(t.Context(), e, zerolog.Nop()); err != nil {
		t.Fatal(err)
	}
	sealSome(t, e, 0, 3, "key")
	docs := make([]any, 0, database.MaxBatch)
	for i := range n {
		docs = append(docs, &models.UsageTotal{ID: fmt.Sprintf("total_%06d", i), ProjectID: testkit.Project, Meter: models.MeterParticipantSeconds, Window: "hour", Value: 0.1 * float64(i)})
		if len(docs) == cap(docs) || i == n-1 {
			if _, err := e.InsertMany(t.Context(), "usage_totals", docs); err != nil {
				t.Fatal(err)
			}
			docs = docs[:0]
		}
	}
	e.Writes.Store(0)
	return e
}

// everything is every document of a database but the move's own.
func everything(t *testing.T, e database.Engine) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, c := range database.Schema() {
		if err := e.Find(t.Context(), c.Name, database.Query{Limit: 1 << 30}, func(raw bson.Raw) error {
			if id := raw.Lookup("_id").StringValue(); c.Name != "schema" || id != "move" {
				all[c.Name+" "+id] = raw.String()
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

func sameDatabases(t *testing.T, a, b database.Engine) {
	t.Helper()
	first, second := everything(t, a), everything(t, b)
	if len(first) != len(second) {
		t.Errorf("%d documents, and %d", len(first), len(second))
	}
	for id, doc := range first {
		if id != "schema schema" && second[id] != doc {
			t.Errorf("%s is %s, and %s", id, doc, second[id])
		}
	}
}

func TestAMoveCopiesEveryDocumentAndCompletesTheTarget(t *testing.T) {
	source := sourceEngine(t, 2*database.MaxBatch+7)
	target, path := emptyEngine(t)
	var out strings.Builder
	if err := mover(&out).move(t.Context(), source, target); err != nil {
		t.Fatal(err)
	}
	sameDatabases(t, source, target)
	if !strings.Contains(out.String(), "are the same in both") || !strings.Contains(out.String(), "MONGO_URI") {
		t.Errorf("it said %s", out.String())
	}
	// Again: it had finished.
	out.Reset()
	if err := mover(&out).move(t.Context(), source, target); err != nil || !strings.Contains(out.String(), "finished before") {
		t.Errorf("again: %v, %s", err, out.String())
	}
	if err := target.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	started := testkit.Must[database.Engine](t)(database.Open(t.Context(), database.Location{Path: path}, zerolog.Nop()))
	t.Cleanup(func() { _ = started.Close(context.Background()) })
}

func TestAMoveThatIsKilledAtAnyWriteFinishesWhenItRunsAgainAndNoServerStartsMeanwhile(t *testing.T) {
	source := sourceEngine(t, database.MaxBatch+7)
	for fatal := int64(1); ; fatal++ {
		target, path := emptyEngine(t)
		target.Fatal = fatal
		killed := mover(io.Discard).move(t.Context(), source, target)
		if killed == nil {
			if fatal < 10 {
				t.Errorf("a move has only %d writes", fatal)
			}
			return
		}
		// What a server does before it starts; nothing of the move was written
		// before the second write.
		if fatal > 3 {
			target.Fatal = 0
			if err := database.Prepare(t.Context(), target, zerolog.Nop()); err != nil && !models.HasCode(err, "move_unfinished") {
				t.Errorf("killed at write %d: a start answers %v", fatal, err)
			} else if err == nil && len(everything(t, target)) < len(everything(t, source)) {
				t.Errorf("killed at write %d: a server starts on a part of the documents", fatal)
			}
		}
		if err := target.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		again := testkit.Must[database.Engine](t)(database.OpenTarget(t.Context(), database.Location{Path: path}, zerolog.Nop()))
		if err := mover(io.Discard).move(t.Context(), source, again); err != nil {
			t.Errorf("killed at write %d: %v", fatal, err)
		}
		sameDatabases(t, source, again)
		if err := again.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAMoveNeverOverwrites(t *testing.T) {
	source, other := sourceEngine(t, 5), sourceEngine(t, 5)
	for name, prepare := range map[string]func(target *testkit.Engine) error{
		"a database in use": func(target *testkit.Engine) error { return database.Prepare(t.Context(), target, zerolog.Nop()) },
		"a single document": func(target *testkit.Engine) error {
			return target.Insert(t.Context(), "webhook_deliveries", bson.D{{Key: "_id", Value: "d"}})
		},
		"the target of another move, finished": func(target *testkit.Engine) error { return mover(io.Discard).move(t.Context(), other, target) },
		"the target of another move, unfinished": func(target *testkit.Engine) error {
			target.Fatal = 10
			_ = mover(io.Discard).move(t.Context(), other, target)
			target.Fatal = 0
			return nil
		},
		"the source of a move": func(target *testkit.Engine) error {
			_, err := database.BeginMove(t.Context(), target, "itself")
			return err
		},
	} {
		target, _ := emptyEngine(t)
		if err := prepare(target); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		before := everything(t, target)
		if err := mover(io.Discard).move(t.Context(), source, target); !models.HasCode(err, "target_not_empty") {
			t.Errorf("%s: %v", name, err)
		}
		if after := everything(t, target); len(after) != len(before) {
			t.Errorf("%s: %d documents before, %d afterwards", name, len(before), len(after))
		}
	}
}

func TestAMoveFindsACopyThatDiffers(t *testing.T) {
	source := sourceEngine(t, 50)
	for name, damage := range map[string]func(target *testkit.Engine) error{
		"changed": func(target *testkit.Engine) error {
			_, err := target.Update(t.Context(), "usage_totals", bson.D{{Key: "_id", Value: "total_000007"}}, bson.D{{Key: "$set", Value: bson.D{{Key: "value", Value: 1e9}}}}, database.UpdateOptions{})
			return err
		},
		"missing": func(target *testkit.Engine) error {
			_, err := target.Delete(t.Context(), "usage_totals", bson.D{{Key: "_id", Value: "total_000007"}}, 1)
			return err
		},
		"added": func(target *testkit.Engine) error {
			return target.Insert(t.Context(), "usage_totals", &models.UsageTotal{ID: "total_000007x"})
		},
		"added last": func(target *testkit.Engine) error {
			return target.Insert(t.Context(), "usage_totals", &models.UsageTotal{ID: "zzz"})
		},
	} {
		target, _ := emptyEngine(t)
		m := testkit.Must[*database.Move](t)(database.BeginMove(t.Context(), source, "id"))
		if err := m.Into(t.Context(), target); err != nil {
			t.Fatal(err)
		}
		for _, collection := range m.Collections() {
			if err := m.Copy(t.Context(), collection, func(int64) {}); err != nil {
				t.Fatal(err)
			}
		}
		if err := damage(target); err != nil {
			t.Fatal(err)
		}
		if err := m.Compare(t.Context(), "usage_totals", func(int64) {}); !models.HasCode(err, "move_differs") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDocumentsThatHaveExpiredMayBeMissingInACopy(t *testing.T) {
	source := sourceEngine(t, 0)
	for id, at := range map[string]time.Time{"old": time.Now().Add(-time.Hour), "young": time.Now().Add(time.Hour)} {
		if err := source.Insert(t.Context(), "idempotency_keys", &models.IdempotencyKey{ID: id, ExpiresAt: at}); err != nil {
			t.Fatal(err)
		}
	}
	for deleted, want := range map[string]string{"old": "", "young": "move_differs"} {
		target, _ := emptyEngine(t)
		m := testkit.Must[*database.Move](t)(database.BeginMove(t.Context(), source, "id"))
		if err := m.Into(t.Context(), target); err != nil {
			t.Fatal(err)
		}
		if err := m.Copy(t.Context(), "idempotency_keys", func(int64) {}); err != nil {
			t.Fatal(err)
		}
		if _, err := target.Delete(t.Context(), "idempotency_keys", bson.D{{Key: "_id", Value: deleted}}, 1); err != nil {
			t.Fatal(err)
		}
		if err := m.Compare(t.Context(), "idempotency_keys", func(int64) {}); want == "" && err != nil || want != "" && !models.HasCode(err, want) {
			t.Errorf("%s was deleted: %v", deleted, err)
		}
	}
}
