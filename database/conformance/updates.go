package conformance

import (
	"fmt"
	"math"
	"reflect"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database/engine"
	"pulse-control-plane/models"
)

func updates() map[string]func(*testing.T, Open) {
	return map[string]func(*testing.T, Open){
		"AnUpdateChangesOneMatch":                                   updateOne,
		"AnUpdateOfManyChangesEveryMatchOnce":                       updateMany,
		"AnUpdateThatMatchesNothingIsNoError":                       updateNone,
		"CurrentDateIsTheTimeOfTheDatabase":                         currentDate,
		"AnUpdateThatChangesNothingStillMatches":                    updateSame,
		"UpdateOperatorsWorkAsMongoDBDocuments":                     updateOperators,
		"IncrementsKeepWideIntegersAndTurnIntoDoubles":              increments,
		"AnIncrementThatOverflowsIsRefused":                         incrementOverflows,
		"AnUpdatedFieldIsFoundByItsNewValueOnly":                    updatedIndex,
		"AnUpdateThatCannotBeAppliedChangesNothing":                 updateFails,
		"FindAndUpdateChangesTheFirstInOrderAndReturnsItAfterwards": findAndUpdate,
		"AnUpsertInsertsADocumentFromFilterAndUpdate":               upsertMakes,
		"AnUpsertOfAnExistingDocumentIsAnUpdate":                    upsertUpdates,
		"FindAndUpdateMayUpsert":                                    findAndUpsert,
	}
}

func numbered(n int) thing {
	return thing{
		ID: fmt.Sprintf("n%06d", n), Name: fmt.Sprintf("number %d", n), Number: to(int64(n)),
		At: to(time.UnixMilli(1_767_225_600_000 + int64(n))),
	}
}

func set(field string, value any) bson.D {
	return bson.D{{Key: "$set", Value: bson.D{{Key: field, Value: value}}}}
}

func updateOne(t *testing.T, open Open) {
	e := openThings(t, open, thing{ID: "a", Name: "x"}, thing{ID: "b", Name: "x"})
	matched, err := e.Update(t.Context(), things, single("name", "x"), set("name", "y"), engine.UpdateOptions{})
	must(t, err)
	equal(t, "matched", matched, 1)
	equal(t, "changed", len(ids(t, e, engine.Query{Filter: single("name", "y")})), 1)
	equal(t, "not changed", len(ids(t, e, engine.Query{Filter: single("name", "x")})), 1)
}

func updateMany(t *testing.T, open Open) {
	e := openThings(t, open, thing{ID: "other", Name: "other"})
	insertNumbered(t, e, 1100)
	// Each still matches after it was changed.
	matched, err := e.Update(t.Context(), things, single("number", single("$gte", 0)),
		bson.D{{Key: "$inc", Value: bson.D{{Key: "number", Value: 5000}}}}, engine.UpdateOptions{Many: true})
	must(t, err)
	equal(t, "matched", matched, 1100)
	for n, id := range ids(t, e, engine.Query{Filter: single("number", single("$gte", 5000)), Sort: single("number", 1)}) {
		equal(t, "id in order of the number", id, numbered(n).ID)
	}
	count, err := e.Count(t.Context(), things, single("number", bson.D{{Key: "$gte", Value: 5000}, {Key: "$lt", Value: 6100}}), 0)
	must(t, err)
	equal(t, "changed once", count, 1100)
}

// currentDate writes the database's own time, which may differ from ours by as
// much as two machines' clocks do.
func currentDate(t *testing.T, open Open) {
	e := openThings(t, open, thing{ID: "a", Name: "x"})
	stamp := bson.D{{Key: "$currentDate", Value: bson.D{{Key: "at", Value: true}}}}
	for _, id := range []string{"a", "upserted"} {
		_, err := e.Update(t.Context(), things, byID(id), stamp, engine.UpdateOptions{Upsert: true})
		must(t, err)
	}
	recent := single("at", single("$gte", time.Now().Add(-time.Hour)))
	equal(t, "stamped", len(ids(t, e, engine.Query{Filter: recent})), 2)
}

func updateNone(t *testing.T, open Open) {
	e := openThings(t, open, thing{ID: "a", Name: "x"})
	for _, many := range []bool{false, true} {
		matched, err := e.Update(t.Context(), things, byID("none"), set("name", "y"), engine.UpdateOptions{Many: many})
		must(t, err)
		equal(t, "matched", matched, 0)
	}
	equal(t, "name", load(t, e, "a")["name"], any("x"))
}

func updateSame(t *testing.T, open Open) {
	e := openThings(t, open, thing{ID: "a", Name: "x"})
	matched, err := e.Update(t.Context(), things, byID("a"), set("name", "x"), engine.UpdateOptions{})
	must(t, err)
	equal(t, "matched", matched, 1)
}

func updateOperators(t *testing.T, open Open) {
	e := openThings(t, open)
	doc := func(fields ...bson.E) bson.D { return append(bson.D{}, fields...) }
	e1 := func(key string, value any) bson.E { return bson.E{Key: key, Value: value} }
	early, late := bson.DateTime(1000), bson.DateTime(2000)
	for i, c := range []struct{ before, update, after bson.D }{
		{doc(e1("a", "x")), set("a", "y"), doc(e1("a", "y"))},
		{doc(e1("a", "x")), set("b", "y"), doc(e1("a", "x"), e1("b", "y"))},
		{doc(), set("a.b.c", int32(1)), doc(e1("a", doc(e1("b", doc(e1("c", int32(1)))))))},
		{doc(e1("a", doc(e1("b", "x")))), set("a.c", "y"), doc(e1("a", doc(e1("b", "x"), e1("c", "y"))))},
		{doc(e1("a", doc(e1("b", "x")))), set("a", "y"), doc(e1("a", "y"))},
		{doc(e1("a", "x"), e1("b", "y")), single("$unset", doc(e1("a", ""))), doc(e1("b", "y"))},
		{doc(e1("b", "y")), single("$unset", doc(e1("a.c", ""))), doc(e1("b", "y"))},
		{doc(e1("a", doc(e1("b", "x")))), single("$unset", doc(e1("a.b", ""))), doc(e1("a", doc()))},
		{doc(), single("$inc", doc(e1("n", int32(3)))), doc(e1("n", int32(3)))},
		{doc(e1("n", int32(4))), single("$inc", doc(e1("n", int32(-3)))), doc(e1("n", int32(1)))},
		{doc(), single("$max", doc(e1("n", int32(3)))), doc(e1("n", int32(3)))},
		{doc(e1("n", int32(4))), single("$max", doc(e1("n", int32(3)))), doc(e1("n", int32(4)))},
		{doc(e1("n", int32(4))), single("$max", doc(e1("n", int32(5)))), doc(e1("n", int32(5)))},
		{doc(e1("n", int32(4))), single("$max", doc(e1("n", 4.5))), doc(e1("n", 4.5))},
		{doc(e1("n", int32(4))), single("$min", doc(e1("n", int32(3)))), doc(e1("n", int32(3)))},
		{doc(e1("n", int32(4))), single("$min", doc(e1("n", int32(5)))), doc(e1("n", int32(4)))},
		{doc(e1("t", early)), single("$max", doc(e1("t", late))), doc(e1("t", late))},
		{doc(e1("t", early)), single("$min", doc(e1("t", late))), doc(e1("t", early))},
		{doc(e1("s", "b")), single("$max", doc(e1("s", "c"))), doc(e1("s", "c"))},
		{doc(e1("a", "x")), doc(e1("$set", doc(e1("a", "y"))), e1("$setOnInsert", doc(e1("b", "z")))), doc(e1("a", "y"))},
		{doc(e1("a", "x"), e1("n", int32(1))), doc(e1("$set", doc(e1("a", "y"))), e1("$inc", doc(e1("n", int32(1)))), e1("$unset", doc(e1("z", "")))),
			doc(e1("a", "y"), e1("n", int32(2)))},
	} {
		id := e1("_id", fmt.Sprintf("case %d", i))
		must(t, e.Insert(t.Context(), things, append(doc(id), c.before...)))
		var got bson.D
		must(t, e.FindOneAndUpdate(t.Context(), things, doc(id), c.update, engine.FindAndUpdateOptions{}, &got))
		if want := append(doc(id), c.after...); !reflect.DeepEqual(got, want) {
			t.Errorf("%v after %v is %v; want %v", c.before, c.update, got, want)
		}
	}
}

func increments(t *testing.T, open Open) {
	e := openThings(t, open)
	for i, c := range []struct{ before, by, after any }{
		{int32(1), int64(2), int64(3)},
		{int64(1), int32(2), int64(3)},
		{int32(1<<31 - 1), int32(1), int64(1 << 31)},
		{int64(1) << 60, int64(1), int64(1)<<60 + 1},
		{int32(1), 0.5, 1.5},
		{0.5, int64(1), 1.5},
	} {
		id := fmt.Sprintf("case %d", i)
		must(t, e.Insert(t.Context(), things, bson.D{{Key: "_id", Value: id}, {Key: "free", Value: c.before}}))
		_, err := e.Update(t.Context(), things, byID(id), single("$inc", bson.D{{Key: "free", Value: c.by}}), engine.UpdateOptions{})
		must(t, err)
		equal(t, fmt.Sprintf("%v + %v", c.before, c.by), load(t, e, id)["free"], c.after)
	}
}

func incrementOverflows(t *testing.T, open Open) {
	e := openThings(t, open, thing{ID: "a", Number: to(int64(math.MaxInt64 - 1))}, thing{ID: "b", Number: to(int64(math.MinInt64))})
	for id, by := range map[string]int64{"a": 2, "b": -1} {
		_, err := e.Update(t.Context(), things, byID(id), single("$inc", single("number", by)), engine.UpdateOptions{})
		mustBe(t, err, models.KindInternal)
	}
	equal(t, "high number", load(t, e, "a")["number"], any(int64(math.MaxInt64-1)))
	equal(t, "low number", load(t, e, "b")["number"], any(int64(math.MinInt64)))
}

func updatedIndex(t *testing.T, open Open) {
	e := openThings(t, open, thing{ID: "a", Name: "x", Owner: &owner{ID: "old", Title: "kept"}})
	_, err := e.Update(t.Context(), things, byID("a"), set("owner.id", "new"), engine.UpdateOptions{})
	must(t, err)
	equal(t, "found by the old value", len(ids(t, e, engine.Query{Filter: single("owner.id", "old")})), 0)
	equal(t, "found by the new value", len(ids(t, e, engine.Query{Filter: single("owner.id", "new")})), 1)
	_, err = e.Update(t.Context(), things, byID("a"), single("$unset", bson.D{{Key: "owner", Value: ""}}), engine.UpdateOptions{})
	must(t, err)
	equal(t, "found after its parent is gone", len(ids(t, e, engine.Query{Filter: single("owner.id", "new")})), 0)
	_, err = e.Update(t.Context(), things, byID("a"), set("owner", owner{ID: "again"}), engine.UpdateOptions{})
	must(t, err)
	equal(t, "found after its parent is back", len(ids(t, e, engine.Query{Filter: single("owner.id", "again")})), 1)
}

func updateFails(t *testing.T, open Open) {
	e := openThings(t, open, bson.D{{Key: "_id", Value: "a"}, {Key: "name", Value: "x"}, {Key: "free", Value: "text"}, {Key: "list", Value: bson.A{"one"}}})
	for _, update := range []bson.D{
		{{Key: "$set", Value: bson.D{{Key: "name", Value: "y"}}}, {Key: "$inc", Value: bson.D{{Key: "free", Value: 1}}}},
		{{Key: "$set", Value: bson.D{{Key: "name", Value: "y"}, {Key: "free.inner", Value: 1}}}},
		{{Key: "$set", Value: bson.D{{Key: "name", Value: "y"}, {Key: "list.inner", Value: 1}}}},
	} {
		_, err := e.Update(t.Context(), things, byID("a"), update, engine.UpdateOptions{})
		mustBe(t, err, models.KindInternal)
		equal(t, "name", load(t, e, "a")["name"], any("x"))
	}
}

func findAndUpdate(t *testing.T, open Open) {
	e := openThings(t, open)
	insertNumbered(t, e, 5)
	filter := single("number", single("$gte", 1))
	for _, c := range []struct {
		direction int
		id        string
	}{{-1, "n000004"}, {1, "n000001"}} {
		var got thing
		must(t, e.FindOneAndUpdate(t.Context(), things, filter, set("slug", "taken"),
			engine.FindAndUpdateOptions{Sort: single("number", c.direction)}, &got))
		equal(t, "id", got.ID, c.id)
		equal(t, "slug in the answer", got.Slug, "taken")
		equal(t, "slug in the store", load(t, e, c.id)["slug"], any("taken"))
	}
}

func upsertMakes(t *testing.T, open Open) {
	e := openThings(t, open)
	at := time.UnixMilli(1_767_225_600_123).UTC()
	filter := bson.D{
		{Key: "_id", Value: "new"}, {Key: "number", Value: int64(7)}, {Key: "owner.id", Value: "o"},
		{Key: "at", Value: at}, {Key: "done", Value: single("$ne", true)},
	}
	update := bson.D{
		{Key: "$set", Value: bson.D{{Key: "name", Value: "made"}}}, {Key: "$inc", Value: bson.D{{Key: "number", Value: int64(3)}}},
		{Key: "$setOnInsert", Value: bson.D{{Key: "owner.title", Value: "first"}}},
	}
	for _, many := range []bool{false, true} {
		matched, err := e.Update(t.Context(), things, filter, update, engine.UpdateOptions{Upsert: true, Many: many})
		must(t, err)
		equal(t, "matched", matched, 0)
		var got thing
		must(t, e.FindOne(t.Context(), things, engine.Query{Filter: byID("new")}, &got))
		want := thing{ID: "new", Name: "made", Number: to(int64(10)), At: &at, Owner: &owner{ID: "o", Title: "first"}}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("made %+v; want %+v", got, want)
		}
		equal(t, "found by the filter's field", len(ids(t, e, engine.Query{Filter: single("owner.id", "o")})), 1)
		_, err = e.Delete(t.Context(), things, byID("new"), 1)
		must(t, err)
	}
}

func upsertUpdates(t *testing.T, open Open) {
	e := openThings(t, open, thing{ID: "a", Name: "x", Slug: "kept"})
	update := bson.D{
		{Key: "$set", Value: bson.D{{Key: "name", Value: "y"}}},
		{Key: "$setOnInsert", Value: bson.D{{Key: "slug", Value: "lost"}}},
	}
	matched, err := e.Update(t.Context(), things, byID("a"), update, engine.UpdateOptions{Upsert: true})
	must(t, err)
	equal(t, "matched", matched, 1)
	got := load(t, e, "a")
	equal(t, "name", got["name"], any("y"))
	equal(t, "slug", got["slug"], any("kept"))
	// A document of that id which the rest of the filter does not match is in
	// the way of a new one.
	_, err = e.Update(t.Context(), things, append(byID("a"), bson.E{Key: "name", Value: "other"}), update, engine.UpdateOptions{Upsert: true})
	mustBe(t, err, models.KindConflict)
}

func findAndUpsert(t *testing.T, open Open) {
	e := openThings(t, open)
	for want := range int64(3) {
		var got thing
		must(t, e.FindOneAndUpdate(t.Context(), things, byID("counter"), bson.D{
			{Key: "$inc", Value: bson.D{{Key: "number", Value: int64(1)}}},
			{Key: "$setOnInsert", Value: bson.D{{Key: "name", Value: "counter"}}},
		}, engine.FindAndUpdateOptions{Upsert: true}, &got))
		equal(t, "number", *got.Number, want+1)
		equal(t, "name", got.Name, "counter")
	}
}
