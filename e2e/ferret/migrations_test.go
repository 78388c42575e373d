package ferret_test

import (
	"cmp"
	"context"
	"slices"
	"testing"

	"github.com/rs/zerolog"
	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"pulse-control-plane/database"
	"pulse-control-plane/database/embedded"
	"pulse-control-plane/database/mongo"
	"pulse-control-plane/database/testkit"
	"pulse-control-plane/e2e/ferret"
	"pulse-control-plane/models"
)

// fixtureEngine opens the database that the binary before schema versions wrote.
func fixtureEngine(t *testing.T) database.Engine {
	t.Helper()
	path := testkit.Unzipped(t, "../../database/testdata/layout1.db.gz")
	e, err := embedded.Open(t.Context(), path, formerSchema(), embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return e
}

// formerly is the former name of a collection, or its own.
func formerly(name string) string { return cmp.Or(database.FormerNames()[name], name) }

// formerSchema is the schema with the names of before any migration.
func formerSchema() []database.Collection {
	all := database.Schema()
	for i := range all {
		all[i].Former = database.FormerNames()[all[i].Name]
	}
	return all
}

// documents returns a collection's documents by id.
func documents(t *testing.T, e database.Engine, collection string) map[string]string {
	t.Helper()
	all := map[string]string{}
	if err := e.Find(t.Context(), collection, database.Query{Limit: 10_000}, func(raw bson.Raw) error {
		all[raw.Lookup("_id").StringValue()] = raw.String()
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

func TestADatabaseWithoutASchemaVersionIsMigratedWithoutLossOnFerretDB(t *testing.T) {
	old := fixtureEngine(t)
	server := ferret.Start(t)
	client, err := driver.Connect(options.Client().ApplyURI(server.URI))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Disconnect(context.Background()); err != nil {
			t.Error(err)
		}
	})
	db := client.Database("pulse")
	before := map[string]map[string]string{}
	for _, c := range database.Schema() {
		stored := []any{}
		if err := old.Find(t.Context(), c.Name, database.Query{Limit: 10_000}, func(raw bson.Raw) error {
			stored = append(stored, slices.Clone(raw))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if len(stored) > 0 {
			if _, err := db.Collection(formerly(c.Name)).InsertMany(t.Context(), stored); err != nil {
				t.Fatal(err)
			}
		}
		before[c.Name] = documents(t, old, c.Name)
	}
	retired := bson.D{{Key: "project_id", Value: 1}, {Key: "open", Value: 1}}
	if _, err := db.Collection("usage_sessions").Indexes().CreateOne(t.Context(), driver.IndexModel{Keys: retired}); err != nil {
		t.Fatal(err)
	}

	e, err := mongo.Open(t.Context(), server.URI, "pulse", ferretSchema(formerSchema()), mongo.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	indexes := func() (names []string) {
		specifications, err := db.Collection("usage_sessions").Indexes().ListSpecifications(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range specifications {
			names = append(names, s.Name)
		}
		return names
	}
	// The second start finds nothing to do; `migrate` then contracts.
	for i, prepare := range []func(context.Context, database.Engine, zerolog.Logger) error{database.Prepare, database.Prepare, database.Contract} {
		if err := prepare(t.Context(), e, zerolog.Nop()); err != nil {
			t.Fatal(err)
		}
		if names := indexes(); slices.Contains(names, "project_id_1_open_1") != (i < 2) || !slices.Contains(names, "project_id_1_open_1__id_1") {
			t.Errorf("indexes %v after step %d; want a start to keep the retired one and migrate to drop it", names, i)
		}
		names, err := db.ListCollectionNames(t.Context(), bson.D{})
		if err != nil || slices.Contains(names, "slots") != (i == 2) || slices.Contains(names, formerly("slots")) != (i < 2) {
			t.Errorf("collections %v after step %d, %v; want migrate to rename them", names, i, err)
		}
		for _, c := range database.Schema() {
			if c.Name == "schema" {
				continue
			}
			after := documents(t, e, c.Name)
			if len(after) != len(before[c.Name]) {
				t.Errorf("%s: %d documents before, %d afterwards", c.Name, len(before[c.Name]), len(after))
			}
			for id, doc := range before[c.Name] {
				if after[id] != doc {
					t.Errorf("%s %s was %s and is %s", c.Name, id, doc, after[id])
				}
			}
		}
	}

	// A database that a newer version has migrated is refused.
	newer := bson.D{{Key: "$set", Value: bson.D{{Key: "version", Value: int64(900)}, {Key: "min_reader", Value: int64(900)}}}}
	if _, err := db.Collection("schema").UpdateOne(t.Context(), bson.D{{Key: "_id", Value: "schema"}}, newer); err != nil {
		t.Fatal(err)
	}
	if err := database.Prepare(t.Context(), e, zerolog.Nop()); !models.HasCode(err, "database_too_new") {
		t.Errorf("a newer schema: %v", err)
	}
}
