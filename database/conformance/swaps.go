package conformance

import (
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database/engine"
	"pulse-control-plane/models"
)

func swaps() map[string]func(*testing.T, Open) {
	return map[string]func(*testing.T, Open){
		"a swap replaces exactly what was read": func(t *testing.T, open Open) {
			e := openThings(t, open,
				thing{ID: "a", Name: "a", Sealed: "old", Owner: &owner{ID: "o", Title: "t", Sealed: "old too"}},
				thing{ID: "b", Name: "b", Sealed: "old"})
			values := func(texts ...string) bson.D {
				return bson.D{{Key: "sealed", Value: texts[0]}, {Key: "owner.sealed", Value: texts[1]}}
			}
			for _, row := range []struct {
				id            string
				before, after bson.D
				want          bool
			}{
				{"a", values("other", "old too"), values("x", "x"), false},
				{"a", values("old", "other"), values("x", "x"), false},
				{"b", values("old", "old too"), values("x", "x"), false},
				{"c", values("old", "old too"), values("x", "x"), false},
				{"a", values("old", "old too"), values("new", "new too"), true},
				{"a", values("old", "old too"), values("x", "x"), false},
				{"b", values("old", "")[:1], values("new", "")[:1], true},
			} {
				if swapped, err := e.Swap(t.Context(), things, row.id, row.before, row.after); err != nil || swapped != row.want {
					t.Errorf("%s %v: %t, %v; want %t", row.id, row.before, swapped, err, row.want)
				}
			}
			var a, b thing
			must(t, e.FindOne(t.Context(), things, engine.Query{Filter: bson.D{{Key: "_id", Value: "a"}}}, &a))
			must(t, e.FindOne(t.Context(), things, engine.Query{Filter: bson.D{{Key: "_id", Value: "b"}}}, &b))
			if a.Sealed != "new" || *a.Owner != (owner{ID: "o", Title: "t", Sealed: "new too"}) || a.Name != "a" || b.Sealed != "new" || b.Owner != nil {
				t.Errorf("a is %+v %+v, b is %+v", a, a.Owner, b)
			}
		},
		"a swap of other fields than sealed ones is refused": func(t *testing.T, open Open) {
			e := openThings(t, open, thing{ID: "a", Name: "a", Sealed: "old"})
			one := func(key string, value any) bson.D { return bson.D{{Key: key, Value: value}} }
			for _, row := range [][2]bson.D{
				{one("name", "a"), one("name", "b")}, {one("notes", "a"), one("notes", "b")}, {one("sealed", "old"), one("owner.sealed", "new")},
				{one("sealed", 1), one("sealed", "new")}, {one("sealed", "old"), one("sealed", nil)}, {nil, nil}, {one("sealed", "old"), nil},
			} {
				if _, err := e.Swap(t.Context(), things, "a", row[0], row[1]); !models.IsKind(err, models.KindInternal) {
					t.Errorf("%v for %v: %v", row[0], row[1], err)
				}
			}
		},
	}
}
