package database_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database"
	"pulse-control-plane/database/embedded"
	"pulse-control-plane/database/testkit"
	"pulse-control-plane/models"
)

// countingEngine notes the largest list it was asked for.
type countingEngine struct {
	database.Engine
	asked, largest int64
}

func (e *countingEngine) Find(ctx context.Context, collection string, q database.Query, each func(bson.Raw) error) error {
	e.asked++
	e.largest = max(e.largest, q.Limit)
	return e.Engine.Find(ctx, collection, q, each)
}

func openCounting(t *testing.T) *countingEngine {
	t.Helper()
	return &countingEngine{Engine: testkit.Open(t, embedded.Options{})}
}

func insertAll(t *testing.T, e database.Engine, collection string, docs []any) {
	t.Helper()
	for len(docs) > 0 {
		batch := docs[:min(len(docs), database.MaxBatch)]
		docs = docs[len(batch):]
		if duplicates, err := e.InsertMany(t.Context(), collection, batch); err != nil || len(duplicates) > 0 {
			t.Fatalf("%d duplicates: %v", len(duplicates), err)
		}
	}
}

func TestUnboundedCollectionsAreReadInPagesThatSeeEveryDocumentOnce(t *testing.T) {
	const project, org = models.ProjectID("prj_1"), models.OrganizationID("org_1")
	start := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	n := 2*database.MaxBatch + 1
	e := openCounting(t)
	var open, ended, slots, projects []any
	for i := range n {
		s := models.UsageSession{ID: fmt.Sprintf("open_%06d", i), ProjectID: project, Subject: models.SubjectParticipant, Open: true, JoinedAt: start}
		open = append(open, &s)
		left := s
		left.ID, left.Open = fmt.Sprintf("left_%06d", i), false
		// Many leave in the same moment, so that a page ends between equal times.
		left.LeftAt = start.Add(time.Duration(1+i/(n/3)) * time.Second)
		ended = append(ended, &left)
		slots = append(slots, &models.Slot{ID: fmt.Sprintf("p_%06d", i), Owner: string(project), Quota: models.QuotaRooms,
			Number: int64(i), Holder: fmt.Sprintf("holder_%06d", i)})
		projects = append(projects, bson.D{{Key: "_id", Value: fmt.Sprintf("prj_%06d", i)}, {Key: "org_id", Value: string(org)},
			{Key: "pulse_api_key", Value: fmt.Sprintf("key_%06d", i)}, {Key: "is_deleted", Value: false}})
	}
	insertAll(t, e, "usage_sessions", open)
	insertAll(t, e, "usage_sessions", ended)
	insertAll(t, e, "slots", slots)
	insertAll(t, e, "projects", projects)

	const all = 2_000_000
	sessions := database.NewUsageSessions(e)
	for name, read := range map[string]func(limit int64, see func(string)) error{
		"open sessions": func(limit int64, see func(string)) error {
			return sessions.EachOpen(t.Context(), project, limit, func(s models.UsageSession) error { see(s.ID); return nil })
		},
		"ended sessions": func(limit int64, see func(string)) error {
			return sessions.EachEnded(t.Context(), project, start, start.Add(time.Minute), limit, func(s models.UsageSession) error { see(s.ID); return nil })
		},
		"slots": func(limit int64, see func(string)) error {
			return database.NewSlots(e).Each(t.Context(), string(project), models.QuotaRooms, limit, func(p models.Slot) error { see(p.ID); return nil })
		},
		"projects": func(limit int64, see func(string)) error {
			return database.NewProjects(e).OfOrganization(t.Context(), org, limit, func(id models.ProjectID) { see(string(id)) })
		},
	} {
		e.asked, e.largest = 0, 0
		seen := map[string]bool{}
		twice := 0
		err := read(all, func(id string) {
			if seen[id] {
				twice++
			}
			seen[id] = true
		})
		if err != nil || len(seen) != n || twice > 0 {
			t.Errorf("%s: saw %d of %d, %d of them twice: %v", name, len(seen), n, twice, err)
		}
		if e.largest > database.MaxBatch || e.asked != 3 {
			t.Errorf("%s: %d reads of at most %d documents; want 3 of %d", name, e.asked, e.largest, database.MaxBatch)
		}
		count := 0
		if err := read(database.MaxBatch+7, func(string) { count++ }); err != nil || count != database.MaxBatch+7 {
			t.Errorf("%s: saw %d with a limit of %d: %v", name, count, database.MaxBatch+7, err)
		}
	}
}
