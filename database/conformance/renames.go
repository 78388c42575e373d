package conformance

import (
	"context"
	"slices"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database/engine"
	"pulse-control-plane/models"
)

func renames() map[string]func(*testing.T, Open) {
	return map[string]func(*testing.T, Open){
		"ARenamedCollectionKeepsItsDocumentsAndIndexes":    renamed,
		"ARenamingThatWasBegunIsFinished":                  renamedPartly,
		"ARenamingLosesNoDocumentOfACollectionOfThatName":  renamedOverDocuments,
		"ACollectionUnderItsFormerNameWorksAsUnderItsOwn":  formerly,
		"TwoCollectionsCannotBeStoredUnderOneName":         sameName,
		"TheWriteThatCompletesARenamingMayMakeItsDocument": renamedWithoutDocument,
	}
}

const (
	former = "old_things"
	state  = "state"
)

// storedAs is things, others and the state of a migration, with former names.
func storedAs(formerThings, formerOthers string) []engine.Collection {
	fields := append(stringFields("email", "name"), engine.Field{Name: "rank", Kind: engine.Int})
	indexes := []engine.Index{{Keys: []string{"email"}, Unique: true}, {Keys: []string{"name", "-rank"}}}
	return []engine.Collection{
		{Name: things, Former: formerThings, Fields: fields, Indexes: indexes},
		{Name: "others", Former: formerOthers, Fields: fields, Indexes: indexes[1:]},
		{Name: state, Fields: []engine.Field{{Name: "version", Kind: engine.Int}}},
	}
}

func completes(version int64) engine.Then {
	return engine.Then{Collection: state, ID: "state", Update: single("$max", single("version", version))}
}

func person(id, email string, rank int) bson.D {
	return bson.D{{Key: "_id", Value: id}, {Key: "email", Value: email}, {Key: "name", Value: "n"}, {Key: "rank", Value: rank}}
}

// isRenamed checks an engine and what it opens later.
func isRenamed(t *testing.T, e engine.Engine, version int64) {
	t.Helper()
	differences, err := e.EnsureSchema(t.Context())
	must(t, err)
	equal(t, "differences", len(differences), 0)
	equal(t, "the stored name", e.StoredName(things), things)
	equal(t, "found by the index", len(ids(t, e, engine.Query{Filter: single("name", "n"), Sort: single("rank", -1)})), 2)
	mustBe(t, e.Insert(t.Context(), things, person("c", "a@example.com", 3)), models.KindConflict)
	names, err := e.Existing(t.Context())
	must(t, err)
	equal(t, "the old name exists", slices.Contains(names, former), false)
	equal(t, "the new name exists", slices.Contains(names, things), true)
	var stored struct{ Version int64 }
	must(t, e.FindOne(t.Context(), state, engine.Query{Filter: byID("state")}, &stored))
	equal(t, "the version", stored.Version, version)
}

func renamed(t *testing.T, open Open) {
	e := open(t, storedAs(former, "old_others"))
	_, err := e.EnsureSchema(t.Context())
	must(t, err)
	equal(t, "the stored name", e.StoredName(things), former)
	equal(t, "the name of what is not declared", e.StoredName("unknown"), "")
	must(t, e.Insert(t.Context(), things, person("a", "a@example.com", 1)))
	must(t, e.Insert(t.Context(), things, person("b", "b@example.com", 2)))
	must(t, e.Insert(t.Context(), "others", person("o", "o@example.com", 1)))
	names, err := e.Existing(t.Context())
	must(t, err)
	equal(t, "exists", slices.Contains(names, former) && !slices.Contains(names, things), true)
	for version := range int64(2) { // a second time changes nothing but the document
		must(t, e.Rename(t.Context(), []string{things, "others"}, completes(version)))
		isRenamed(t, e, version)
	}
	must(t, e.Close(t.Context()))
	isRenamed(t, opened(t, open, storedAs("", "")), 1)
}

func renamedPartly(t *testing.T, open Open) {
	e := open(t, storedAs(former, "old_others"))
	_, err := e.EnsureSchema(t.Context())
	must(t, err)
	must(t, e.Insert(t.Context(), things, person("a", "a@example.com", 1)))
	must(t, e.Insert(t.Context(), things, person("b", "b@example.com", 2)))
	must(t, e.Insert(t.Context(), "others", person("o", "o@example.com", 1)))
	must(t, e.Rename(t.Context(), []string{"others"}, completes(1)))
	must(t, e.Close(t.Context()))

	again := open(t, storedAs(former, "old_others")) // as a second run that read the state before
	t.Cleanup(func() { must(t, again.Close(context.Background())) })
	must(t, again.Rename(t.Context(), []string{things, "others"}, completes(2)))
	isRenamed(t, again, 2)
	n, err := again.Count(t.Context(), "others", bson.D{}, 0)
	must(t, err)
	equal(t, "others", n, 1)
}

func renamedOverDocuments(t *testing.T, open Open) {
	for _, empty := range [][]engine.Collection{storedAs(former, "old_others"), storedAs("", "")} {
		must(t, opened(t, open, empty).Close(t.Context()))
	}
	old := open(t, storedAs(former, "old_others"))
	_, err := old.EnsureSchema(t.Context())
	must(t, err)
	must(t, old.Insert(t.Context(), things, person("a", "a@example.com", 1)))
	must(t, old.Insert(t.Context(), things, person("b", "b@example.com", 2)))
	must(t, old.Insert(t.Context(), "others", person("o", "o@example.com", 1)))
	must(t, old.Close(t.Context()))
	now := open(t, storedAs(former, ""))
	_, err = now.EnsureSchema(t.Context())
	must(t, err)
	must(t, now.Insert(t.Context(), "others", person("p", "p@example.com", 1)))
	must(t, now.Rename(t.Context(), []string{things}, completes(1)))
	isRenamed(t, now, 1)
	must(t, now.Close(t.Context()))

	both := open(t, storedAs("", "old_others"))
	t.Cleanup(func() { must(t, both.Close(context.Background())) })
	if err := both.Rename(t.Context(), []string{"others"}, completes(2)); !models.HasCode(err, "names_taken") {
		t.Fatalf("both names have documents: %v", err)
	}
	isRenamed(t, both, 1)
	equal(t, "the one", len(idsOf(t, both, "others")), 1)
	must(t, both.Close(t.Context()))
	equal(t, "the other", len(idsOf(t, opened(t, open, storedAs("", "")), "others")), 1)
}

func idsOf(t *testing.T, e engine.Engine, collection string) (found []string) {
	t.Helper()
	must(t, e.Find(t.Context(), collection, engine.Query{Limit: 1000}, func(raw bson.Raw) error {
		found = append(found, raw.Lookup("_id").StringValue())
		return nil
	}))
	return found
}

func formerly(t *testing.T, open Open) {
	e := opened(t, open, storedAs(former, ""))
	must(t, e.Insert(t.Context(), things, person("a", "a@example.com", 1)))
	mustBe(t, e.Insert(t.Context(), things, person("b", "a@example.com", 2)), models.KindConflict)
	n, err := e.Update(t.Context(), things, byID("a"), single("$set", single("rank", 7)), engine.UpdateOptions{})
	must(t, err)
	equal(t, "updated", n, 1)
	groups, err := e.Sum(t.Context(), things, single("name", "n"), "rank", "name")
	must(t, err)
	equal(t, "the sum", groups[0].Sum, 7)
	differences, err := e.SchemaDifferences(t.Context())
	must(t, err)
	equal(t, "differences", len(differences), 0)
	gone, err := e.Delete(t.Context(), things, single("rank", 7), 0)
	must(t, err)
	equal(t, "deleted", gone, 1)
}

func sameName(t *testing.T, _ Open) {
	_, err := engine.Declare(storedAs("others", ""))
	mustBe(t, err, models.KindInternal)
}

func renamedWithoutDocument(t *testing.T, open Open) {
	e := opened(t, open, storedAs("", ""))
	must(t, e.Rename(t.Context(), []string{things}, completes(3)))
	var stored struct{ Version int64 }
	must(t, e.FindOne(t.Context(), state, engine.Query{Filter: byID("state")}, &stored))
	equal(t, "the version", stored.Version, 3)
}
