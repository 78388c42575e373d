package data

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database"
	"pulse-control-plane/database/testkit"
	"pulse-control-plane/models"
)

// set changes one field of a document.
func set(t *testing.T, e database.Engine, collection, id, field string, value any) {
	t.Helper()
	update := bson.D{{Key: "$set", Value: bson.D{{Key: field, Value: value}}}}
	if value == nil {
		update = bson.D{{Key: "$unset", Value: bson.D{{Key: field, Value: ""}}}}
	}
	if n, err := e.Update(t.Context(), collection, bson.D{{Key: "_id", Value: id}}, update, database.UpdateOptions{}); err != nil || n != 1 {
		t.Fatal(n, err)
	}
}

// moved is a source and the finished target of its move.
func moved(t *testing.T) (source, target *testkit.Engine) {
	t.Helper()
	source = sourceEngine(t, 50)
	target, _ = emptyEngine(t)
	if err := mover(io.Discard).move(t.Context(), source, target); err != nil {
		t.Fatal(err)
	}
	return source, target
}

func TestAFinishedMoveThatRunsAgainComparesTheDatabasesAndChangesNothing(t *testing.T) {
	for name, prepare := range map[string]func(target *testkit.Engine){
		"finished":           func(*testkit.Engine) {},
		"finished, unnoted":  func(target *testkit.Engine) { set(t, target, "schema", "move", "finished", nil) },
		"a source meanwhile": func(target *testkit.Engine) { _, _ = database.BeginMove(t.Context(), target, "next") },
	} {
		source, target := moved(t)
		prepare(target)
		var out strings.Builder
		if err := mover(&out).move(t.Context(), source, target); err != nil || !strings.Contains(out.String(), "finished before") || !strings.Contains(out.String(), "the same in both") {
			t.Errorf("%s: %v, %s", name, err, out.String())
		}
		prepare(target)
		set(t, target, "usage_totals", "total_000007", "value", 1e9)
		before := everything(t, target)
		err := mover(io.Discard).move(t.Context(), source, target)
		if !models.HasCode(err, "move_finished") || !strings.Contains(err.Error(), "total_000007") || strings.Contains(err.Error(), "Drop") {
			t.Errorf("%s, then changed: %v", name, err)
		}
		for id, doc := range everything(t, target) {
			if before[id] != doc {
				t.Errorf("%s: %s was changed to %s", name, id, doc)
			}
		}
		if err := database.Prepare(t.Context(), target, zerolog.Nop()); err != nil {
			t.Errorf("%s: a server no longer starts on the target: %v", name, err)
		}
	}
}

func TestATargetThatBecomesASourceHasAnIdentityOfItsOwn(t *testing.T) {
	first, second := moved(t)
	third, _ := emptyEngine(t)
	for range 2 {
		if err := mover(io.Discard).move(t.Context(), second, third); err != nil {
			t.Fatal(err)
		}
	}
	if err := mover(io.Discard).move(t.Context(), first, third); !models.HasCode(err, "target_not_empty") {
		t.Errorf("the first database passes for the second: %v", err)
	}
}

func TestAMoveThatWasComparedButNotCompletedIsComparedAgain(t *testing.T) {
	source, target := moved(t)
	set(t, target, "schema", "move", "finished", nil)
	set(t, target, "schema", "schema", "moving", true)
	set(t, target, "usage_totals", "total_000007", "touches", int64(5)) // which adding up does not show
	if err := mover(io.Discard).move(t.Context(), source, target); !models.HasCode(err, "move_differs") {
		t.Error(err)
	}
	set(t, target, "usage_totals", "total_000007", "touches", int64(0))
	if err := mover(io.Discard).move(t.Context(), source, target); err != nil {
		t.Error(err)
	}
	sameDatabases(t, source, target)
}

func TestATargetThatAServerTookBeforeItWasMarkedIsRefused(t *testing.T) {
	source := sourceEngine(t, 5)
	target, _ := emptyEngine(t)
	target.Fatal = 2
	if err := mover(io.Discard).move(t.Context(), source, target); err == nil {
		t.Fatal("the move was not killed")
	}
	target.Fatal = 0
	if err := target.Insert(t.Context(), "usage_totals", &models.UsageTotal{ID: "of a server"}); err != nil {
		t.Fatal(err)
	}
	if err := mover(io.Discard).move(t.Context(), source, target); !models.HasCode(err, "target_not_empty") {
		t.Error(err)
	}
}

// ensuring counts how often an engine is brought to its schema.
type ensuring struct {
	database.Engine
	times int
}

func (e *ensuring) EnsureSchema(ctx context.Context) ([]database.IndexDifference, error) {
	e.times++
	return e.Engine.EnsureSchema(ctx)
}

func TestAMoveThatContinuesMakesTheIndexesThatAreMissing(t *testing.T) {
	source := sourceEngine(t, 5)
	target, _ := emptyEngine(t)
	target.Fatal = 3
	if err := mover(io.Discard).move(t.Context(), source, target); err == nil {
		t.Fatal("the move was not killed")
	}
	target.Fatal = 0
	again := &ensuring{Engine: target}
	if err := mover(io.Discard).move(t.Context(), source, again); err != nil || again.times != 1 {
		t.Errorf("the target was brought to its schema %d times: %v", again.times, err)
	}
}

func TestCopiesThatHaveExpiredMayBeMissingInTheSource(t *testing.T) {
	for id, c := range map[string]struct {
		at   time.Time
		want string
	}{"a": {time.Now().Add(-time.Hour), ""}, "zz": {time.Now().Add(-time.Hour), ""}, "b": {time.Now().Add(time.Hour), "move_finished"}} {
		source := sourceEngine(t, 0)
		if err := source.Insert(t.Context(), "idempotency_keys", &models.IdempotencyKey{ID: "m", ExpiresAt: time.Now().Add(time.Hour)}); err != nil {
			t.Fatal(err)
		}
		target, _ := emptyEngine(t)
		if err := mover(io.Discard).move(t.Context(), source, target); err != nil {
			t.Fatal(err)
		}
		if err := target.Insert(t.Context(), "idempotency_keys", &models.IdempotencyKey{ID: id, ExpiresAt: c.at}); err != nil {
			t.Fatal(err)
		}
		if err := mover(io.Discard).move(t.Context(), source, target); c.want == "" && err != nil || c.want != "" && !models.HasCode(err, c.want) {
			t.Errorf("%s: %v", id, err)
		}
	}
}

// ending ends a context when a page of a collection is read.
type ending struct {
	database.Engine
	collection string
	end        context.CancelFunc
}

func (e *ending) Find(ctx context.Context, collection string, q database.Query, each func(bson.Raw) error) error {
	if collection == e.collection && len(q.Filter) > 0 && q.Filter[0].Key == "_id" {
		e.end()
		<-ctx.Done()
	}
	return e.Engine.Find(ctx, collection, q, each)
}

func TestAMoveThatIsInterruptedNeverSaysThatTheDatabasesDiffer(t *testing.T) {
	source, target := moved(t)
	for _, side := range []string{"source", "target"} {
		for range 20 { // which page ends first is up to the scheduler
			ctx, end := context.WithCancel(t.Context())
			engines := map[string]database.Engine{"source": source, "target": target}
			engines[side] = &ending{engines[side], "usage_totals", end}
			err := mover(io.Discard).move(ctx, engines["source"], engines["target"])
			if !models.HasCode(err, "interrupted") || !strings.Contains(Explain(err), "Run the same command again") {
				t.Fatalf("the %s: %v", side, err)
			}
		}
	}
}
