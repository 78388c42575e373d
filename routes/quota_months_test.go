package routes_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"pulse-control-plane/models"
)

// talks is a call of two people that lasted and goes on.
func (s *server) talks(t tenant, room string, d time.Duration) {
	s.t.Helper()
	now := s.clock.Now()
	var joins []event
	for n := range 2 {
		who := fmt.Sprint(room, n)
		joins = append(joins, event{id: "EV_" + who, kind: "participant_joined", participant: who, at: now.Add(-d), joined: now.Add(-d)})
	}
	s.liveKit(t.project, room, now.Add(-d), joins...)
}

// monthly is a server whose clock stands in the middle of a month.
func monthly(t *testing.T, grace time.Duration) *server {
	s := newServer(t, func(o *setup) { o.quotaGrace = grace })
	now := s.clock.Now()
	s.clock.Advance(time.Date(now.Year(), now.Month()+1, 15, 12, 0, 0, 0, time.UTC).Sub(now))
	return s
}

func TestAMonthThatIsUsedUpRefusesTokensAndEndsRoomsAfterTheGrace(t *testing.T) {
	s := monthly(t, 10*time.Minute)
	mine, other := s.limited("mine", map[string]any{"participant_minutes_per_month": 100}), s.tenant("other")
	enforce := func() {
		t.Helper()
		s.clock.Advance(6 * time.Second) // what is known of a month is some seconds old
		if err := s.Enforcer.Enforce(context.Background()); err != nil {
			t.Fatal(err)
		}
		s.work()
	}
	s.talks(mine, "daily", 45*time.Minute)
	s.talks(other, "daily", 45*time.Minute)
	s.ask(mine, "daily", "ann").want(http.StatusCreated)
	enforce()
	s.clock.Advance(5 * time.Minute)
	enforce()
	if report := s.quota(mine); report.Quotas.ParticipantMinutes.Used < 100 || len(s.cluster.ended) > 0 {
		t.Fatalf("%+v, ended %v", report, s.cluster.ended)
	}
	refused := s.ask(mine, "daily", "ann").refused(http.StatusPaymentRequired, "quota_exceeded").problem()
	month := models.WindowMonth.Start(s.clock.Now())
	if refused.Quota != models.QuotaParticipantMinutes || refused.Limit != 100 || refused.Used < 100 || refused.Used > 101 ||
		refused.Reset == nil || !refused.Reset.Equal(models.WindowMonth.Next(month)) {
		t.Errorf("the refusal says %+v", refused)
	}
	agent := map[string]any{"grants": map[string]any{"agent": true}}
	s.ask(mine, "daily", "agent", agent).refused(http.StatusPaymentRequired, "quota_exceeded")
	s.patch(mine.project, map[string]any{"limits": map[string]any{"concurrent_agents": 1}})
	s.ask(mine, "daily", "agent", agent).want(http.StatusCreated)
	s.ask(other, "daily", "ann").want(http.StatusCreated)
	s.clock.Advance(9 * time.Minute)
	enforce()
	if len(s.cluster.ended) > 0 {
		t.Errorf("ended %v within the grace", s.cluster.ended)
	}
	s.clock.Advance(time.Minute)
	s.cluster.away = true
	enforce()
	s.cluster.away = false
	enforce()
	if want := []string{mine.project + "_daily"}; !slices.Equal(s.cluster.ended, want) {
		t.Errorf("ended %v", s.cluster.ended)
	}
	s.clock.Advance(models.WindowMonth.Next(month).Sub(s.clock.Now()))
	now := s.clock.Now()
	s.liveKit(mine.project, "daily", now, event{id: "EV_last", kind: "room_finished", at: now})
	s.ask(mine, "daily", "ann").want(http.StatusCreated)
}

func TestALimitThatIsSetBackHasItsGraceAgain(t *testing.T) {
	s := monthly(t, time.Hour)
	limit := func(minutes int) map[string]any { return map[string]any{"participant_minutes_per_month": minutes} }
	mine := s.limited("mine", limit(100))
	enforce := func(after time.Duration) {
		t.Helper()
		s.clock.Advance(after)
		if err := s.Enforcer.Enforce(context.Background()); err != nil {
			t.Fatal(err)
		}
		s.work()
	}
	s.talks(mine, "daily", time.Hour)
	enforce(6 * time.Second)
	s.patch(mine.project, map[string]any{"limits": limit(100_000)})
	enforce(24 * time.Hour)
	s.patch(mine.project, map[string]any{"limits": limit(100)})
	enforce(59 * time.Minute)
	if len(s.cluster.ended) > 0 {
		t.Errorf("ended %v within the grace", s.cluster.ended)
	}
	enforce(time.Minute)
	if len(s.cluster.ended) != 1 {
		t.Errorf("ended %v", s.cluster.ended)
	}
}

func TestEgressMinutesThatAreUsedUpStopTheEgress(t *testing.T) {
	s := monthly(t, 0)
	mine := s.limited("mine", map[string]any{"egress_minutes_per_month": 30})
	began := s.clock.Now().Add(-29 * time.Minute)
	s.webhook(map[string]any{"event": "egress_started", "id": "EV_eg", "createdAt": fmt.Sprint(began.Unix()), "egressInfo": map[string]any{
		"egressId": "EG_1", "roomName": mine.project + "_daily", "roomId": "RM_1", "startedAt": fmt.Sprint(began.UnixNano())}}).want(http.StatusOK)
	s.work()
	for minute, want := range []int{0, 1} {
		if err := s.Enforcer.Enforce(context.Background()); err != nil {
			t.Fatal(err)
		}
		s.work()
		if len(s.cluster.ended) != want || want == 1 && s.cluster.ended[0] != "EG_1" {
			t.Errorf("after %d minutes ended %v", 29+minute, s.cluster.ended)
		}
		s.clock.Advance(time.Minute)
	}
	s.ask(mine, "daily", "ann").want(http.StatusCreated) // who records nothing
}

func TestEachThresholdOfAQuotaIsReportedOncePerPeriod(t *testing.T) {
	s := monthly(t, time.Hour)
	mine := s.limited("mine", map[string]any{"concurrent_participants": 5, "participant_minutes_per_month": 100})
	told := func(want ...string) {
		t.Helper()
		var got []string
		for _, e := range s.quota(mine).Events {
			got = append(got, fmt.Sprint(e.Type, " ", e.Quota, " ", e.Percent, " of ", e.Limit))
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("told of %q, want %q", got, want)
		}
	}
	short := map[string]any{"ttl_seconds": 30}
	for n := range 3 {
		s.ask(mine, "daily", fmt.Sprint("p", n), short).want(http.StatusCreated)
	}
	told()
	s.ask(mine, "daily", "p3", short).want(http.StatusCreated)
	told("quota.warning concurrent_participants 80 of 5")
	s.ask(mine, "daily", "p4", short).want(http.StatusCreated)
	people := []string{"quota.warning concurrent_participants 80 of 5", "quota.exceeded concurrent_participants 100 of 5"}
	told(people...)
	s.ask(mine, "daily", "p5", short).refused(http.StatusPaymentRequired, "quota_exceeded")
	s.another().ask(mine, "daily", "p5", short).refused(http.StatusPaymentRequired, "quota_exceeded")
	told(people...)

	s.talks(mine, "daily", 41*time.Minute)
	s.clock.Advance(6 * time.Second) // what is known of a month is some seconds old
	for range 3 {
		if err := s.Enforcer.Enforce(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	told(append(people, "quota.warning participant_minutes_per_month 80 of 100")...)
	s.clock.Advance(10 * time.Minute)
	for range 3 {
		if err := s.Enforcer.Enforce(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	told(append(people, "quota.warning participant_minutes_per_month 80 of 100", "quota.exceeded participant_minutes_per_month 100 of 100")...)
}
