package mongo_test

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"os"
	"testing"
	"time"

	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"pulse-control-plane/database/conformance"
	"pulse-control-plane/database/engine"
	"pulse-control-plane/database/mongo"
)

// TestTheMongoDBEngineConforms runs if TEST_MONGO_URI names a server on which
// it may create and drop databases "pulse_test_…".
func TestTheMongoDBEngineConforms(t *testing.T) {
	uri := os.Getenv("TEST_MONGO_URI")
	if uri == "" {
		t.Skip("TEST_MONGO_URI is not set: it names the MongoDB server to run the conformance suite on")
	}
	databases := map[*testing.T]string{}
	conformance.Run(t, func(t *testing.T, schema []engine.Collection) engine.Engine {
		name, again := databases[t]
		if !again {
			name = "pulse_test_" + randomName(t)
			databases[t] = name
			t.Cleanup(func() { dropDatabase(t, uri, name) })
		}
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		engine, err := mongo.Open(ctx, uri, name, schema, mongo.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return engine
	}, conformance.Skips{})
}

func randomName(t *testing.T) string {
	t.Helper()
	var b [8]byte
	if _, err := rand.Read(b[:]); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(b[:])
}

func dropDatabase(t *testing.T, uri, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	client, err := driver.Connect(options.Client().ApplyURI(uri))
	if err != nil {
		t.Error(err)
		return
	}
	if err := client.Database(name).Drop(ctx); err != nil {
		t.Errorf("drop %s: %v", name, err)
	}
	if err := client.Disconnect(ctx); err != nil {
		t.Error(err)
	}
}
