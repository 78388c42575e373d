package conformance

import (
	"fmt"
	"slices"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database/engine"
	"pulse-control-plane/models"
)

func uniqueness() map[string]func(*testing.T, Open) {
	return map[string]func(*testing.T, Open){
		"ADuplicateIDIsAConflict":                            duplicateID,
		"ADuplicateOnInsertIsAConflictWithTheCodeOfTheIndex": duplicateOnInsert,
		"ADuplicateOnUpdateIsAConflictWithTheCodeOfTheIndex": duplicateOnUpdate,
		"ADuplicateOnFindAndUpdateIsAConflict":               duplicateOnFindAndUpdate,
		"ACompoundUniqueIndexComparesAllItsKeys":             duplicateOfTwoFields,
		"APartialUniqueIndexIgnoresDocumentsWithoutItsKey":   partialUnique,
		"AUniqueIndexConsidersTwoMissingFieldsEqual":         missingIsUnique,
		"ACompoundUniqueIndexConsidersMissingFieldsEqual":    missingOfTwoIsUnique,
		"AUniqueValueIsFreeAgainAfterUpdateAndDelete":        freedByChange,
		"InsertManyReportsDuplicatesAndStoresTheRest":        insertManyDuplicates,
		"OneOfManySimultaneousInsertsOfAUniqueValueWins":     simultaneousInserts,
		"AConflictOfOneWriterDoesNotAffectOtherWrites":       conflictsAmongWriters,
	}
}

func mustConflict(t *testing.T, err error, code string) {
	t.Helper()
	mustBe(t, err, models.KindConflict)
	if !models.HasCode(err, code) {
		t.Fatalf("conflict is %v; want the code %s", err, code)
	}
}

func duplicateID(t *testing.T, open Open) {
	e := openThings(t, open, thing{ID: "a", Name: "first"})
	mustConflict(t, e.Insert(t.Context(), things, thing{ID: "a", Name: "second"}), "already_exists")
	equal(t, "name", load(t, e, "a")["name"], any("first"))
}

func duplicateOnInsert(t *testing.T, open Open) {
	e := openThings(t, open, thing{ID: "a", Email: "a@example.com"})
	mustConflict(t, e.Insert(t.Context(), things, thing{ID: "b", Email: "a@example.com"}), "email_taken")
	equal(t, "stored", len(ids(t, e, engine.Query{})), 1)
}

func duplicateOnUpdate(t *testing.T, open Open) {
	e := openThings(t, open, thing{ID: "a", Email: "a@example.com"}, thing{ID: "b", Email: "b@example.com"})
	_, err := e.Update(t.Context(), things, byID("b"), set("email", "a@example.com"), engine.UpdateOptions{})
	mustConflict(t, err, "email_taken")
	_, err = e.Update(t.Context(), things, single("email", single("$exists", true)), set("email", "c@example.com"), engine.UpdateOptions{Many: true})
	mustConflict(t, err, "email_taken")
	equal(t, "email", load(t, e, "b")["email"], any("b@example.com"))
}

func duplicateOnFindAndUpdate(t *testing.T, open Open) {
	e := openThings(t, open, thing{ID: "a", Email: "a@example.com"}, thing{ID: "b", Email: "b@example.com"})
	var out thing
	err := e.FindOneAndUpdate(t.Context(), things, byID("b"), set("email", "a@example.com"), engine.FindAndUpdateOptions{}, &out)
	mustConflict(t, err, "email_taken")
	equal(t, "email", load(t, e, "b")["email"], any("b@example.com"))
}

func duplicateOfTwoFields(t *testing.T, open Open) {
	e := openThings(t, open, thing{ID: "a", Slug: "s", Owner: &owner{ID: "one"}})
	must(t, e.Insert(t.Context(), things, thing{ID: "b", Slug: "s", Owner: &owner{ID: "two"}}))
	must(t, e.Insert(t.Context(), things, thing{ID: "c", Slug: "t", Owner: &owner{ID: "one"}}))
	mustConflict(t, e.Insert(t.Context(), things, thing{ID: "d", Slug: "s", Owner: &owner{ID: "one"}}), "already_exists")
}

func partialUnique(t *testing.T, open Open) {
	e := openThings(t, open, thing{ID: "a"}, thing{ID: "b"}, thing{ID: "c", Email: "c@example.com"},
		thing{ID: "d", Slug: "s"}, thing{ID: "e", Slug: "s"})
	mustConflict(t, e.Insert(t.Context(), things, thing{ID: "f", Email: "c@example.com"}), "email_taken")
	equal(t, "stored", len(ids(t, e, engine.Query{})), 5)
}

// strict is a collection whose unique indexes are not partial.
func strict(t *testing.T, open Open) engine.Engine {
	return opened(t, open, []engine.Collection{{
		Name:   things,
		Fields: []engine.Field{{Name: "email", Kind: engine.String}, {Name: "a", Kind: engine.String}, {Name: "b", Kind: engine.Int}},
		Indexes: []engine.Index{
			{Keys: []string{"email"}, Unique: true, ConflictCode: "email_taken"},
			{Keys: []string{"a", "b"}, Unique: true, ConflictCode: "pair_taken"},
		},
	}})
}

func missingIsUnique(t *testing.T, open Open) {
	e := strict(t, open)
	must(t, e.Insert(t.Context(), things, bson.D{{Key: "_id", Value: "1"}, {Key: "a", Value: "1"}}))
	must(t, e.Insert(t.Context(), things, bson.D{{Key: "_id", Value: "2"}, {Key: "a", Value: "2"}, {Key: "email", Value: "x"}}))
	mustConflict(t, e.Insert(t.Context(), things, bson.D{{Key: "_id", Value: "3"}, {Key: "a", Value: "3"}}), "email_taken")
}

func missingOfTwoIsUnique(t *testing.T, open Open) {
	e := strict(t, open)
	for i, doc := range []bson.D{{}, {{Key: "a", Value: "x"}}, {{Key: "b", Value: 1}}, {{Key: "a", Value: "x"}, {Key: "b", Value: 1}}} {
		id := fmt.Sprint(i)
		must(t, e.Insert(t.Context(), things, append(bson.D{{Key: "_id", Value: id}, {Key: "email", Value: id}}, doc...)))
		err := e.Insert(t.Context(), things, append(bson.D{{Key: "_id", Value: "again"}, {Key: "email", Value: "again"}}, doc...))
		mustConflict(t, err, "pair_taken")
	}
}

func freedByChange(t *testing.T, open Open) {
	e := openThings(t, open, thing{ID: "a", Email: "x@example.com"})
	_, err := e.Update(t.Context(), things, byID("a"), set("email", "y@example.com"), engine.UpdateOptions{})
	must(t, err)
	must(t, e.Insert(t.Context(), things, thing{ID: "b", Email: "x@example.com"}))
	_, err = e.Delete(t.Context(), things, byID("b"), 1)
	must(t, err)
	must(t, e.Insert(t.Context(), things, thing{ID: "c", Email: "x@example.com"}))
	_, err = e.Update(t.Context(), things, byID("c"), single("$unset", single("email", "")), engine.UpdateOptions{})
	must(t, err)
	must(t, e.Insert(t.Context(), things, thing{ID: "d", Email: "x@example.com"}))
}

func insertManyDuplicates(t *testing.T, open Open) {
	e := openThings(t, open, thing{ID: "there", Email: "there@example.com"})
	duplicates, err := e.InsertMany(t.Context(), things, []any{
		thing{ID: "a"}, thing{ID: "there"}, thing{ID: "b", Email: "there@example.com"},
		thing{ID: "c", Email: "c@example.com"}, thing{ID: "d", Email: "c@example.com"}, thing{ID: "a"}, thing{ID: "e"},
	})
	must(t, err)
	if !slices.Equal(duplicates, []int{1, 2, 4, 5}) {
		t.Errorf("duplicates are %v; want [1 2 4 5]", duplicates)
	}
	if stored := ids(t, e, engine.Query{Sort: single("_id", 1)}); !slices.Equal(stored, []string{"a", "c", "e", "there"}) {
		t.Errorf("stored are %v; want [a c e there]", stored)
	}
}

func simultaneousInserts(t *testing.T, open Open) {
	e := openThings(t, open)
	outcomes := together(32, func(n int) error {
		return e.Insert(t.Context(), things, thing{ID: fmt.Sprint(n), Email: "one@example.com"})
	})
	won := 0
	for _, err := range outcomes {
		if err == nil {
			won++
		} else {
			mustConflict(t, err, "email_taken")
		}
	}
	equal(t, "inserts that went through", won, 1)
	equal(t, "stored", len(ids(t, e, engine.Query{})), 1)
}

func conflictsAmongWriters(t *testing.T, open Open) {
	e := openThings(t, open, thing{ID: "there"})
	outcomes := together(64, func(n int) error {
		if n%2 == 0 {
			return e.Insert(t.Context(), things, thing{ID: "there"})
		}
		return e.Insert(t.Context(), things, thing{ID: fmt.Sprintf("n%d", n)})
	})
	for n, err := range outcomes {
		if n%2 == 0 {
			mustConflict(t, err, "already_exists")
		} else {
			must(t, err)
		}
	}
	equal(t, "stored", len(ids(t, e, engine.Query{})), 33)
}
