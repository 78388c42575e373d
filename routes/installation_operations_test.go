package routes_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/handlers"
	"pulse-control-plane/models"
	"pulse-control-plane/services/audit"
)

// dead stores a dead event of a room that started.
func (s *server) dead(project string, n int) {
	s.t.Helper()
	now := s.clock.Now()
	if err := database.NewLiveKitEvents(s.engine).Insert(s.t.Context(), &models.LiveKitEvent{
		ID: fmt.Sprintf("EV_dead%d", n), Cluster: clusterKey, Event: models.EventRoomStarted, ProjectID: models.ProjectID(project),
		RoomName: "dead", RoomSID: fmt.Sprintf("RM_dead%d", n), RoomCreatedAt: now, CreatedAt: now, ReceivedAt: now,
		RoomKey: project + "_dead", Seq: int64(n), State: models.EventDead, Attempts: 10,
	}); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) operationsReport() handlers.OperationsReport {
	s.t.Helper()
	return read[handlers.OperationsReport](s.do(http.MethodGet, "/v1/operations", nil, asOperator()).want(http.StatusOK))
}

func TestTheOperatorSeesWaitingAndDeadWork(t *testing.T) {
	s := newServer(t)
	own := s.tenant("acme")
	before := s.operationsReport()
	if q := before.Inbox; q.Waiting != 0 || q.Dead != 0 || q.OldestAgeSeconds != nil {
		t.Errorf("an empty inbox is %+v", q)
	}
	s.dead(own.project, 1)
	session := models.UsageSession{ID: "PA_1", ProjectID: models.ProjectID(own.project), Subject: models.SubjectParticipant, RoomName: "hall"}
	v := models.EvictionOf(&session, models.EvictedByQuota, s.clock.Now().Add(-time.Minute))
	v.Attempts, v.DueAt = 10, s.clock.Now().Add(time.Minute)
	if err := database.NewEvictions(s.engine).Insert(t.Context(), &v); err != nil {
		t.Fatal(err)
	}
	got := s.operationsReport()
	if q := got.Inbox; q.Waiting != 0 || q.Dead != 1 || q.OldestAgeSeconds != nil {
		t.Errorf("the inbox is %+v", q)
	}
	if q := got.Evictions; q.Waiting != 1 || q.Dead != 1 || q.OldestAgeSeconds == nil || *q.OldestAgeSeconds != 60 {
		t.Errorf("the evictions are %+v", q)
	}
	if got.Backups.Enabled || got.Backups.LastSuccessAt != nil || got.ClockOffsetSeconds != 0 {
		t.Errorf("backups and clock are %+v", got)
	}
}

func TestTheOperatorRetriesDeadEventsAndTheTrailSaysSo(t *testing.T) {
	s := newServer(t)
	own := s.tenant("acme")
	before := len(s.trailOf(own.org))
	for n := range 5 {
		s.dead(own.project, n)
	}
	const retry = "/v1/operations/dead-events/retry"
	again := func(body any, want handlers.RetriedEvents) {
		t.Helper()
		if got := read[handlers.RetriedEvents](s.do(http.MethodPost, retry, body, asOperator()).want(http.StatusOK)); got != want {
			t.Errorf("%v: %+v, want %+v", body, got, want)
		}
	}
	again(map[string]any{"limit": 2}, handlers.RetriedEvents{Retried: 2, Remaining: 3})
	if q := s.operationsReport().Inbox; q.Waiting != 2 || q.Dead != 3 || q.OldestAgeSeconds == nil {
		t.Errorf("the inbox is %+v", q)
	}
	again(nil, handlers.RetriedEvents{Retried: 3})
	again(nil, handlers.RetriedEvents{})
	if _, err := s.InboxWorker.Work(t.Context()); err != nil {
		t.Fatal(err)
	}
	if q := s.operationsReport().Inbox; q.Waiting != 0 || q.Dead != 0 {
		t.Errorf("after they were processed the inbox is %+v", q)
	}
	sessions, err := database.NewUsageSessions(s.engine).Get(t.Context(), models.ProjectID(own.project), "RM_dead4")
	if err != nil || sessions.RoomName != "dead" {
		t.Errorf("a retried event was not processed: %+v, %v", sessions, err)
	}
	trail := read[handlers.List[audit.Line]](s.do(http.MethodGet, "/v1/audit-logs?org_id="+string(models.InstallationTrail), nil, asOperator()).want(http.StatusOK)).Items
	if len(trail) != 3 || trail[2].Action != "operations.dead_events_retried" || trail[2].Outcome != models.AuditSuccess || string(trail[2].After) != `{"limit":2}` {
		t.Errorf("the trail is %+v", trail)
	}
	if len(s.trailOf(own.org)) != before {
		t.Error("a tenant's trail has what the operator did to the installation")
	}
}

// A body that could not be read left nothing to process: retrying it ends it.
func TestRetryingAnUnreadableEventFinishesIt(t *testing.T) {
	s := newServer(t)
	now := s.clock.Now()
	if err := database.NewLiveKitEvents(s.engine).Insert(t.Context(), &models.LiveKitEvent{ID: "sha256:1", Cluster: clusterKey, Event: models.EventUnreadable,
		CreatedAt: now, ReceivedAt: now, RoomKey: clusterKey, State: models.EventDead}); err != nil {
		t.Fatal(err)
	}
	s.do(http.MethodPost, "/v1/operations/dead-events/retry", nil, asOperator()).want(http.StatusOK)
	if _, err := s.InboxWorker.Work(t.Context()); err != nil {
		t.Fatal(err)
	}
	if q := s.operationsReport().Inbox; q.Waiting != 0 || q.Dead != 0 {
		t.Errorf("the inbox is %+v", q)
	}
}
