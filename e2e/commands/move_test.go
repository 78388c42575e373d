package commands_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database"
	"pulse-control-plane/database/embedded"
	"pulse-control-plane/e2e/mongowire"
	"pulse-control-plane/models"
)

// soak is the full size of the tests, by make soak.
func soak() bool { return os.Getenv("PULSE_SOAK") == "1" }

// stored makes an embedded database with that many documents.
func stored(t *testing.T, documents int) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "pulse.db")
	e, err := database.Open(t.Context(), database.Location{Path: path}, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	batches := map[string][]any{}
	flush := func(collection string) {
		if _, err := e.InsertMany(t.Context(), collection, batches[collection]); err != nil {
			t.Fatal(err)
		}
		batches[collection] = nil
	}
	for i := range documents {
		project := models.ProjectID(fmt.Sprintf("prj_%04d", i%50))
		collection, doc := "usage_metrics", any(models.UsageFact{ID: fmt.Sprintf("fact_%08d", i), ProjectID: project, Meter: models.MeterParticipantSeconds,
			Timestamp: now.Add(-time.Duration(i) * time.Second), Value: float64(i), SessionID: fmt.Sprint("PA_", i), RoomName: "hall", EventIDs: []string{fmt.Sprint("EV_", i)}})
		switch i % 4 {
		case 0:
			collection, doc = "usage_totals", models.UsageTotal{ID: fmt.Sprintf("total_%08d", i), ProjectID: project, Meter: models.MeterRoomSeconds, Window: models.WindowHour, Start: now, Value: float64(i)}
		case 1:
			collection, doc = "livekit_events", models.LiveKitEvent{ID: fmt.Sprintf("EV_%08d", i), Event: "participant_joined", ProjectID: project, RoomName: "hall", CreatedAt: now, ReceivedAt: now, Body: `{"event":"participant_joined"}`}
		}
		if batches[collection] = append(batches[collection], doc); len(batches[collection]) == database.MaxBatch {
			flush(collection)
		}
	}
	for collection := range batches {
		flush(collection)
	}
	if err := e.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	return path
}

// same compares every document of two databases, but those of the move and the schema's version.
func same(t *testing.T, a, b database.Engine) (documents int) {
	t.Helper()
	for _, c := range database.Schema() {
		if c.Name == "schema" {
			continue
		}
		for after := ""; ; {
			pages := [2][]bson.Raw{}
			for i, e := range []database.Engine{a, b} {
				if err := e.Find(t.Context(), c.Name, database.Query{
					Filter: bson.D{{Key: "_id", Value: bson.D{{Key: "$gt", Value: after}}}}, Sort: bson.D{{Key: "_id", Value: 1}}, Limit: database.MaxBatch,
				}, func(raw bson.Raw) error { pages[i] = append(pages[i], bytes.Clone(raw)); return nil }); err != nil {
					t.Fatal(err)
				}
			}
			if len(pages[0]) != len(pages[1]) {
				t.Fatalf("%s after %q: %d documents, and %d", c.Name, after, len(pages[0]), len(pages[1]))
			}
			for i := range pages[0] {
				if !bytes.Equal(pages[0][i], pages[1][i]) {
					t.Fatalf("%s: %s, and %s", c.Name, pages[0][i], pages[1][i])
				}
			}
			documents += len(pages[0])
			if len(pages[0]) < database.MaxBatch {
				break
			}
			after = pages[0][len(pages[0])-1].Lookup("_id").StringValue()
		}
	}
	return documents
}

func openFile(t *testing.T, path string) database.Engine {
	t.Helper()
	e, err := embedded.Open(t.Context(), path, database.Schema(), embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close(context.Background()) })
	return e
}

func TestADatabaseMovesToMongoDBAndBackWhateverKillsTheMove(t *testing.T) {
	documents := 20_000
	if soak() {
		documents = 200_000
	}
	path, server := stored(t, documents), mongowire.Start(t)
	uri := server.Line(t).URI
	untilItFinishes(t, []string{"MONGO_URI=sqlite://" + path}, 150*time.Millisecond, func() {}, "migrate", "--to", uri)

	// A finished move says so, and another one into the same database is refused.
	c, out := command(t, t.Context(), []string{"MONGO_URI=sqlite://" + path}, "migrate", "--to", uri)
	if err := c.Run(); err != nil || !bytes.Contains(out.Bytes(), []byte("finished before")) {
		t.Errorf("again: %v\n%s", err, out)
	}
	c, out = command(t, t.Context(), []string{"MONGO_URI=sqlite://" + stored(t, 10)}, "migrate", "--to", uri)
	if err := c.Run(); err == nil || c.ProcessState.ExitCode() != 78 || !bytes.Contains(out.Bytes(), []byte("is not empty")) {
		t.Errorf("a move into a database in use: %v\n%s", err, out)
	}
	source := openFile(t, path)
	if n := same(t, source, server.Engine()); n < documents {
		t.Errorf("%d documents of %d", n, documents)
	}

	back := filepath.Join(t.TempDir(), "back.db")
	untilItFinishes(t, []string{"MONGO_URI=" + uri}, 150*time.Millisecond, func() {}, "migrate", "--to", "sqlite://"+back)
	if n := same(t, source, openFile(t, back)); n < documents {
		t.Errorf("%d documents of %d came back", n, documents)
	}
}

// The limit, for a machine with two cores that does nothing else: make soak.
func TestAMillionDocumentsMoveInThreeMinutes(t *testing.T) {
	documents := 20_000
	if soak() {
		documents = 1_000_000
	}
	path, server := stored(t, documents), mongowire.Start(t)
	uri := server.Line(t).URI
	c, out := command(t, t.Context(), []string{"MONGO_URI=sqlite://" + path}, "migrate", "--to", uri)
	began := time.Now()
	if err := c.Run(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	took := time.Since(began)
	t.Logf("%d documents in %s\n%s", documents, took, out)
	if soak() && took > 3*time.Minute {
		t.Errorf("it took %s", took)
	}
}
