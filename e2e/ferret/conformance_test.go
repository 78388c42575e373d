package ferret_test

import (
	"context"
	"fmt"
	"hash/fnv"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database"
	"pulse-control-plane/database/conformance"
	"pulse-control-plane/database/engine"
	"pulse-control-plane/database/mongo"
	"pulse-control-plane/e2e/ferret"
)

// Reasons for skipped cases on FerretDB 1.24.
const (
	noIndexName = "FerretDB's duplicate key error does not name the index, so the conflict has no code of its own"
	codeOne     = "FerretDB answers a duplicate on update with code 1 (InternalError), not 11000"
	noTTL       = "FerretDB has no TTL indexes (expireAfterSeconds is NotImplemented)"
	// TestSumsAddUpByGroupsOnFerretDB checks the rest.
	oneAccumulator = "FerretDB gives the documents of a group to its first accumulator only, so every count is 0"
	missingApart   = "FerretDB's unique indexes are SQLite's, for which two missing values differ"
)

func TestTheMongoDBEngineConformsOnFerretDB(t *testing.T) {
	server := ferret.Start(t)
	conformance.Run(t, func(t *testing.T, schema []engine.Collection) engine.Engine {
		name := fnv.New64a()
		_, _ = name.Write([]byte(t.Name())) // never fails
		// Many callers share its single connection, and it rewrites updated
		// documents one by one: this exceeds Pulse's usual deadline of an
		// operation, above all under -race.
		uri := server.URI + "&timeoutMS=300000&serverSelectionTimeoutMS=300000"
		engine, err := mongo.Open(t.Context(), uri, fmt.Sprintf("case_%x", name.Sum64()),
			ferretSchema(schema), mongo.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return engine
	}, conformance.Skips{
		"ADuplicateOnInsertIsAConflictWithTheCodeOfTheIndex": noIndexName,
		"EnsuringTheSchemaAgainChangesAndReportsNothing":     noIndexName,
		"APartialUniqueIndexIgnoresDocumentsWithoutItsKey":   noIndexName,
		"OneOfManySimultaneousInsertsOfAUniqueValueWins":     noIndexName,
		"ADuplicateOnUpdateIsAConflictWithTheCodeOfTheIndex": codeOne,
		"ADuplicateOnFindAndUpdateIsAConflict":               codeOne,
		"ExpiredDocumentsAreDeletedAndOthersKept":            noTTL,
		"ASumAddsUpByGroupsInAscendingOrder":                 oneAccumulator,
		"ASumGroupsByEveryKind":                              oneAccumulator,
		"ASumWithoutGroupsIsOneGroup":                        oneAccumulator,
		"AUniqueIndexConsidersTwoMissingFieldsEqual":         missingApart,
		"ACompoundUniqueIndexConsidersMissingFieldsEqual":    missingApart,
	})
}

func TestSumsAddUpByGroupsOnFerretDB(t *testing.T) {
	engine, err := mongo.Open(t.Context(), ferret.Start(t).URI, "pulse",
		ferretSchema(database.Schema()), mongo.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := engine.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	hour := time.Date(2026, 1, 2, 3, 0, 0, 0, time.UTC)
	for i, doc := range []bson.D{
		{{Key: "project_id", Value: "prj_2"}, {Key: "event_type", Value: "tokens"}, {Key: "value", Value: 1.5}, {Key: "timestamp", Value: hour}},
		{{Key: "project_id", Value: "prj_1"}, {Key: "event_type", Value: "tokens"}, {Key: "value", Value: 2.0}, {Key: "timestamp", Value: hour}},
		{{Key: "project_id", Value: "prj_1"}, {Key: "event_type", Value: "tokens"}, {Key: "value", Value: 0.25}, {Key: "timestamp", Value: hour}},
		{{Key: "project_id", Value: "prj_1"}, {Key: "value", Value: 8.0}},
		{{Key: "project_id", Value: "prj_3"}, {Key: "event_type", Value: "tokens"}, {Key: "value", Value: 100.0}, {Key: "timestamp", Value: hour}},
	} {
		if err := engine.Insert(t.Context(), "usage_metrics", append(bson.D{{Key: "_id", Value: fmt.Sprint(i)}}, doc...)); err != nil {
			t.Fatal(err)
		}
	}
	filter := bson.D{{Key: "project_id", Value: bson.D{{Key: "$in", Value: []string{"prj_1", "prj_2"}}}}}
	for _, c := range []struct {
		groupBy []string
		want    string
	}{
		{[]string{"project_id", "event_type"}, "[prj_1 <nil>]=8 [prj_1 tokens]=2.25 [prj_2 tokens]=1.5 "},
		{[]string{"timestamp"}, fmt.Sprintf("[<nil>]=8 [%s]=3.75 ", hour)},
		{nil, "[]=11.75 "},
	} {
		groups, err := engine.Sum(t.Context(), "usage_metrics", filter, "value", c.groupBy...)
		got := ""
		for _, g := range groups {
			got += fmt.Sprintf("%v=%v ", g.Keys, g.Sum)
		}
		if err != nil || got != c.want {
			t.Errorf("by %v: %s: %v, want %s", c.groupBy, got, err, c.want)
		}
	}
}
