package conformance

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database/engine"
)

func queries() map[string]func(*testing.T, Open) {
	return map[string]func(*testing.T, Open){
		"AFilterMatchesWhatMongoDBDocuments":                   filters,
		"AListIsSortedInBothDirectionsWithMissingValuesLowest": sorts,
		"AListIsSortedBySeveralFields":                         sortsBySeveral,
		"ACursorByIDVisitsAThousandDocumentsOnceEach":          cursorByID,
		"ACursorByFieldAndIDVisitsEveryDocumentOnce":           cursorByField,
		"AListStopsAtItsLimit":                                 listLimited,
		"FindOneReturnsTheFirstInOrder":                        findOneOrdered,
		"FindReturnsTheErrorOfItsCallback":                     findStops,
		"TheCallbackOfFindMayQueryTheEngine":                   findAsks,
		"AListLongerThanAnyBufferIsReadCompletely":             longList,
		"ATypedStringOrADriverTimeFiltersByItsUnderlyingValue": typedValues,
	}
}

func filters(t *testing.T, open Open) {
	at := func(ms int64) *time.Time { return to(time.UnixMilli(ms)) }
	e := openThings(t, open,
		thing{ID: "1", Name: "a", Number: to(int64(1)), Ratio: to(0.5), Done: to(false), At: at(1000), Owner: &owner{ID: "o"}},
		thing{ID: "2", Name: "B", Number: to(int64(2)), Ratio: to(2.0), Done: to(true), At: at(2000), Owner: &owner{Title: "no id"}},
		thing{ID: "3", Name: "b", Number: to(int64(3)), Ratio: to(-1.0)},
		// Nothing but a name; and a ratio and an owner of other types.
		thing{ID: "4", Name: "ä"},
		bson.D{{Key: "_id", Value: "5"}, {Key: "name", Value: ""}, {Key: "ratio", Value: int32(2)}, {Key: "owner", Value: "text"}},
	)
	both := func(a, b bson.D) bson.D { return append(slices.Clone(a), b...) }
	or := func(alternatives ...any) bson.D { return single("$or", bson.A(alternatives)) }
	for _, c := range []struct {
		filter bson.D
		want   string
	}{
		{bson.D{}, "1 2 3 4 5"},
		{nil, "1 2 3 4 5"},
		{single("name", "b"), "3"},
		{single("name", ""), "5"},
		{single("number", 2), "2"},
		{single("done", false), "1"},
		{single("ratio", 2.0), "2 5"},
		{single("ratio", 2), "2 5"},
		{single("at", time.UnixMilli(2000)), "2"},
		{single("owner.id", "o"), "1"},
		{single("number", single("$gt", 1)), "2 3"},
		{single("number", single("$gte", 2)), "2 3"},
		{single("number", single("$lt", 3)), "1 2"},
		{single("number", single("$lte", 1)), "1"},
		{single("number", bson.D{{Key: "$gt", Value: 1}, {Key: "$lt", Value: 3}}), "2"},
		{single("number", bson.M{"$gt": 1, "$lt": 3}), "2"},
		{single("ratio", single("$gt", 0)), "1 2 5"},
		{single("ratio", single("$lt", 0.75)), "1 3"},
		{single("at", single("$gt", time.UnixMilli(1000))), "2"},
		{single("at", single("$lte", time.UnixMilli(1000))), "1"},
		// Strings compare byte by byte: "" < "B" < "a" < "b" < "ä".
		{single("name", single("$lt", "a")), "2 5"},
		{single("name", single("$gte", "b")), "3 4"},
		{single("name", bson.D{{Key: "$gte", Value: "b"}, {Key: "$lt", Value: "b\U0010FFFF"}}), "3"},
		// A missing field is not equal to anything, and neither before nor after it.
		{single("number", single("$ne", 2)), "1 3 4 5"},
		{single("done", single("$ne", true)), "1 3 4 5"},
		{single("owner.id", single("$ne", "o")), "2 3 4 5"},
		{single("number", single("$exists", true)), "1 2 3"},
		{single("number", single("$exists", false)), "4 5"},
		{single("owner.id", single("$exists", false)), "2 3 4 5"},
		{single("_id", single("$exists", true)), "1 2 3 4 5"},
		{single("number", single("$in", bson.A{1, 3, 99})), "1 3"},
		{single("number", single("$in", []int64{2})), "2"},
		{single("number", single("$in", []int{})), ""},
		{single("name", single("$in", []string{"a", "b", "b"})), "1 3"},
		{single("_id", single("$in", []string{"5", "1", "7"})), "1 5"},
		{both(single("name", "b"), single("number", 3)), "3"},
		{both(single("name", "b"), single("number", 2)), ""},
		{or(single("name", "a"), single("number", 3)), "1 3"},
		{or(single("number", single("$exists", false)), single("done", true)), "2 4 5"},
		{or(both(single("name", "b"), single("number", 2)), single("_id", "4")), "4"},
		{both(or(single("name", "a"), single("name", "b")), single("number", single("$gt", 1))), "3"},
		{both(single("done", single("$ne", true)), single("$or", []bson.D{single("number", 1), single("number", 2)})), "1"},
	} {
		if got := strings.Join(ids(t, e, engine.Query{Filter: c.filter, Sort: single("_id", 1)}), " "); got != c.want {
			t.Errorf("%v matches %q; want %q", c.filter, got, c.want)
		}
		count, err := e.Count(t.Context(), things, c.filter, 0)
		must(t, err)
		equal(t, fmt.Sprintf("count of %v", c.filter), count, int64(len(strings.Fields(c.want))))
	}
}

func sorts(t *testing.T, open Open) {
	e := openThings(t, open,
		thing{ID: "1", Name: "b", Number: to(int64(20)), Ratio: to(1.5), Done: to(true), At: to(time.UnixMilli(5))},
		thing{ID: "2"},
		thing{ID: "3", Name: "a", Number: to(int64(-3)), Ratio: to(-1.5), Done: to(false), At: to(time.UnixMilli(-5))},
		bson.D{{Key: "_id", Value: "4"}, {Key: "name", Value: "C"}, {Key: "number", Value: int32(3)}, {Key: "ratio", Value: int32(1)}},
	)
	for field, want := range map[string]string{
		"number": "2 3 4 1", "ratio": "2 3 4 1", "name": "2 4 3 1", "_id": "1 2 3 4",
	} {
		ascending := ids(t, e, engine.Query{Sort: single(field, 1)})
		descending := ids(t, e, engine.Query{Sort: single(field, -1)})
		equal(t, "ascending by "+field, strings.Join(ascending, " "), want)
		slices.Reverse(descending)
		equal(t, "descending by "+field+", reversed", strings.Join(descending, " "), want)
	}
	for field, want := range map[string]string{"done": "3 1", "at": "3 1"} {
		there := single(field, single("$exists", true))
		equal(t, "ascending by "+field, strings.Join(ids(t, e, engine.Query{Filter: there, Sort: single(field, 1)}), " "), want)
	}
}

func sortsBySeveral(t *testing.T, open Open) {
	e := openThings(t, open)
	for n := range 60 {
		must(t, e.Insert(t.Context(), things, thing{ID: fmt.Sprintf("%02d", n*37%60), Number: to(int64(n % 4)), At: to(time.UnixMilli(int64(n % 3)))}))
	}
	for _, order := range []bson.D{
		{{Key: "number", Value: 1}, {Key: "at", Value: -1}, {Key: "_id", Value: -1}},
		{{Key: "number", Value: -1}, {Key: "at", Value: 1}, {Key: "_id", Value: 1}},
		{{Key: "number", Value: int32(1)}, {Key: "at", Value: int64(1)}, {Key: "_id", Value: -1}},
	} {
		var before *thing
		seen := 0
		must(t, e.Find(t.Context(), things, engine.Query{Sort: order, Limit: 1000}, func(raw bson.Raw) error {
			var now thing
			must(t, bson.Unmarshal(raw, &now))
			if before != nil && compareBy(order, *before, now) >= 0 {
				t.Errorf("sorted by %v %s comes before %s", order, before.ID, now.ID)
			}
			before = &now
			seen++
			return nil
		}))
		equal(t, "listed", seen, 60)
	}
}

// compareBy orders two things as a sort does.
func compareBy(order bson.D, a, b thing) int {
	for _, key := range order {
		sign := 1
		if fmt.Sprint(key.Value) == "-1" {
			sign = -1
		}
		found := 0
		switch key.Key {
		case "number":
			found = int(*a.Number - *b.Number)
		case "at":
			found = a.At.Compare(*b.At)
		case "_id":
			found = strings.Compare(a.ID, b.ID)
		}
		if found != 0 {
			return sign * found
		}
	}
	return 0
}

func listLimited(t *testing.T, open Open) {
	e := openThings(t, open)
	insertNumbered(t, e, 10)
	for limit, want := range map[int64]int{1: 1, 3: 3, 10: 10, 11: 10} {
		equal(t, "listed", len(ids(t, e, engine.Query{Limit: limit})), want)
	}
}

func findOneOrdered(t *testing.T, open Open) {
	e := openThings(t, open)
	insertNumbered(t, e, 10)
	for direction, want := range map[int]string{1: "n000003", -1: "n000009"} {
		var got thing
		must(t, e.FindOne(t.Context(), things, engine.Query{
			Filter: single("number", single("$gte", 3)), Sort: single("number", direction),
		}, &got))
		equal(t, "first", got.ID, want)
	}
}

func findStops(t *testing.T, open Open) {
	e := openThings(t, open)
	insertNumbered(t, e, 10)
	enough := errors.New("enough")
	calls := 0
	err := e.Find(t.Context(), things, engine.Query{Limit: 10}, func(bson.Raw) error {
		calls++
		if calls == 3 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) {
		t.Errorf("error is %v; want the callback's", err)
	}
	equal(t, "calls", calls, 3)
}

func findAsks(t *testing.T, open Open) {
	e := openThings(t, open)
	insertNumbered(t, e, 50)
	for _, err := range together(16, func(worker int) error {
		return e.Find(t.Context(), things, engine.Query{Filter: single("number", single("$lt", 50)), Limit: 50}, func(raw bson.Raw) error {
			var again thing
			if err := e.FindOne(t.Context(), things, engine.Query{Filter: byID(raw.Lookup("_id").StringValue())}, &again); err != nil {
				return err
			}
			_, err := e.Update(t.Context(), things, byID(again.ID), single("$max", single("ratio", float64(worker))), engine.UpdateOptions{})
			return err
		})
	}) {
		must(t, err)
	}
	count, err := e.Count(t.Context(), things, single("ratio", 15.0), 0)
	must(t, err)
	equal(t, "changed from callbacks", count, 50)
}

func longList(t *testing.T, open Open) {
	e := openThings(t, open)
	note := strings.Repeat("x", 300_000)
	for n := range 30 {
		must(t, e.Insert(t.Context(), things, thing{ID: fmt.Sprintf("%02d", n), Notes: []string{note}}))
	}
	visited := 0
	must(t, e.Find(t.Context(), things, engine.Query{Sort: single("_id", 1), Limit: 29}, func(raw bson.Raw) error {
		var got thing
		must(t, bson.Unmarshal(raw, &got))
		equal(t, "id", got.ID, fmt.Sprintf("%02d", visited))
		equal(t, "length", len(got.Notes[0]), len(note))
		visited++
		return nil
	}))
	equal(t, "visited", visited, 29)
}

func typedValues(t *testing.T, open Open) {
	type name string
	type flag bool
	e := openThings(t, open, thing{ID: "a", Name: "x", Done: to(true), At: to(time.UnixMilli(1234))})
	for _, filter := range []bson.D{
		single("name", name("x")), single("name", single("$in", []name{"x"})), single("done", flag(true)),
		single("at", bson.NewDateTimeFromTime(time.UnixMilli(1234))),
	} {
		equal(t, fmt.Sprintf("matches of %v", filter), len(ids(t, e, engine.Query{Filter: filter})), 1)
	}
}
