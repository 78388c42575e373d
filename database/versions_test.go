package database

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database/embedded"
	"pulse-control-plane/models"
)

func TestAChangeIsMadeAgainWhileOthersComeBetweenAndNeverRefusedForThem(t *testing.T) {
	for _, others := range []int{0, 1, 20} {
		tries := 0
		err := Reapply(t.Context(), func() error {
			if tries++; tries <= others {
				return ErrChangedSince()
			}
			return nil
		})
		if err != nil || tries != others+1 {
			t.Errorf("%d changes between: %d tries, %v", others, tries, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	err := Reapply(ctx, func() error { cancel(); return ErrChangedSince() })
	if !models.IsKind(err, models.KindUnavailable) {
		t.Errorf("without an end: %v, want unavailable", err)
	}
}

func testEngine(t *testing.T) Engine {
	t.Helper()
	e, err := embedded.Open(t.Context(), filepath.Join(t.TempDir(), "pulse.db"), Schema(), embedded.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = e.Close(context.WithoutCancel(t.Context())) })
	return e
}

func TestADocumentOfAnEarlierVersionIsChangedAsRead(t *testing.T) {
	e := testEngine(t)
	r, now := NewProjects(e), time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	made := models.Project{ID: "prj_1", OrgID: "org_1", Name: "first", PulseAPIKey: "k", CreatedAt: now, UpdatedAt: now}
	if err := r.Insert(t.Context(), &made); err != nil {
		t.Fatal(err)
	}
	tenant := models.TenantOf("org_1")
	read, err := r.Get(t.Context(), tenant, "prj_1")
	if err != nil || read.Version != 0 {
		t.Fatalf("version %d, %v", read.Version, err)
	}
	name := "second"
	changed, err := r.Update(t.Context(), tenant, &read, ProjectChange{Name: &name}, now)
	if err != nil || changed.Version != 1 {
		t.Fatalf("version %d, %v", changed.Version, err)
	}
	if _, err := r.Update(t.Context(), tenant, &read, ProjectChange{Name: &name}, now); !models.HasCode(err, ChangedSince) {
		t.Errorf("a change of what is there no more: %v", err)
	}
	// A replica of an earlier version raises no version, and sets updated_at.
	if _, err := e.Update(t.Context(), projects, bson.D{{Key: "_id", Value: "prj_1"}}, fields{{Key: "name", Value: "third"}, {Key: "updated_at", Value: now.Add(time.Second)}}.update(), UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Update(t.Context(), tenant, &changed, ProjectChange{Name: &name}, now); !models.HasCode(err, ChangedSince) {
		t.Errorf("a change of what a replica of an earlier version changed since: %v", err)
	}
}
