package composition_test

import (
	"context"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/auth"
	"pulse-control-plane/utils/hashing"
	"pulse-control-plane/utils/secret"
)

// peppered is a process with a list of peppers.
func (w *keyWorld) peppered(peppers ...string) *auth.Keys {
	w.t.Helper()
	var older []secret.Value
	for _, p := range peppers[1:] {
		older = append(older, secret.New(p))
	}
	var err error
	if w.hasher, err = hashing.NewHasher(secret.New(peppers[0]), 4, older...); err != nil {
		w.t.Fatal(err)
	}
	return w.process(true)
}

func (w *keyWorld) stored() models.APIKey {
	w.t.Helper()
	k, err := database.NewAPIKeys(w.engine).ByKey(w.t.Context(), w.pair.Key)
	if err != nil {
		w.t.Fatal(err)
	}
	return k
}

func (w *keyWorld) authenticates(a *auth.Keys) error {
	_, err := a.Server(w.t.Context(), w.pair.Key, w.secret, "203.0.113.1")
	return err
}

func TestAVerifiedSecretIsHashedWithTheFirstPepperAndNeedsNoOtherAfterwards(t *testing.T) {
	w := newKeyWorld(t, nil, models.ScopeAll)
	if err := w.authenticates(w.peppered("fresh")); !models.HasCode(err, "invalid_api_key") {
		t.Fatalf("without the pepper in the hash: %v", err)
	}
	if before := w.stored(); before.PepperID != secret.KeyID(secret.New("pepper")) {
		t.Fatalf("the hash names %q", before.PepperID)
	}
	both := w.peppered("fresh", "pepper")
	for range 2 { // also after the cached key was dropped
		if err := w.authenticates(both); err != nil {
			t.Fatal(err)
		}
	}
	if after := w.stored(); after.PepperID != secret.KeyID(secret.New("fresh")) || after.RehashedAt == nil {
		t.Errorf("the hash names %q afterwards", after.PepperID)
	}
	if err := w.authenticates(w.peppered("fresh")); err != nil {
		t.Errorf("without the old pepper: %v", err)
	}
}

func TestAHashOlderThanPepperIDsGetsOneWhenItIsVerified(t *testing.T) {
	w := newKeyWorld(t, nil, models.ScopeAll)
	if _, err := w.engine.Update(t.Context(), "api_keys", bson.D{{Key: "_id", Value: string(w.pair.ID)}},
		bson.D{{Key: "$unset", Value: bson.D{{Key: "pepper_id", Value: ""}}}}, database.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := w.authenticates(w.peppered("fresh", "other", "pepper")); err != nil {
		t.Fatal(err)
	}
	if after := w.stored(); after.PepperID != secret.KeyID(secret.New("fresh")) {
		t.Errorf("the hash names %q", after.PepperID)
	}
}

// stalled never answers an update of an API key.
type stalled struct{ database.Engine }

func (s stalled) Update(ctx context.Context, collection string, filter, update bson.D, o database.UpdateOptions) (int64, error) {
	if collection != "api_keys" {
		return s.Engine.Update(ctx, collection, filter, update, o)
	}
	<-ctx.Done()
	return 0, models.Unavailable(ctx.Err())
}

func TestAVerifiedRequestDoesNotWaitLongForItsSecretToBeHashedAgain(t *testing.T) {
	w := newKeyWorld(t, nil, models.ScopeAll)
	w.engine = stalled{w.engine}
	began := time.Now()
	if err := w.authenticates(w.peppered("fresh", "pepper")); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 3*time.Second { // the lookup alone may take 5 s
		t.Errorf("it took %v", took)
	}
}

// counted counts updates of API keys.
type counted struct {
	database.Engine
	updates int
}

func (c *counted) Update(ctx context.Context, collection string, filter, update bson.D, o database.UpdateOptions) (int64, error) {
	if collection == "api_keys" {
		c.updates++
	}
	return c.Engine.Update(ctx, collection, filter, update, o)
}

func TestASecretThatWasHashedAgainLatelyIsNotSentToTheDatabase(t *testing.T) {
	w := newKeyWorld(t, nil, models.ScopeAll)
	if err := w.authenticates(w.peppered("fresh", "pepper")); err != nil {
		t.Fatal(err)
	}
	c := &counted{Engine: w.engine}
	w.engine = c
	for range 3 { // each process verifies the secret anew
		if err := w.authenticates(w.peppered("pepper", "fresh")); err != nil {
			t.Fatal(err)
		}
	}
	if c.updates > 0 {
		t.Errorf("%d updates", c.updates)
	}
}

func TestReplicasThatListThePeppersInDifferentOrdersDoNotRehashInTurns(t *testing.T) {
	w := newKeyWorld(t, nil, models.ScopeAll)
	fresh, old := w.peppered("fresh", "pepper"), w.peppered("pepper", "fresh")
	if err := w.authenticates(fresh); err != nil {
		t.Fatal(err)
	}
	first := w.stored()
	if err := w.authenticates(old); err != nil {
		t.Fatal(err)
	}
	if after := w.stored(); after.SecretHash != first.SecretHash {
		t.Error("the key was rehashed again at once")
	}
	w.clock.now = w.clock.now.Add(models.RehashInterval + time.Second)
	if err := w.authenticates(w.peppered("pepper", "fresh")); err != nil {
		t.Fatal(err)
	}
	if after := w.stored(); after.PepperID == first.PepperID {
		t.Error("the key is never rehashed again")
	}
}
