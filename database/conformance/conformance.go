package conformance

import (
	"context"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database/engine"
	"pulse-control-plane/models"
)

// Open opens the store of t with a schema. The first call for a t returns an
// empty store; a later call, after the previous engine was closed, returns the
// same store. The suite closes the engines; t.Cleanup removes the store.
type Open func(t *testing.T, schema []engine.Collection) engine.Engine

// Skips are the cases that an engine cannot pass, each with the reason.
type Skips map[string]string

// patience limits the wait for background work. MongoDB deletes expired
// documents once a minute.
const patience = 150 * time.Second

// Run runs every case as a subtest of t. A skip of an unknown case fails.
func Run(t *testing.T, open func(t *testing.T, schema []engine.Collection) engine.Engine, skips Skips) {
	cases := map[string]func(*testing.T, Open){}
	for _, group := range []map[string]func(*testing.T, Open){
		documents(), updates(), uniqueness(), concurrency(), queries(), sums(), swaps(), refusals(), lifecycle(), schemas(), renames(),
	} {
		for name, run := range group {
			if cases[name] != nil {
				t.Errorf("two cases are named %s", name)
			}
			cases[name] = run
		}
	}
	for name := range skips {
		if cases[name] == nil {
			t.Errorf("skip of the unknown case %s", name)
		}
	}
	for name, run := range cases {
		t.Run(name, func(t *testing.T) {
			if reason := skips[name]; reason != "" {
				t.Skip(reason)
			}
			run(t, open)
		})
	}
}

// things is the collection of most cases: every kind, a dotted field, a unique,
// a partial and a compound index.
const things = "things"

func thingsSchema() []engine.Collection {
	return []engine.Collection{{
		Name: things,
		Fields: []engine.Field{
			{Name: "name", Kind: engine.String}, {Name: "email", Kind: engine.String},
			{Name: "slug", Kind: engine.String}, {Name: "number", Kind: engine.Int},
			{Name: "ratio", Kind: engine.Float}, {Name: "done", Kind: engine.Bool},
			{Name: "at", Kind: engine.Time}, {Name: "owner.id", Kind: engine.String},
		},
		Indexes: []engine.Index{
			{Keys: []string{"email"}, Unique: true, Partial: true, ConflictCode: "email_taken"},
			{Keys: []string{"owner.id", "slug"}, Unique: true, Partial: true},
			{Keys: []string{"name"}},
			{Keys: []string{"number", "-at"}},
			{Keys: []string{"owner.id"}},
			{Keys: []string{"done"}},
		},
		Sealed: []engine.Sealed{
			{Field: "sealed", Purpose: "tests", BoundTo: "thing {id}"}, {Field: "owner.sealed", Purpose: "tests", BoundTo: "owner {id}"},
		},
	}}
}

// thing is a document of things. Only Name is always present.
type thing struct {
	ID     string     `bson:"_id"`
	Name   string     `bson:"name"`
	Email  string     `bson:"email,omitempty"`
	Slug   string     `bson:"slug,omitempty"`
	Number *int64     `bson:"number,omitempty"`
	Ratio  *float64   `bson:"ratio,omitempty"`
	Done   *bool      `bson:"done,omitempty"`
	At     *time.Time `bson:"at,omitempty"`
	Owner  *owner     `bson:"owner,omitempty"`
	Notes  []string   `bson:"notes,omitempty"`
	Sealed string     `bson:"sealed,omitempty"`
}

type owner struct {
	ID     string `bson:"id,omitempty"`
	Title  string `bson:"title,omitempty"`
	Sealed string `bson:"sealed,omitempty"`
}

func to[T any](v T) *T { return &v }

// opened opens the store with the schema and closes the engine with the test.
func opened(t *testing.T, open Open, schema []engine.Collection) engine.Engine {
	t.Helper()
	e := open(t, schema)
	t.Cleanup(func() {
		if err := e.Close(context.Background()); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	differences, err := e.EnsureSchema(t.Context())
	must(t, err)
	if len(differences) > 0 {
		t.Fatalf("a new store differs from its schema: %v", differences)
	}
	return e
}

// openThings opens a store with documents in it.
func openThings(t *testing.T, open Open, stored ...any) engine.Engine {
	t.Helper()
	e := opened(t, open, thingsSchema())
	for _, doc := range stored {
		must(t, e.Insert(t.Context(), things, doc))
	}
	return e
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatalf("unexpected error: %v", err)
	}
}

// mustBe requires an error of a kind.
func mustBe(t *testing.T, err error, kind models.Kind) {
	t.Helper()
	if !models.IsKind(err, kind) {
		t.Fatalf("error is %v; want the kind %s", err, kind)
	}
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s is %v; want %v", what, got, want)
	}
}

// eventually polls until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(patience)
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("%s: not within %s", what, patience)
		}
	}
}

func byID(id string) bson.D { return single("_id", id) }

// single is a document of one field: a filter, a condition, an update, a sort.
func single(key string, value any) bson.D { return bson.D{{Key: key, Value: value}} }

// ids returns the ids that match, in the order of q.
func ids(t *testing.T, e engine.Engine, q engine.Query) []string {
	t.Helper()
	found := []string{}
	if q.Limit == 0 {
		q.Limit = 1000
	}
	must(t, e.Find(t.Context(), things, q, func(raw bson.Raw) error {
		found = append(found, raw.Lookup("_id").StringValue())
		return nil
	}))
	return found
}

// load reads one thing by its id.
func load(t *testing.T, e engine.Engine, id string) bson.M {
	t.Helper()
	var out bson.M
	must(t, e.FindOne(t.Context(), things, engine.Query{Filter: byID(id)}, &out))
	return out
}
