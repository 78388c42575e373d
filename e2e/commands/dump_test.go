package commands_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"pulse-control-plane/e2e/mongowire"
)

// dumped copies every document of a database, under its stored names, into an empty one, as mongodump and mongorestore do.
// Indexes are left to the start, which makes those that are missing.
func dumped(t *testing.T, from, into *mongowire.Server) {
	t.Helper()
	var both [2]*mongo.Database
	for i, server := range []*mongowire.Server{from, into} {
		client, err := mongo.Connect(options.Client().ApplyURI(server.Line(t).URI))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := client.Disconnect(context.Background()); err != nil {
				t.Error(err)
			}
		})
		both[i] = client.Database("pulse")
	}
	names, err := both[0].ListCollectionNames(t.Context(), bson.D{})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		var all []bson.Raw
		cursor, err := both[0].Collection(name).Find(t.Context(), bson.D{})
		if err == nil {
			err = cursor.All(t.Context(), &all)
		}
		if err == nil && len(all) > 0 {
			_, err = both[1].Collection(name).InsertMany(t.Context(), all)
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
}

func TestADumpOfMongoDBWithTheFormerNamesIsRestoredServedAndMigrated(t *testing.T) {
	binary := olderBinary(t)
	source, restored, dir := mongowire.Start(t), mongowire.Start(t), t.TempDir()
	quota := fmt.Sprint("concurrent_participants=", limit)
	older := pulse(t, binary, map[string]string{"DATA_DIR": dir, "MONGO_URI": source.Line(t).URI, "QUOTA_FREE": quota})
	project := filled(t, older)
	before := documentsOf(t, source, formerSlots)
	dumped(t, source, restored)

	env := map[string]string{"DATA_DIR": dir, "MONGO_URI": restored.Line(t).URI, "QUOTA_FREE": quota}
	settings := []string{"DATA_DIR=" + dir, "MONGO_URI=" + env["MONGO_URI"]}
	run := func(want int, says string, args ...string) {
		t.Helper()
		c, out := command(t, t.Context(), settings, args...)
		if code := exit(c.Run()); code != want || !strings.Contains(out.String(), says) {
			t.Errorf("%v: exit code %d, want %d with %q:\n%s", args, code, want, says, out)
		}
	}
	serve := func() {
		t.Helper()
		p := pulse(t, pulseBinary, env)
		if status := admit(t, p, project, "too many"); status == http.StatusOK {
			t.Error("the limit was exceeded")
		}
		if status := admit(t, p, project, "p1"); status != http.StatusOK {
			t.Errorf("a participant with a slot: status %d", status)
		}
		if err := p.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	run(78, "has not been migrated", "check")
	serve()
	if n := documentsOf(t, restored, formerSlots); n < before || documentsOf(t, restored, slots) > 0 {
		t.Errorf("%d documents under the former name, %d in the dump", n, before)
	}
	run(0, "ok", "check")
	run(0, "", "migrate")
	if n := documentsOf(t, restored, slots); n < before || documentsOf(t, restored, formerSlots) > 0 {
		t.Errorf("%d documents under the new name, %d in the dump", n, before)
	}
	run(0, "ok", "check")
	serve()
}
