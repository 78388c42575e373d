package routes_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
)

// manyProjects stores further projects of an organization, without keys.
func (s *server) manyProjects(t tenant, n int) { s.t.Helper(); s.manyProjectsFrom(t, 0, n) }

// manyProjectsFrom is manyProjects with numbers from another one on.
func (s *server) manyProjectsFrom(t tenant, first, n int) {
	s.t.Helper()
	docs := make([]any, n)
	for i := range docs {
		docs[i] = &models.Project{ID: models.ProjectID(fmt.Sprintf("prj_0199c0de-0000-7000-8000-%012d", first+i)), OrgID: models.OrganizationID(t.org),
			Name: fmt.Sprint("p", i), NameKey: fmt.Sprint("p", i), PulseAPIKey: fmt.Sprint("none ", first+i), CreatedAt: s.clock.Now(), UpdatedAt: s.clock.Now()}
	}
	for len(docs) > 0 {
		batch := docs[:min(len(docs), database.MaxBatch)]
		docs = docs[len(batch):]
		if duplicates, err := s.engine.InsertMany(s.t.Context(), "projects", batch); err != nil || len(duplicates) > 0 {
			s.t.Fatal(duplicates, err)
		}
	}
}

// aliveProjects counts the projects of a tenant that are not deleted.
func (s *server) aliveProjects(t tenant) int64 {
	s.t.Helper()
	n, err := s.engine.Count(s.t.Context(), "projects", bson.D{{Key: "org_id", Value: t.org}, {Key: "is_deleted", Value: false}}, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

// deletions gives how often the trail says that each project was deleted, and by whom.
func (s *server) deletions(t tenant) (times map[string]int, actors map[string]int) {
	s.t.Helper()
	times, actors = map[string]int{}, map[string]int{}
	if err := s.engine.Find(s.t.Context(), "audit_logs", database.Query{Filter: bson.D{{Key: "org_id", Value: t.org}, {Key: "action", Value: "project.deleted"}}, Limit: 100_000},
		func(raw bson.Raw) error {
			if raw.Lookup("outcome").StringValue() == string(models.AuditSuccess) {
				times[raw.Lookup("target", "id").StringValue()]++
			}
			actors[raw.Lookup("actor", "kind").StringValue()+" "+raw.Lookup("actor", "id").StringValue()]++
			return nil
		}); err != nil {
		s.t.Fatal(err)
	}
	return times, actors
}

func TestDeletingAnOrganizationWithManyProjectsWritesABoundedNumberOfTimes(t *testing.T) {
	var writes [2]int64
	for i, projects := range []int{300, 900} {
		s := newServer(t)
		own := s.tenant("acme")
		s.manyProjects(own, projects)
		before := s.count("audit_logs", "", "")
		s.do(http.MethodDelete, "/v1/organizations/"+own.org, nil, own.asPerson).want(http.StatusNoContent)
		writes[i] = s.count("audit_logs", "", "") - before

		// The rest is there, and works no more.
		if left := s.aliveProjects(own); left < int64(projects-200) {
			t.Errorf("%d of %d projects are left", left, projects)
		}
		s.do(http.MethodPost, "/v1/tokens/create", nil, own.asKey).refused(http.StatusUnauthorized, "invalid_api_key")
		s.do(http.MethodGet, "/v1/projects", nil, own.asPerson).refused(http.StatusUnauthorized, "invalid_token")
		s.do(http.MethodPost, "/v1/auth/login", map[string]any{"email": own.email, "password": password}).refused(http.StatusUnauthorized, "invalid_credentials")
		s.signUp("acme") // the address is free
		s.do(http.MethodDelete, "/v1/organizations/"+own.org, nil, asOperator()).refused(http.StatusNotFound, "not_found")

		for pass := 0; ; pass++ {
			more, err := s.Organizations.FinishDeletions(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if more == 0 {
				break
			}
			if pass > 20 {
				t.Fatal("it does not end")
			}
		}
		if left := s.aliveProjects(own); left > 0 {
			t.Errorf("%d projects are left", left)
		}
		times, actors := s.deletions(own)
		if len(times) != projects+1 || len(actors) != 1 || actors["person "+own.user] != projects+1 {
			t.Errorf("%d deletions in the trail by %v; want %d by the owner", len(times), actors, projects+1)
		}

		// A project that a slow request made meanwhile is deleted too; then nothing is left to do.
		s.manyProjectsFrom(own, projects, 1)
		s.finish()
		if left := s.aliveProjects(own); left > 0 {
			t.Errorf("%d projects of a late request are left", left)
		}
		s.clock.Advance(3 * time.Minute)
		s.finish()
		if org := s.document("organizations", own.org); org.Lookup("deletion").Type != 0 {
			t.Errorf("the deletion is still pending: %s", org)
		}
	}
	if writes[0] != writes[1] {
		t.Errorf("the request wrote %d entries for 300 projects and %d for 900", writes[0], writes[1])
	}
}

func TestADeletionOfAnOrganizationThatDiesAnywhereIsFinishedByAnotherProcess(t *testing.T) {
	const projects = 3
	refused := 0
	for _, at := range []struct {
		collection string
		upTo       int
	}{{"organizations", 1}, {"sessions", 1}, {"users", 1}, {"projects", 3}, {"audit_logs", 6}} {
		for nth := 1; nth <= at.upTo; nth++ {
			collection := at.collection
			t.Run(fmt.Sprint(collection, nth), func(t *testing.T) {
				s := newServer(t, func(o *setup) { o.replica = true })
				own := s.tenant("acme")
				s.manyProjects(own, projects)
				s.crash.dieBefore(collection, nth)
				status := s.do(http.MethodDelete, "/v1/organizations/"+own.org, nil, own.asPerson).status
				s.crash.revive()

				other := s.another()
				switch org := s.document("organizations", own.org); {
				case !org.Lookup("is_deleted").Boolean(): // refused, with no change
					refused++
					if left := s.aliveProjects(own); status == http.StatusNoContent || left != projects+1 {
						t.Errorf("status %d, %d projects are left; want all", status, left)
					}
					other.do(http.MethodPost, "/v1/tokens/create", nil, own.asKey).want(http.StatusCreated)
					other.do(http.MethodDelete, "/v1/organizations/"+own.org, nil, own.asPerson).want(http.StatusNoContent)
				case other.do(http.MethodPost, "/v1/tokens/create", nil, own.asKey).status != http.StatusUnauthorized:
					t.Error("a key of the deleted organization works")
				}
				other.runWorkers(15*time.Second, func() bool {
					n := 0
					if err := s.engine.Find(t.Context(), "events", database.Query{Limit: 1000}, func(raw bson.Raw) error {
						if strings.Contains(raw.String(), `"project.deleted"`) {
							n++
						}
						return nil
					}); err != nil {
						t.Fatal(err)
					}
					if n > projects+1 {
						t.Errorf("%d events of %d deletions", n, projects+1)
					}
					return n >= projects+1 && s.aliveProjects(own) == 0
				}, "deletions", "own_events", "own_events_sweep")
				times, _ := s.deletions(own)
				for id, n := range times {
					if n > 1 {
						t.Errorf("project %s was deleted %d times", id, n)
					}
				}
				other.do(http.MethodPost, "/v1/auth/login", map[string]any{"email": own.email, "password": password}).refused(http.StatusUnauthorized, "invalid_credentials")
				other.signUp("acme")

				s.clock.Advance(3 * time.Minute)
				other.finish()
				if org := s.document("organizations", own.org); org.Lookup("deletion").Type != 0 {
					t.Errorf("the deletion is still pending: %s", org)
				}
			})
		}
	}
	if refused == 0 {
		t.Error("no request died before its one write")
	}
}

func (s *server) finish() {
	s.t.Helper()
	if _, err := s.Organizations.FinishDeletions(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) document(collection, id string) bson.Raw {
	s.t.Helper()
	var out bson.Raw
	if err := s.engine.FindOne(s.t.Context(), collection, database.Query{Filter: bson.D{{Key: "_id", Value: id}}}, &out); err != nil {
		s.t.Fatal(err)
	}
	return out
}

// runWorkers runs some workers until a condition holds, and moves the clock meanwhile.
func (s *server) runWorkers(within time.Duration, holds func() bool, names ...string) {
	s.t.Helper()
	ctx, stop := context.WithCancel(s.t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	found := 0
	for _, w := range s.Workers() {
		for _, name := range names {
			if w.Name == name {
				found++
				running.Go(func() { _ = w.Run(ctx) })
			}
		}
	}
	if found != len(names) {
		s.t.Fatalf("%d of the workers %v", found, names)
	}
	for end := time.Now().Add(within); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("not within %s", within)
		}
		s.clock.Advance(time.Second)
	}
}
