package conformance

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database/engine"
	"pulse-control-plane/models"
)

func documents() map[string]func(*testing.T, Open) {
	return map[string]func(*testing.T, Open){
		"AnInsertedDocumentIsReadUnchanged":        foundAsItWas,
		"AMissingDocumentIsNotFound":               missingIsNotFound,
		"ADocumentWithoutAnIDIsRefused":            idIsDemanded,
		"AFieldOfAnUndeclaredKindIsRefused":        kindIsDemanded,
		"ADeclaredFieldMayNotBeNull":               nullIsRefusedInDocuments,
		"ADeleteWithLimitOneRemovesOne":            deleteOne,
		"ADeleteWithoutLimitRemovesEveryMatch":     deleteAll,
		"ADeleteThatMatchesNothingIsNoError":       deleteNone,
		"ACountStopsAtItsLimit":                    countLimited,
		"TimesKeepMillisecondsAndAreUTC":           timesKeepMilliseconds,
		"ADocumentOfOneMebibyteIsStored":           largeDocument,
		"AStringMayHoldZeroBytesAndEveryCharacter": oddStrings,
		"InsertManyOfNothingIsNoError":             insertNothing,
		"InsertManyWithARefusedDocumentStoresNone": insertManyIsChecked,
	}
}

func foundAsItWas(t *testing.T, open Open) {
	at := time.Date(2026, 2, 3, 4, 5, 6, 789_000_000, time.UTC)
	want := thing{
		ID: "a", Name: "first", Email: "a@example.com", Slug: "s", Number: to(int64(1) << 60),
		Ratio: to(0.1), Done: to(false), At: &at, Owner: &owner{ID: "o", Title: "undeclared"},
		Notes: []string{"undeclared", "too"},
	}
	e := openThings(t, open, want, thing{ID: "b", Name: "second"})
	for _, filter := range []bson.D{
		byID("a"), single("name", "first"), single("email", "a@example.com"), single("number", int64(1)<<60),
		single("ratio", 0.1), single("done", false), single("at", at), single("owner.id", "o"),
	} {
		var got thing
		must(t, e.FindOne(t.Context(), things, engine.Query{Filter: filter}, &got))
		if !reflect.DeepEqual(got, want) {
			t.Errorf("by %v found %+v; want %+v", filter, got, want)
		}
	}
}

func missingIsNotFound(t *testing.T, open Open) {
	e := openThings(t, open)
	var out thing
	mustBe(t, e.FindOne(t.Context(), things, engine.Query{Filter: byID("none")}, &out), models.KindNotFound)
	set := bson.D{{Key: "$set", Value: bson.D{{Key: "name", Value: "x"}}}}
	mustBe(t, e.FindOneAndUpdate(t.Context(), things, byID("none"), set, engine.FindAndUpdateOptions{}, &out), models.KindNotFound)
	equal(t, "number of matches", len(ids(t, e, engine.Query{})), 0)
}

func idIsDemanded(t *testing.T, open Open) {
	e := openThings(t, open)
	for _, doc := range []bson.D{
		{{Key: "name", Value: "no id"}},
		{{Key: "_id", Value: ""}, {Key: "name", Value: "empty id"}},
		{{Key: "_id", Value: 7}, {Key: "name", Value: "a number"}},
		{{Key: "_id", Value: bson.NewObjectID()}, {Key: "name", Value: "an object id"}},
	} {
		mustBe(t, e.Insert(t.Context(), things, doc), models.KindInternal)
	}
	count, err := e.Count(t.Context(), things, bson.D{}, 0)
	must(t, err)
	equal(t, "count", count, 0)
}

func kindIsDemanded(t *testing.T, open Open) {
	e := openThings(t, open, thing{ID: "there", Name: "there"})
	for field, value := range map[string]any{
		"name": 1, "number": "1", "done": 1, "at": "2026-01-01T00:00:00Z", "ratio": "0.5",
		"owner": bson.D{{Key: "id", Value: 5}},
	} {
		mustBe(t, e.Insert(t.Context(), things, bson.D{{Key: "_id", Value: "new"}, {Key: field, Value: value}}), models.KindInternal)
		set := bson.D{{Key: "$set", Value: bson.D{{Key: field, Value: value}}}}
		_, err := e.Update(t.Context(), things, byID("there"), set, engine.UpdateOptions{})
		mustBe(t, err, models.KindInternal)
	}
	equal(t, "things", strings.Join(ids(t, e, engine.Query{}), " "), "there")
	equal(t, "name", load(t, e, "there")["name"], any("there"))
}

func nullIsRefusedInDocuments(t *testing.T, open Open) {
	e := openThings(t, open, thing{ID: "there", Name: "there"})
	mustBe(t, e.Insert(t.Context(), things, bson.D{{Key: "_id", Value: "new"}, {Key: "email", Value: nil}}), models.KindInternal)
	set := bson.D{{Key: "$set", Value: bson.D{{Key: "email", Value: nil}}}}
	_, err := e.Update(t.Context(), things, byID("there"), set, engine.UpdateOptions{})
	mustBe(t, err, models.KindInternal)
	// In an undeclared field null is an ordinary value.
	must(t, e.Insert(t.Context(), things, bson.D{{Key: "_id", Value: "free"}, {Key: "undeclared", Value: nil}}))
}

func deleteOne(t *testing.T, open Open) {
	e := openThings(t, open, thing{ID: "a", Name: "x"}, thing{ID: "b", Name: "x"}, thing{ID: "c", Name: "y"})
	deleted, err := e.Delete(t.Context(), things, single("name", "x"), 1)
	must(t, err)
	equal(t, "deleted", deleted, 1)
	equal(t, "left", len(ids(t, e, engine.Query{})), 2)
	equal(t, "left of the others", len(ids(t, e, engine.Query{Filter: single("name", "y")})), 1)
}

func deleteAll(t *testing.T, open Open) {
	e := openThings(t, open, thing{ID: "kept", Name: "kept"})
	insertNumbered(t, e, 1200)
	deleted, err := e.Delete(t.Context(), things, single("number", single("$gte", 0)), 0)
	must(t, err)
	equal(t, "deleted", deleted, 1200)
	equal(t, "left", strings.Join(ids(t, e, engine.Query{}), " "), "kept")
}

func deleteNone(t *testing.T, open Open) {
	e := openThings(t, open, thing{ID: "a", Name: "x"})
	deleted, err := e.Delete(t.Context(), things, byID("other"), 0)
	must(t, err)
	equal(t, "deleted", deleted, 0)
	equal(t, "left", len(ids(t, e, engine.Query{})), 1)
}

func countLimited(t *testing.T, open Open) {
	e := openThings(t, open)
	insertNumbered(t, e, 30)
	for limit, want := range map[int64]int64{0: 20, 7: 7, 20: 20, 100: 20} {
		count, err := e.Count(t.Context(), things, single("number", single("$gte", 10)), limit)
		must(t, err)
		equal(t, "count", count, want)
	}
}

func timesKeepMilliseconds(t *testing.T, open Open) {
	zone := time.FixedZone("east", 3*3600)
	written := time.Date(2026, 1, 2, 3, 4, 5, 678_912_345, zone)
	e := openThings(t, open, thing{ID: "a", Name: "x", At: &written}, thing{ID: "old", Name: "x", At: to(time.UnixMilli(-1500))})
	var got thing
	must(t, e.FindOne(t.Context(), things, engine.Query{Filter: byID("a")}, &got))
	want := time.Date(2026, 1, 2, 0, 4, 5, 678_000_000, time.UTC)
	if !got.At.Equal(want) || got.At.UTC().Format(time.RFC3339Nano) != want.Format(time.RFC3339Nano) {
		t.Errorf("time is %s; want %s", got.At, want)
	}
	// Times in filters are truncated to milliseconds too.
	equal(t, "found by the time as written", len(ids(t, e, engine.Query{Filter: single("at", written)})), 1)
	equal(t, "found after the millisecond", len(ids(t, e, engine.Query{Filter: single("at", single("$gt", want))})), 0)
	equal(t, "found before 1970", len(ids(t, e, engine.Query{Filter: single("at", single("$lt", time.Unix(0, 0)))})), 1)
}

func largeDocument(t *testing.T, open Open) {
	e := openThings(t, open)
	note := strings.Repeat("0123456789abcdef", 1<<16)
	must(t, e.Insert(t.Context(), things, thing{ID: "large", Name: "x", Notes: []string{note}}))
	_, err := e.Update(t.Context(), things, byID("large"), bson.D{{Key: "$set", Value: bson.D{{Key: "name", Value: "y"}}}}, engine.UpdateOptions{})
	must(t, err)
	var got thing
	must(t, e.FindOne(t.Context(), things, engine.Query{Filter: single("name", "y")}, &got))
	if len(got.Notes) != 1 || got.Notes[0] != note {
		t.Errorf("the note of a mebibyte came back changed")
	}
}

func oddStrings(t *testing.T, open Open) {
	odd := []string{"", "\x00", "a\x00b", "a", "'\"`;--", "ä€𝄞", "\U0010FFFF"}
	e := openThings(t, open)
	for i, s := range odd {
		must(t, e.Insert(t.Context(), things, thing{ID: string(rune('a' + i)), Name: s}))
	}
	for i, s := range odd {
		found := ids(t, e, engine.Query{Filter: single("name", s)})
		if len(found) != 1 || found[0] != string(rune('a'+i)) {
			t.Errorf("by name %q found %v; want %c alone", s, found, 'a'+i)
		}
		equal(t, "name", load(t, e, string(rune('a'+i)))["name"], any(s))
	}
}

func insertNothing(t *testing.T, open Open) {
	e := openThings(t, open)
	duplicates, err := e.InsertMany(t.Context(), things, nil)
	must(t, err)
	equal(t, "duplicates", len(duplicates), 0)
}

func insertManyIsChecked(t *testing.T, open Open) {
	e := openThings(t, open)
	_, err := e.InsertMany(t.Context(), things, []any{
		thing{ID: "a", Name: "right"}, bson.D{{Key: "_id", Value: "b"}, {Key: "name", Value: 5}},
	})
	mustBe(t, err, models.KindInternal)
	equal(t, "stored", len(ids(t, e, engine.Query{})), 0)
}

// insertNumbered stores count things with ascending numbers and ids.
func insertNumbered(t *testing.T, e engine.Engine, count int) {
	t.Helper()
	for from := 0; from < count; from += engine.MaxBatch {
		var batch []any
		for n := from; n < min(count, from+engine.MaxBatch); n++ {
			batch = append(batch, numbered(n))
		}
		duplicates, err := e.InsertMany(t.Context(), things, batch)
		must(t, err)
		equal(t, "duplicates", len(duplicates), 0)
	}
}
