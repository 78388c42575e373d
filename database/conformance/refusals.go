package conformance

import (
	"math"
	"reflect"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database/engine"
	"pulse-control-plane/models"
)

func refusals() map[string]func(*testing.T, Open) {
	return map[string]func(*testing.T, Open){
		"AFilterOutsideTheContractIsRefused":  filtersRefused,
		"ASortOutsideTheContractIsRefused":    sortsRefused,
		"AnUpdateOutsideTheContractIsRefused": updatesRefused,
		"ASumOutsideTheContractIsRefused":     sumsRefused,
		"AListWithoutALimitIsRefused":         limitIsDemanded,
		"AnUndeclaredCollectionIsRefused":     collectionIsDemanded,
		"AWriteWithANilFilterIsRefused":       nilFilterIsRefused,
		"AnUpsertWithoutAnIDIsRefused":        upsertNeedsID,
		"MoreDocumentsThanMaxBatchAreRefused": batchIsBounded,
		"ADeleteWithALimitAboveOneIsRefused":  deleteLimit,
	}
}

// filtersRefused: every method with a filter refuses it, and nothing changes.
func filtersRefused(t *testing.T, open Open) {
	e := openThings(t, open, thing{ID: "a", Name: "x", Number: to(int64(1))})
	many := make([]string, engine.MaxBatch+1)
	for what, filter := range map[string]bson.D{
		"undeclared field":        single("undeclared", 1),
		"parent of a field":       single("owner", bson.D{{Key: "id", Value: "o"}}),
		"undeclared inside":       single("owner.title", "x"),
		"undeclared in $or":       single("$or", bson.A{byID("a"), single("undeclared", 1)}),
		"null":                    single("name", nil),
		"nil pointer":             single("name", (*string)(nil)),
		"null to $ne":             single("name", single("$ne", nil)),
		"null in $in":             single("name", single("$in", bson.A{"x", nil})),
		"another kind":            single("name", 1),
		"another kind in a range": single("number", single("$gt", "1")),
		"double for an integer":   single("number", 1.0),
		"NaN":                     single("ratio", math.NaN()),
		"text for a time":         single("at", "2026-01-01T00:00:00Z"),
		"number for a bool":       single("done", 1),
		"$regex":                  single("name", single("$regex", "x")),
		"$not":                    single("name", single("$not", single("$gt", "x"))),
		"$nin":                    single("name", single("$nin", bson.A{"x"})),
		"$eq":                     single("name", single("$eq", "x")),
		"$and":                    single("$and", bson.A{byID("a")}),
		"$where":                  single("$where", "true"),
		"$expr":                   single("$expr", bson.D{}),
		"nested $or":              single("$or", bson.A{single("$or", bson.A{byID("a")})}),
		"empty $or":               single("$or", bson.A{}),
		"empty alternative":       single("$or", bson.A{bson.D{}}),
		"$or of no list":          single("$or", byID("a")),
		"$in of no list":          single("name", single("$in", "x")),
		"$in of too many":         single("name", single("$in", many)),
		"$exists with a number":   single("name", single("$exists", 1)),
		"empty condition":         single("name", bson.D{}),
		"field twice":             {{Key: "name", Value: "x"}, {Key: "name", Value: "y"}},
	} {
		var out thing
		calls := map[string]error{
			"FindOne": e.FindOne(t.Context(), things, engine.Query{Filter: filter}, &out),
			"Find":    e.Find(t.Context(), things, engine.Query{Filter: filter, Limit: 1}, func(bson.Raw) error { return nil }),
			"FindOneAndUpdate": e.FindOneAndUpdate(t.Context(), things, filter, set("name", "y"),
				engine.FindAndUpdateOptions{}, &out),
		}
		_, calls["Update"] = e.Update(t.Context(), things, filter, set("name", "y"), engine.UpdateOptions{Many: true})
		_, calls["Delete"] = e.Delete(t.Context(), things, filter, 0)
		_, calls["Count"] = e.Count(t.Context(), things, filter, 0)
		_, calls["Sum"] = e.Sum(t.Context(), things, filter, "number")
		for call, err := range calls {
			if !models.IsKind(err, models.KindInternal) {
				t.Errorf("%s with %s (%v) answers %v; want internal", call, what, filter, err)
			}
		}
	}
	equal(t, "name", load(t, e, "a")["name"], any("x"))
}

func sortsRefused(t *testing.T, open Open) {
	e := openThings(t, open, thing{ID: "a"})
	var out thing
	for _, order := range []bson.D{
		single("undeclared", 1), single("owner", 1), single("name", 0), single("name", 2), single("name", "asc"),
		single("name", nil), single("name", 1.0), single("name", single("$meta", "textScore")), {{Key: "name", Value: 1}, {Key: "name", Value: -1}},
	} {
		mustBe(t, e.FindOne(t.Context(), things, engine.Query{Sort: order}, &out), models.KindInternal)
		mustBe(t, e.Find(t.Context(), things, engine.Query{Sort: order, Limit: 1}, func(bson.Raw) error { return nil }), models.KindInternal)
		mustBe(t, e.FindOneAndUpdate(t.Context(), things, byID("a"), set("name", "y"), engine.FindAndUpdateOptions{Sort: order}, &out), models.KindInternal)
	}
}

func updatesRefused(t *testing.T, open Open) {
	e := openThings(t, open, bson.D{{Key: "_id", Value: "a"}, {Key: "name", Value: "x"}, {Key: "list", Value: bson.A{1, 2}}})
	for what, update := range map[string]bson.D{
		"nil":                      nil,
		"empty":                    {},
		"a replacement":            {{Key: "name", Value: "y"}},
		"$push":                    single("$push", single("list", 3)),
		"$rename":                  single("$rename", single("name", "other")),
		"$currentDate as a type":   single("$currentDate", single("at", single("$type", "timestamp"))),
		"$currentDate into text":   single("$currentDate", single("name", true)),
		"$mul":                     single("$mul", single("number", 2)),
		"no document":              single("$set", "name"),
		"the id":                   single("$set", single("_id", "b")),
		"inside of the id":         single("$set", single("_id.x", "b")),
		"the id away":              single("$unset", single("_id", "")),
		"a position":               single("$set", single("list.0", 5)),
		"a positional operator":    single("$set", single("list.$", 5)),
		"an empty name":            single("$set", single("", 5)),
		"an empty part":            single("$set", single("a..b", 5)),
		"inside of a value":        single("$set", single("name.inner", 5)),
		"another kind":             single("$set", single("name", 5)),
		"another kind by parent":   single("$set", single("owner", single("id", 5))),
		"another kind on insert":   single("$setOnInsert", single("name", 5)),
		"another kind by $max":     single("$max", single("number", 0.5)),
		"a fraction on an integer": single("$inc", single("number", 0.5)),
		"text added":               single("$inc", single("number", "1")),
		"a string increased":       single("$inc", single("name", 1)),
		"null to $max":             single("$max", single("free", nil)),
		"a field twice":            {{Key: "$set", Value: single("free", 1)}, {Key: "$inc", Value: single("free", 1)}},
		"a field and its parent":   {{Key: "$set", Value: single("free", bson.D{})}, {Key: "$inc", Value: single("free.x", 1)}},
	} {
		_, err := e.Update(t.Context(), things, byID("a"), update, engine.UpdateOptions{})
		if !models.IsKind(err, models.KindInternal) {
			t.Errorf("update of %s (%v) answers %v; want internal", what, update, err)
		}
		var out thing
		err = e.FindOneAndUpdate(t.Context(), things, byID("a"), update, engine.FindAndUpdateOptions{}, &out)
		if !models.IsKind(err, models.KindInternal) {
			t.Errorf("find and update of %s (%v) answers %v; want internal", what, update, err)
		}
	}
	if got, want := load(t, e, "a"), (bson.M{"_id": "a", "name": "x", "list": bson.A{int32(1), int32(2)}}); !reflect.DeepEqual(got, want) {
		t.Errorf("the document is %v after updates that were refused; want %v", got, want)
	}
}

func sumsRefused(t *testing.T, open Open) {
	e := openThings(t, open, thing{ID: "a"})
	for _, fields := range [][]string{{"undeclared"}, {"name"}, {"at"}, {"number", "undeclared"}, {"number", "owner"}, {"number", "name", "name"}} {
		_, err := e.Sum(t.Context(), things, bson.D{}, fields[0], fields[1:]...)
		mustBe(t, err, models.KindInternal)
	}
}

func limitIsDemanded(t *testing.T, open Open) {
	e := openThings(t, open, thing{ID: "a"})
	for _, limit := range []int64{0, -1} {
		mustBe(t, e.Find(t.Context(), things, engine.Query{Limit: limit}, func(bson.Raw) error { return nil }), models.KindInternal)
	}
	var out thing
	mustBe(t, e.FindOne(t.Context(), things, engine.Query{Limit: -1}, &out), models.KindInternal)
	_, err := e.Count(t.Context(), things, bson.D{}, -1)
	mustBe(t, err, models.KindInternal)
}

func collectionIsDemanded(t *testing.T, open Open) {
	e := openThings(t, open)
	const other = "others"
	var out thing
	mustBe(t, e.Insert(t.Context(), other, thing{ID: "a"}), models.KindInternal)
	mustBe(t, e.FindOne(t.Context(), other, engine.Query{Filter: byID("a")}, &out), models.KindInternal)
	mustBe(t, e.Find(t.Context(), other, engine.Query{Limit: 1}, func(bson.Raw) error { return nil }), models.KindInternal)
	mustBe(t, e.FindOneAndUpdate(t.Context(), other, byID("a"), set("a", 1), engine.FindAndUpdateOptions{}, &out), models.KindInternal)
	_, err := e.InsertMany(t.Context(), other, []any{thing{ID: "a"}})
	mustBe(t, err, models.KindInternal)
	_, err = e.Update(t.Context(), other, byID("a"), set("a", 1), engine.UpdateOptions{})
	mustBe(t, err, models.KindInternal)
	_, err = e.Delete(t.Context(), other, byID("a"), 1)
	mustBe(t, err, models.KindInternal)
	_, err = e.Count(t.Context(), other, byID("a"), 1)
	mustBe(t, err, models.KindInternal)
	_, err = e.Sum(t.Context(), other, byID("a"), "number")
	mustBe(t, err, models.KindInternal)
}

func nilFilterIsRefused(t *testing.T, open Open) {
	e := openThings(t, open, thing{ID: "a", Name: "x"})
	_, err := e.Delete(t.Context(), things, nil, 0)
	mustBe(t, err, models.KindInternal)
	_, err = e.Update(t.Context(), things, nil, set("name", "y"), engine.UpdateOptions{Many: true})
	mustBe(t, err, models.KindInternal)
	var out thing
	mustBe(t, e.FindOneAndUpdate(t.Context(), things, nil, set("name", "y"), engine.FindAndUpdateOptions{}, &out), models.KindInternal)
	equal(t, "name", load(t, e, "a")["name"], any("x"))
	// An empty one says "all" on purpose.
	deleted, err := e.Delete(t.Context(), things, bson.D{}, 0)
	must(t, err)
	equal(t, "deleted", deleted, 1)
}

func upsertNeedsID(t *testing.T, open Open) {
	e := openThings(t, open)
	var out thing
	for _, filter := range []bson.D{
		{}, single("name", "x"), single("_id", single("$in", []string{"a"})), single("_id", single("$gt", "a")),
		{{Key: "_id", Value: "a"}, {Key: "$or", Value: bson.A{single("name", "x")}}},
	} {
		_, err := e.Update(t.Context(), things, filter, set("name", "y"), engine.UpdateOptions{Upsert: true})
		mustBe(t, err, models.KindInternal)
		err = e.FindOneAndUpdate(t.Context(), things, filter, set("name", "y"), engine.FindAndUpdateOptions{Upsert: true}, &out)
		mustBe(t, err, models.KindInternal)
	}
	equal(t, "stored", len(ids(t, e, engine.Query{})), 0)
}

func batchIsBounded(t *testing.T, open Open) {
	e := openThings(t, open)
	var batch []any
	for n := range engine.MaxBatch + 1 {
		batch = append(batch, numbered(n))
	}
	_, err := e.InsertMany(t.Context(), things, batch)
	mustBe(t, err, models.KindInternal)
	equal(t, "stored", len(ids(t, e, engine.Query{})), 0)
}

func deleteLimit(t *testing.T, open Open) {
	e := openThings(t, open, thing{ID: "a"})
	for _, limit := range []int64{-1, 2} {
		_, err := e.Delete(t.Context(), things, bson.D{}, limit)
		mustBe(t, err, models.KindInternal)
	}
	equal(t, "stored", len(ids(t, e, engine.Query{})), 1)
}
