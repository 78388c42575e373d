package ferret_test

import (
	"context"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"pulse-control-plane/e2e/ferret"
)

func TestTheMongoDriverStoresAndFindsADocument(t *testing.T) {
	server := ferret.Start(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	client, err := mongo.Connect(options.Client().ApplyURI(server.URI))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := client.Disconnect(context.WithoutCancel(ctx)); err != nil {
			t.Error(err)
		}
	})
	if err := client.Ping(ctx, nil); err != nil {
		t.Fatalf("ping: %v", err)
	}
	projects := client.Database("pulse").Collection("projects")
	if _, err := projects.InsertOne(ctx, bson.M{"_id": "prj_1", "name": "first"}); err != nil {
		t.Fatalf("insert: %v", err)
	}
	_, err = projects.InsertOne(ctx, bson.M{"_id": "prj_1", "name": "second"})
	if !mongo.IsDuplicateKeyError(err) {
		t.Errorf("a second document with the same _id: %v, want a duplicate key error", err)
	}
	var found struct {
		Name string `bson:"name"`
	}
	if err := projects.FindOne(ctx, bson.M{"name": bson.M{"$in": bson.A{"first", "second"}}}).Decode(&found); err != nil {
		t.Fatalf("find: %v", err)
	}
	if found.Name != "first" {
		t.Errorf("found %q, want the stored document", found.Name)
	}
}
