package conformance

import (
	"fmt"
	"reflect"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database/engine"
)

func sums() map[string]func(*testing.T, Open) {
	return map[string]func(*testing.T, Open){
		"ASumAddsUpByGroupsInAscendingOrder": sumByGroups,
		"ASumWithoutGroupsIsOneGroup":        sumAll,
		"ASumOfNothingHasNoGroups":           sumNothing,
		"ASumGroupsByEveryKind":              sumByEveryKind,
	}
}

func sumByGroups(t *testing.T, open Open) {
	e := openThings(t, open)
	for i, doc := range []thing{
		{Name: "b", Number: to(int64(1)), Ratio: to(1.5)}, {Name: "a", Number: to(int64(2)), Ratio: to(0.25)},
		{Name: "b", Number: to(int64(1)), Ratio: to(2.0)}, {Name: "b", Number: to(int64(0)), Ratio: to(4.0)},
		{Name: "a", Ratio: to(8.0)}, {Name: "a", Number: to(int64(2))}, {Name: "outside", Ratio: to(100.0)},
	} {
		doc.ID = fmt.Sprint(i)
		must(t, e.Insert(t.Context(), things, doc))
	}
	got, err := e.Sum(t.Context(), things, single("name", single("$in", []string{"a", "b"})), "ratio", "name", "number")
	must(t, err)
	want := []engine.Group{
		{Keys: []any{"a", nil}, Sum: 8, Count: 1},
		{Keys: []any{"a", int64(2)}, Sum: 0.25, Count: 2},
		{Keys: []any{"b", int64(0)}, Sum: 4, Count: 1},
		{Keys: []any{"b", int64(1)}, Sum: 3.5, Count: 2},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("groups are %v; want %v", got, want)
	}
}

func sumAll(t *testing.T, open Open) {
	e := openThings(t, open)
	insertNumbered(t, e, 100)
	got, err := e.Sum(t.Context(), things, single("number", single("$lt", 50)), "number")
	must(t, err)
	if len(got) != 1 || len(got[0].Keys) != 0 || got[0].Sum != 1225 || got[0].Count != 50 {
		t.Errorf("groups are %v; want one of 50 with the sum 1225", got)
	}
}

func sumNothing(t *testing.T, open Open) {
	e := openThings(t, open, thing{ID: "a", Number: to(int64(1))})
	for _, groupBy := range [][]string{nil, {"name"}} {
		got, err := e.Sum(t.Context(), things, byID("none"), "number", groupBy...)
		must(t, err)
		equal(t, "groups", len(got), 0)
	}
}

func sumByEveryKind(t *testing.T, open Open) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 6_000_000, time.UTC)
	e := openThings(t, open, bson.D{
		{Key: "_id", Value: "a"}, {Key: "name", Value: "n"}, {Key: "number", Value: int32(7)}, {Key: "ratio", Value: 0.5},
		{Key: "done", Value: true}, {Key: "at", Value: at}, {Key: "owner", Value: bson.D{{Key: "id", Value: "o"}}},
	}, bson.D{{Key: "_id", Value: "b"}})
	for field, want := range map[string]any{
		"_id": "a", "name": "n", "number": int64(7), "ratio": 0.5, "done": true, "at": at, "owner.id": "o",
	} {
		got, err := e.Sum(t.Context(), things, byID("a"), "number", field)
		must(t, err)
		if len(got) != 1 || !reflect.DeepEqual(got[0].Keys, []any{want}) || got[0].Sum != 7 {
			t.Errorf("grouped by %s: %v; want the key %v", field, got, want)
		}
	}
	got, err := e.Sum(t.Context(), things, byID("b"), "number", "name", "number", "ratio", "done", "at", "owner.id")
	must(t, err)
	if len(got) != 1 || !reflect.DeepEqual(got[0].Keys, make([]any, 6)) || got[0].Sum != 0 || got[0].Count != 1 {
		t.Errorf("grouped by missing fields: %v; want six nil keys", got)
	}
}
