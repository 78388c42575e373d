package routes_test

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"

	"pulse-control-plane/models"
)

// replicas are so many processes over one database.
func replicas(t *testing.T, n int, choose ...func(*setup)) []*server {
	t.Helper()
	all := []*server{newServer(t, append(choose, func(o *setup) { o.replica = true })...)}
	for len(all) < n {
		all = append(all, all[0].another())
	}
	return all
}

// burst asks all of them at once and gives how many were answered 201.
func burst(servers []*server, n int, ask func(s *server, n int) *answer) (made int) {
	var all sync.WaitGroup
	answers := make([]*answer, n)
	for i := range answers {
		all.Go(func() { answers[i] = ask(servers[i%len(servers)], i) })
	}
	all.Wait()
	for _, a := range answers {
		if a.status == http.StatusCreated {
			made++
			continue
		}
		a.refused(http.StatusPaymentRequired, "quota_exceeded")
	}
	return made
}

func newcomers(mine tenant) func(*server, int) *answer {
	return func(s *server, n int) *answer { return s.ask(mine, "daily", fmt.Sprint("new", n)) }
}

func TestReplicasCountParticipantsWhoJoinedBeforeTheLimit(t *testing.T) {
	all := replicas(t, 3)
	mine := all[0].tenant("mine")
	for n := range 8 {
		all[0].joins(mine, "daily", fmt.Sprint("old", n))
	}
	all[0].patch(mine.project, map[string]any{"limits": map[string]any{"concurrent_participants": 10}})
	all[0].clock.Advance(6 * time.Second) // other processes know of it by then
	if let := burst(all, 30, newcomers(mine)); let != 2 {
		t.Errorf("%d were let in beside 8 of 10", let)
	}
}

func TestReplicasCountSlotsBeyondALoweredLimit(t *testing.T) {
	all := replicas(t, 3)
	mine := all[0].limited("mine", map[string]any{"concurrent_participants": 100})
	for n := range 6 {
		all[n%3].ask(mine, "daily", fmt.Sprint("old", n)).want(http.StatusCreated)
	}
	all[0].patch(mine.project, map[string]any{"limits": map[string]any{"concurrent_participants": 10}})
	exchangeChanges(all...)
	if let := burst(all, 30, newcomers(mine)); let != 4 {
		t.Errorf("%d were let in beside 6 of 10", let)
	}
}

func TestReplicasCountExistingProjects(t *testing.T) {
	all := replicas(t, 3, func(o *setup) { o.plans = models.PlanQuotas{models.PlanFree: {Projects: 5}} })
	mine := all[0].signUp("mine")
	var old string
	for n := range 4 {
		old = string(all[0].newProject(mine, fmt.Sprint("old", n)).Project.ID)
		all[0].clock.Advance(2 * time.Minute)
	}
	make := func(s *server, n int) *answer {
		return s.do(http.MethodPost, "/v1/projects", map[string]any{"name": fmt.Sprint("new", n)}, mine.asPerson)
	}
	if made := burst(all, 12, make); made != 1 {
		t.Errorf("%d were made beside 4 of 5", made)
	}
	all[0].do(http.MethodDelete, "/v1/projects/"+old, nil, mine.asPerson).want(http.StatusNoContent)
	if made := burst(all, 6, make); made != 1 {
		t.Errorf("%d were made for one that was deleted", made)
	}
}
