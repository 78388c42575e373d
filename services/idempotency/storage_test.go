package idempotency

import (
	"bytes"
	"strconv"
	"testing"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/database/testkit"
	"pulse-control-plane/models"
)

func newStore(t *testing.T) (*Store, *testkit.Clock) {
	engine, clock := testkit.NewEngine(t), testkit.NewClock()
	return storeUnder(t, engine, clock, "k"), clock
}

// storeUnder is a process with a list of keys.
func storeUnder(t *testing.T, engine database.Engine, clock *testkit.Clock, keys ...string) *Store {
	fingerprints := make([][]byte, len(keys))
	for i, key := range keys {
		fingerprints[i] = []byte(key)
	}
	return testkit.Must[*Store](t)(NewStore(Config{
		Keys: database.NewIdempotencyKeys(engine), Storage: database.NewIdempotencyStorage(engine),
		Seed: testkit.Sealed(t, "idempotency_keys", "seed", keys...), Answer: testkit.Sealed(t, "idempotency_keys", "answer", keys...),
		Fingerprints: fingerprints, Now: clock.Now,
	}))
}

func TestAnswersAreReplayedAndAttemptsResumedWhileTheKeyRotates(t *testing.T) {
	engine, clock := testkit.NewEngine(t), testkit.NewClock()
	before, after := storeUnder(t, engine, clock, "old"), storeUnder(t, engine, clock, "new", "old")
	who, request := key(models.CallerServerKey, "prj_a"), Request{Key: "1", Route: "POST /x", Body: []byte("{}")}
	attempt, _, err := before.Begin(t.Context(), who, request)
	if err != nil {
		t.Fatal(err)
	}
	clock.Advance(models.IdempotencyLease) // that process died
	resumed, _, err := after.Begin(t.Context(), who, request)
	if err != nil || !bytes.Equal(resumed.Intent.Seed, attempt.Intent.Seed) {
		t.Fatalf("the attempt is not resumed: %v", err)
	}
	if err := resumed.Complete(t.Context(), Answer{Status: 201, Body: []byte("answer")}); err != nil {
		t.Fatal(err)
	}
	if _, first, err := after.Begin(t.Context(), who, request); err != nil || string(first.Body) != "answer" {
		t.Fatalf("the answer is not replayed: %v", err)
	}
	other := request
	other.Body = []byte("[]")
	if _, _, err := after.Begin(t.Context(), who, other); !models.HasCode(err, "idempotency_key_reused") {
		t.Errorf("another request: %v", err)
	}
}

func key(kind models.CallerKind, project models.ProjectID) *models.Principal {
	return &models.Principal{Kind: kind, OrgID: "org_a", Project: &models.Project{ID: project}, KeyID: "key_a"}
}

// fill stores answers until the tenant may store no more, and returns how many
// bytes that took.
func fill(t *testing.T, s *Store, who *models.Principal, answer []byte) (stored int) {
	t.Helper()
	for n := range 1000 {
		attempt, _, err := s.Begin(t.Context(), who, Request{Key: strconv.Itoa(n), Route: "POST /x"})
		if models.HasCode(err, "idempotency_storage_full") {
			return stored
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := attempt.Complete(t.Context(), Answer{Status: 201, Body: answer}); err != nil {
			t.Fatal(err)
		}
		stored += len(answer)
	}
	t.Fatal("it is never full")
	return 0
}

func TestATenantsAnswersTakeNoMoreThanTheyMayForADay(t *testing.T) {
	s, clock := newStore(t)
	answer := bytes.Repeat([]byte("a"), 256<<10)
	who := key(models.CallerServerKey, "prj_a")
	if stored := fill(t, s, who, answer); stored < 10<<20 || stored > models.MaxIdempotencyBytes+len(answer) {
		t.Fatalf("%d bytes were stored", stored)
	}
	// What is stored is still replayed, and others have room of their own.
	if _, first, err := s.Begin(t.Context(), who, Request{Key: "0", Route: "POST /x"}); err != nil || !bytes.Equal(first.Body, answer) {
		t.Fatalf("a replay: %v", err)
	}
	for _, other := range []*models.Principal{key(models.CallerServerKey, "prj_b"), key(models.CallerClientKey, "prj_a"), {}} {
		if _, _, err := s.Begin(t.Context(), other, Request{Key: "new", Route: "POST /x"}); err != nil {
			t.Fatalf("%s: %v", other.Kind, err)
		}
	}
	// A refused key is free again, once there is room.
	_, _, err := s.Begin(t.Context(), who, Request{Key: "new", Route: "POST /x"})
	testkit.WantCode(t, err, "idempotency_storage_full")
	clock.Advance(err.(*models.Error).RetryAfter - time.Second)
	_, _, again := s.Begin(t.Context(), who, Request{Key: "new", Route: "POST /x"})
	testkit.WantCode(t, again, "idempotency_storage_full")
	clock.Advance(time.Second)
	if attempt, _, err := s.Begin(t.Context(), who, Request{Key: "new", Route: "POST /x"}); err != nil || attempt == nil {
		t.Fatalf("when it was told to come back: %v", err)
	}
}

func TestClientGradeAndServerGradeHaveSeparateIdempotencyKeys(t *testing.T) {
	s, _ := newStore(t)
	r := Request{Key: "k", Route: "POST /x"}
	if _, _, err := s.Begin(t.Context(), key(models.CallerClientKey, "prj_a"), r); err != nil {
		t.Fatal(err)
	}
	if attempt, _, err := s.Begin(t.Context(), key(models.CallerServerKey, "prj_a"), r); err != nil || attempt == nil {
		t.Fatalf("got %v", err)
	}
}
