package embedded

import (
	"slices"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database/engine"
)

func TestAnUpdateWritesOnlyTheColumnsWhoseValuesDiffer(t *testing.T) {
	declared, err := engine.Declare([]engine.Collection{{Name: "things", Fields: []engine.Field{
		{Name: "name", Kind: engine.String}, {Name: "open", Kind: engine.Bool}, {Name: "at", Kind: engine.Time}, {Name: "inner.n", Kind: engine.Int}}}})
	if err != nil {
		t.Fatal(err)
	}
	u := &preparedUpdate{t: newTable(declared["things"], nil)}
	if u.changes, err = u.t.CheckUpdate(bson.D{
		{Key: "$set", Value: bson.D{{Key: "name", Value: "a"}, {Key: "open", Value: false}, {Key: "inner", Value: bson.D{{Key: "n", Value: 8}}}, {Key: "note", Value: "x"}}},
		{Key: "$unset", Value: bson.D{{Key: "at", Value: ""}}},
	}); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		before bson.D
		want   []string
	}{
		"all":  {bson.D{{Key: "_id", Value: "1"}, {Key: "name", Value: "b"}, {Key: "open", Value: true}, {Key: "at", Value: bson.DateTime(1)}}, []string{"name", "open", "at", "inner.n"}},
		"some": {bson.D{{Key: "_id", Value: "1"}, {Key: "name", Value: "a"}, {Key: "open", Value: true}, {Key: "inner", Value: bson.D{{Key: "n", Value: int64(8)}}}}, []string{"open"}},
		"none": {bson.D{{Key: "_id", Value: "1"}, {Key: "name", Value: "a"}, {Key: "open", Value: false}, {Key: "inner", Value: bson.D{{Key: "n", Value: 8}}}}, nil},
	} {
		before, err := bson.Marshal(c.before)
		if err != nil {
			t.Fatal(err)
		}
		after, err := applyChanges(before, u.changes, false)
		if err != nil {
			t.Fatal(err)
		}
		if names, _, err := u.changed(before, after); err != nil || !slices.Equal(names, c.want) {
			t.Errorf("%s: %v are written, not %v (%v)", name, names, c.want, err)
		}
	}
}
