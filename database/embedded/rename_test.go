package embedded

import (
	"path/filepath"
	"slices"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database/engine"
)

func TestARenamingThatFailsRenamesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pulse.db")
	schema := []engine.Collection{{Name: "a", Former: "old_a"}, {Name: "b", Former: "old_b"}, {Name: "c"}}
	then := engine.Then{Collection: "c", ID: "1", Update: bson.D{{Key: "$set", Value: bson.D{{Key: "x", Value: 1}}}}}
	for name, spoil := range map[string]func(e *Engine) engine.Then{
		"the second name is taken": func(e *Engine) engine.Then {
			taken, err := Open(t.Context(), path, []engine.Collection{{Name: "b"}}, Options{Beside: true})
			if err == nil {
				err = taken.Insert(t.Context(), "b", bson.D{{Key: "_id", Value: "new"}})
			}
			if err != nil || taken.Close(t.Context()) != nil {
				t.Fatal(err)
			}
			return then
		},
		"the write is refused": func(*Engine) engine.Then {
			wrong := then
			wrong.Update = bson.D{{Key: "$inc", Value: bson.D{{Key: "text", Value: 1}}}}
			return wrong
		},
	} {
		made, err := Open(t.Context(), path, []engine.Collection{{Name: "b"}, {Name: "old_b"}, {Name: "c"}}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := made.InsertMany(t.Context(), "old_b", []any{bson.D{{Key: "_id", Value: "old"}}}); err != nil {
			t.Fatal(err)
		}
		if _, err := made.InsertMany(t.Context(), "c", []any{bson.D{{Key: "_id", Value: "1"}, {Key: "text", Value: "t"}}}); err != nil {
			t.Fatal(err)
		}
		if err := made.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		e, err := Open(t.Context(), path, schema, Options{})
		if err != nil {
			t.Fatal(err)
		}
		err = e.Rename(t.Context(), []string{"a", "b"}, spoil(e))
		if err == nil {
			t.Errorf("%s: it was renamed", name)
		}
		names, err := e.Existing(t.Context())
		if err != nil || !slices.Contains(names, "old_a") || !slices.Contains(names, "old_b") || slices.Contains(names, "a") {
			t.Errorf("%s: the collections are %v, %v", name, names, err)
		}
		if n, err := e.Count(t.Context(), "b", bson.D{}, 0); err != nil || n != 1 {
			t.Errorf("%s: %d documents, %v", name, n, err)
		}
		if err := e.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
