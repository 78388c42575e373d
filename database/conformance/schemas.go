package conformance

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database/engine"
	"pulse-control-plane/models"
)

func schemas() map[string]func(*testing.T, Open) {
	return map[string]func(*testing.T, Open){
		"EnsuringTheSchemaAgainChangesAndReportsNothing":     schemaTwice,
		"ADifferentIndexIsReportedAndNotDropped":             indexDiffers,
		"LookingForDifferencesCreatesNothing":                differencesOnly,
		"ANewlyDeclaredFieldAndIndexCoverOldDocuments":       fieldAdded,
		"AFieldDeclaredAgainCoversDocumentsWrittenMeanwhile": fieldReturns,
		"AnUndeclaredIndexCanBeDroppedAndADeclaredOneCannot": indexDropped,
	}
}

// evolving is a collection with some fields and indexes.
func evolving(fields []engine.Field, indexes ...engine.Index) []engine.Collection {
	return []engine.Collection{{Name: things, Fields: fields, Indexes: indexes}}
}

func stringFields(names ...string) (fields []engine.Field) {
	for _, name := range names {
		fields = append(fields, engine.Field{Name: name, Kind: engine.String})
	}
	return fields
}

func schemaTwice(t *testing.T, open Open) {
	e := openThings(t, open, thing{ID: "a", Email: "a@example.com"})
	for range 2 {
		differences, err := e.EnsureSchema(t.Context())
		must(t, err)
		equal(t, "differences", len(differences), 0)
	}
	mustConflict(t, e.Insert(t.Context(), things, thing{ID: "b", Email: "a@example.com"}), "email_taken")
}

func indexDiffers(t *testing.T, open Open) {
	fields := stringFields("email", "name")
	before := open(t, evolving(fields, engine.Index{Keys: []string{"email"}, Unique: true}, engine.Index{Keys: []string{"name"}}))
	_, err := before.EnsureSchema(t.Context())
	must(t, err)
	must(t, before.Insert(t.Context(), things, bson.D{{Key: "_id", Value: "a"}, {Key: "email", Value: "x"}}))
	must(t, before.Close(t.Context()))

	e := open(t, evolving(fields, engine.Index{Keys: []string{"email"}}, engine.Index{Keys: []string{"name"}}))
	t.Cleanup(func() { must(t, e.Close(context.Background())) })
	for range 2 {
		differences, err := e.EnsureSchema(t.Context())
		must(t, err)
		if len(differences) != 1 || differences[0].Collection != things || differences[0].Index != "email_1" {
			t.Fatalf("differences are %+v; want email_1 of %s alone", differences, things)
		}
		if differences[0].Declared == differences[0].Found || differences[0].Declared == "" || differences[0].Found == "" {
			t.Errorf("a difference that does not say what differs: %+v", differences[0])
		}
	}
	err = e.Insert(t.Context(), things, bson.D{{Key: "_id", Value: "b"}, {Key: "email", Value: "x"}})
	mustBe(t, err, models.KindConflict)
	// Queries by the field still work.
	equal(t, "found", len(ids(t, e, engine.Query{Filter: single("email", "x"), Sort: single("_id", 1)})), 1)
}

func differencesOnly(t *testing.T, open Open) {
	name := engine.Index{Keys: []string{"name"}}
	e := opened(t, open, evolving(stringFields("email", "name"), engine.Index{Keys: []string{"email"}}, name))
	_, err := e.EnsureSchema(t.Context())
	must(t, err)
	differences, err := e.SchemaDifferences(t.Context())
	must(t, err)
	equal(t, "differences", len(differences), 0)
	must(t, e.Insert(t.Context(), things, bson.D{{Key: "_id", Value: "a"}}))
	must(t, e.Close(t.Context()))

	unique := open(t, evolving(stringFields("email", "name"), engine.Index{Keys: []string{"email"}, Unique: true}, name))
	t.Cleanup(func() { must(t, unique.Close(context.Background())) })
	for range 2 {
		differences, err := unique.SchemaDifferences(t.Context())
		must(t, err)
		if len(differences) != 1 || differences[0].Index != "email_1" || differences[0].Found == differences[0].Declared {
			t.Errorf("differences are %+v; want email_1 alone", differences)
		}
	}
}

func indexDropped(t *testing.T, open Open) {
	fields := stringFields("email", "name")
	name := engine.Index{Keys: []string{"name"}}
	before := open(t, evolving(fields, engine.Index{Keys: []string{"email"}, Unique: true}, name))
	_, err := before.EnsureSchema(t.Context())
	must(t, err)
	must(t, before.Insert(t.Context(), things, bson.D{{Key: "_id", Value: "a"}, {Key: "email", Value: "x"}, {Key: "name", Value: "n"}}))
	must(t, before.Close(t.Context()))

	e := open(t, evolving(fields, name))
	t.Cleanup(func() { must(t, e.Close(context.Background())) })
	mustBe(t, e.DropIndex(t.Context(), things, name.Keys), models.KindInternal)
	mustBe(t, e.DropIndex(t.Context(), "unknown", name.Keys), models.KindInternal)
	for range 2 { // a missing index is not an error
		must(t, e.DropIndex(t.Context(), things, []string{"email"}))
	}
	// Without the unique index the value may be stored twice.
	must(t, e.Insert(t.Context(), things, bson.D{{Key: "_id", Value: "b"}, {Key: "email", Value: "x"}, {Key: "name", Value: "n"}}))
	equal(t, "found", len(ids(t, e, engine.Query{Filter: single("name", "n")})), 2)
}

func fieldAdded(t *testing.T, open Open) {
	before := open(t, evolving(stringFields("name"), engine.Index{Keys: []string{"name"}}))
	var batch []any
	for n := range 1000 {
		batch = append(batch, bson.D{
			{Key: "_id", Value: fmt.Sprintf("%04d", n)}, {Key: "name", Value: "x"}, {Key: "rank", Value: n % 10},
			{Key: "owner", Value: single("id", fmt.Sprint(n))},
		})
	}
	_, err := before.InsertMany(t.Context(), things, batch)
	must(t, err)
	must(t, before.Insert(t.Context(), things, bson.D{{Key: "_id", Value: "without"}, {Key: "name", Value: "x"}}))
	must(t, before.Close(t.Context()))

	fields := append(stringFields("name", "owner.id"), engine.Field{Name: "rank", Kind: engine.Int})
	e := opened(t, open, evolving(fields, engine.Index{Keys: []string{"name"}},
		engine.Index{Keys: []string{"rank"}}, engine.Index{Keys: []string{"owner.id"}, Unique: true, Partial: true}))
	equal(t, "by the new number", len(ids(t, e, engine.Query{Filter: single("rank", 3)})), 100)
	equal(t, "by the new dotted field", strings.Join(ids(t, e, engine.Query{Filter: single("owner.id", "77")}), " "), "0077")
	equal(t, "without the new field", strings.Join(ids(t, e, engine.Query{Filter: single("rank", single("$exists", false))}), " "), "without")
	err = e.Insert(t.Context(), things, bson.D{{Key: "_id", Value: "new"}, {Key: "owner", Value: single("id", "77")}})
	mustBe(t, err, models.KindConflict)
}

func fieldReturns(t *testing.T, open Open) {
	both := evolving(stringFields("name", "color"), engine.Index{Keys: []string{"color"}})
	one := evolving(stringFields("name"))
	for i, schema := range [][]engine.Collection{both, one} {
		e := open(t, schema)
		must(t, e.Insert(t.Context(), things, bson.D{{Key: "_id", Value: fmt.Sprint(i)}, {Key: "name", Value: "x"}, {Key: "color", Value: "red"}}))
		must(t, e.Insert(t.Context(), things, bson.D{{Key: "_id", Value: fmt.Sprint("changed ", i)}, {Key: "color", Value: "blue"}}))
		_, err := e.Update(t.Context(), things, byID(fmt.Sprint("changed ", i)), set("color", "red"), engine.UpdateOptions{})
		must(t, err)
		must(t, e.Close(t.Context()))
	}
	e := opened(t, open, both)
	found := ids(t, e, engine.Query{Filter: single("color", "red"), Sort: single("_id", 1)})
	equal(t, "red ones", strings.Join(found, ", "), "0, 1, changed 0, changed 1")
}
