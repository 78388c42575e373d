package routes_test

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"pulse-control-plane/models"
)

func TestALimitSetAgainCountsParticipantsWhoJoinedWithoutIt(t *testing.T) {
	s := newServer(t)
	mine := s.limited("mine", map[string]any{"concurrent_participants": 2})
	limit := func(n int) {
		s.patch(mine.project, map[string]any{"limits": map[string]any{"concurrent_participants": n}})
	}
	joined := s.clock.Now()
	s.ask(mine, "daily", "ann").want(http.StatusCreated)
	s.joins(mine, "daily", "ann")
	limit(0)
	for _, name := range []string{"bob", "cyd"} {
		s.ask(mine, "daily", name).want(http.StatusCreated)
		s.joins(mine, "daily", name)
	}
	limit(2)
	s.ask(mine, "daily", "dan").overQuota(models.QuotaConcurrentParticipants, 2, 3)
	s.leaves(mine, "daily", "ann", joined)
	s.ask(mine, "daily", "dan").overQuota(models.QuotaConcurrentParticipants, 2, 2)
	limit(3)
	s.ask(mine, "daily", "dan").want(http.StatusCreated)
	if len(s.cluster.removed) > 0 {
		t.Errorf("removed %v", s.cluster.removed)
	}
}

func TestALoweredLimitHoldsForEveryReplica(t *testing.T) {
	s := newServer(t, func(o *setup) { o.replica = true })
	mine := s.limited("mine", map[string]any{"concurrent_participants": 10})
	other := s.another()
	s.ask(mine, "daily", "p1").want(http.StatusCreated)
	for n := 2; n <= 10; n++ {
		other.ask(mine, "daily", fmt.Sprint("p", n)).want(http.StatusCreated)
	}
	for n := 2; n <= 3; n++ {
		other.do(http.MethodPost, "/v1/tokens/revoke", map[string]any{"participant_identity": fmt.Sprint("p", n)}, mine.asOwn).want(http.StatusOK)
	}
	s.patch(mine.project, map[string]any{"limits": map[string]any{"concurrent_participants": 3}})
	exchangeChanges(s, other)
	for _, replica := range []*server{s, other} {
		replica.ask(mine, "daily", "x").overQuota(models.QuotaConcurrentParticipants, 3, 8)
	}
}

func TestARequestThatAQuotaRefusedRunsAgainUnderItsIdempotencyKey(t *testing.T) {
	s := newServer(t, func(o *setup) { o.plans = models.PlanQuotas{models.PlanFree: {Projects: 2}} })
	mine := s.tenant("mine")
	second := s.newProject(mine, "second")
	again := func() *answer {
		return s.do(http.MethodPost, "/v1/projects", map[string]any{"name": "third"}, mine.asPerson, header("Idempotency-Key", "one"))
	}
	again().overQuota(models.QuotaProjects, 2, 2)
	s.do(http.MethodDelete, "/v1/projects/"+string(second.Project.ID), nil, mine.asPerson).want(http.StatusNoContent)
	again().want(http.StatusCreated)
	if a := again().want(http.StatusCreated); a.header.Get("Idempotent-Replayed") != "true" {
		t.Error("what was answered once was done again")
	}
}

func TestEveryKindOfParticipantTakesASlot(t *testing.T) {
	s := newServer(t)
	mine := s.limited("mine", map[string]any{"concurrent_participants": 3})
	for _, grant := range []string{"agent", "recorder", "hidden"} {
		s.ask(mine, "daily", grant, map[string]any{"grants": map[string]any{grant: true}}).want(http.StatusCreated)
	}
	s.ask(mine, "daily", "ann").overQuota(models.QuotaConcurrentParticipants, 3, 3)
	now := s.clock.Now()
	for identity, participant := range map[string]map[string]any{
		"agent": {"kind": "AGENT"}, "recorder": {"permission": map[string]any{"recorder": true}},
		"hidden": {"permission": map[string]any{"hidden": true}}, "phone": {"kind": "SIP"}, "new": {"kind": "HOLOGRAM"},
		// These are LiveKit's own, and take none.
		"EG_1": {"kind": "EGRESS"}, "IN_1": {"kind": "INGRESS"},
	} {
		participant["sid"], participant["identity"], participant["joinedAtMs"] = "PA_"+identity, identity, now.UnixMilli()
		s.webhook(map[string]any{"event": "participant_joined", "id": "EV_" + identity, "createdAt": now.Unix(), "participant": participant,
			"room": map[string]any{"sid": "RM_daily", "name": mine.project + "_daily", "creationTimeMs": now.UnixMilli()}}).want(http.StatusOK)
	}
	s.work()
	removed := slices.Sorted(slices.Values(s.cluster.removed))
	if want := []string{mine.project + "_daily new", mine.project + "_daily phone"}; !slices.Equal(removed, want) {
		t.Errorf("removed %v, not %v", removed, want)
	}
}

func TestAgentsWithALimitOfTheirOwnCountInNoOther(t *testing.T) {
	s := newServer(t)
	mine := s.limited("mine", map[string]any{"concurrent_participants": 1, "concurrent_agents": 2})
	agent := map[string]any{"grants": map[string]any{"agent": true}}
	s.ask(mine, "daily", "ann").want(http.StatusCreated)
	for n := range 2 {
		s.ask(mine, "daily", fmt.Sprint("agent-", n), agent).want(http.StatusCreated)
	}
	s.ask(mine, "daily", "agent-2", agent).overQuota(models.QuotaConcurrentAgents, 2, 2)
	s.ask(mine, "daily", "bob").overQuota(models.QuotaConcurrentParticipants, 1, 1)
	if q := s.quota(mine).Quotas; q.ConcurrentAgents.Used != 2 || q.ConcurrentAgents.Reserved != 2 || q.ConcurrentParticipants.Used != 1 {
		t.Errorf("agents %+v, participants %+v", q.ConcurrentAgents, q.ConcurrentParticipants)
	}
}

func TestSettingALimitEvictsNoOneWhoWasAlreadyThere(t *testing.T) {
	s := newServer(t)
	mine := s.tenant("mine")
	joined := s.clock.Now()
	for _, room := range []string{"a", "b", "c"} {
		for _, n := range []string{"1", "2"} {
			s.joins(mine, room, room+n)
		}
	}
	s.patch(mine.project, map[string]any{"limits": map[string]any{"rooms": 2, "concurrent_participants": 2}})
	s.clock.Advance(time.Second)
	s.leaves(mine, "c", "c1", joined)
	if len(s.cluster.ended)+len(s.cluster.removed) > 0 {
		t.Errorf("ended %v, removed %v", s.cluster.ended, s.cluster.removed)
	}
	// A participant who joins now has none.
	s.joins(mine, "d", "d1")
	if len(s.cluster.ended) != 1 || len(s.cluster.removed) != 1 {
		t.Errorf("ended %v, removed %v", s.cluster.ended, s.cluster.removed)
	}
	// A room that finishes counts no longer, with all who were in it.
	for _, room := range []string{"a", "c", "d"} {
		s.liveKit(mine.project, room, joined, event{id: "EV_end_" + room, kind: "room_finished", at: s.clock.Now()})
	}
	if q := s.quota(mine).Quotas; q.Rooms.Used != 1 || q.ConcurrentParticipants.Used != 2 {
		t.Errorf("the report says %+v", q)
	}
	s.leaves(mine, "b", "b1", joined)
	s.ask(mine, "b", "b3").want(http.StatusCreated)
}

func TestAPlanLimitsEachProjectAndTheirNumber(t *testing.T) {
	s := newServer(t, func(o *setup) {
		o.plans = models.PlanQuotas{models.PlanFree: {ConcurrentParticipants: 1, Projects: 2}, models.PlanPro: {ConcurrentParticipants: 3}}
	})
	mine := s.tenant("mine")
	second := s.newProject(mine, "second")
	for _, project := range []tenant{mine, {asOwn: asServer(second.PulseAPIKey, second.PulseAPISecret)}} {
		s.ask(project, "daily", "ann").want(http.StatusCreated)
		s.ask(project, "daily", "bob").overQuota(models.QuotaConcurrentParticipants, 1, 1)
	}
	third := map[string]any{"name": "third"}
	s.do(http.MethodPost, "/v1/projects", third, mine.asPerson).overQuota(models.QuotaProjects, 2, 2)
	if q := s.quota(mine).Quotas.Projects; q.Used != 2 || *q.Limit != 2 {
		t.Errorf("the report says %+v", q)
	}
	// What the project has of its own goes before the plan, and a better plan before none.
	s.patch(mine.project, map[string]any{"limits": map[string]any{"concurrent_participants": 2}})
	s.ask(mine, "daily", "bob").want(http.StatusCreated)
	s.ask(mine, "daily", "cyd").overQuota(models.QuotaConcurrentParticipants, 2, 2)
	s.do(http.MethodPatch, "/v1/organizations/"+mine.org, map[string]any{"plan": "pro"}, asOperator()).want(http.StatusOK)
	s.do(http.MethodPost, "/v1/projects", third, mine.asPerson).want(http.StatusCreated)
	s.patch(mine.project, map[string]any{"limits": map[string]any{"concurrent_participants": 0}})
	s.ask(mine, "daily", "cyd").want(http.StatusCreated)
	s.ask(mine, "daily", "dan").overQuota(models.QuotaConcurrentParticipants, 3, 3)
	// A project that is gone makes room for another.
	s.do(http.MethodPatch, "/v1/organizations/"+mine.org, map[string]any{"plan": "free"}, asOperator()).want(http.StatusOK)
	s.do(http.MethodPost, "/v1/projects", third, mine.asPerson).overQuota(models.QuotaProjects, 2, 3)
	for _, id := range []string{mine.project, string(second.Project.ID)} {
		s.do(http.MethodDelete, "/v1/projects/"+id, nil, mine.asPerson).want(http.StatusNoContent)
	}
	s.do(http.MethodPost, "/v1/projects", third, mine.asPerson).want(http.StatusCreated)
}

func TestAProjectThatWasNotCreatedHoldsNoSlot(t *testing.T) {
	s := newServer(t, func(o *setup) { o.plans = models.PlanQuotas{models.PlanFree: {Projects: 2}} })
	mine := s.tenant("mine")
	second := map[string]any{"name": "second"}
	s.crash.refuse("projects")
	s.do(http.MethodPost, "/v1/projects", second, mine.asPerson).refused(http.StatusServiceUnavailable, "service_unavailable")
	s.crash.refuse("")
	s.do(http.MethodPost, "/v1/projects", second, mine.asPerson).want(http.StatusCreated)
	s.do(http.MethodPost, "/v1/projects", second, mine.asPerson).overQuota(models.QuotaProjects, 2, 2)
}

func TestProjectsMadeAtTheSameTimeAreNoMoreThanThePlanAllows(t *testing.T) {
	s := newServer(t, func(o *setup) {
		o.plans, o.replica = models.PlanQuotas{models.PlanFree: {Projects: 5}}, true
	})
	mine := s.signUp("mine")
	other := s.another()
	var all sync.WaitGroup
	answers := make([]*answer, 20)
	for n := range answers {
		all.Go(func() {
			answers[n] = []*server{s, other}[n%2].do(http.MethodPost, "/v1/projects", map[string]any{"name": fmt.Sprint("p", n)}, mine.asPerson)
		})
	}
	all.Wait()
	made := 0
	for _, a := range answers {
		if a.status == http.StatusCreated {
			made++
			continue
		}
		a.refused(http.StatusPaymentRequired, "quota_exceeded")
	}
	if made != 5 {
		t.Errorf("%d projects were made", made)
	}
}

func TestAQuotaIsTheTenantsOwn(t *testing.T) {
	s := newServer(t)
	mine, other := s.limited("mine", map[string]any{"concurrent_participants": 1}), s.limited("other", map[string]any{"concurrent_participants": 1})
	s.ask(mine, "daily", "ann").want(http.StatusCreated)
	s.ask(other, "daily", "ann").want(http.StatusCreated)
	if q := s.quota(other); string(q.ProjectID) != other.project || len(q.Events) != 2 {
		t.Errorf("the report says %+v", q)
	}
	for _, caller := range []with{mine.asOwn, mine.asPerson} {
		s.do(http.MethodGet, "/v1/usage/quota?project_id="+other.project, nil, caller).refused(http.StatusNotFound, "not_found")
	}
	s.do(http.MethodGet, "/v1/usage/quota?project_id="+mine.project, nil, mine.asPerson).want(http.StatusOK)
	s.do(http.MethodGet, "/v1/usage/quota?project_id="+other.project, nil, asOperator()).want(http.StatusOK)
}
