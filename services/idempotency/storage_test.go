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
	return testkit.Must[*Store](t)(NewStore(database.NewIdempotencyKeys(engine), database.NewIdempotencyStorage(engine),
		bytes.Repeat([]byte("k"), 32), clock.Now)), clock
}

func key(kind models.CallerKind, project models.ProjectID) *models.Principal {
	return &models.Principal{Kind: kind, OrgID: "org_a", Project: &models.Project{ID: project}, KeyID: "key_a"}
}

// fill stores answers until the tenant may store no more, and tells how many
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
