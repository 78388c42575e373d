package routes_test

import (
	"context"
	"net/http"
	"slices"
	"testing"
	"time"

	"pulse-control-plane/models"
)

func TestParticipantsJoiningOverTheLimitAreEvicted(t *testing.T) {
	s := newServer(t)
	mine := s.tenant("mine")
	for _, name := range []string{"ann", "bob", "cyd", "dan"} {
		s.ask(mine, "daily", name).want(http.StatusCreated) // before there is a cap
	}
	s.joins(mine, "daily", "ann")
	s.patch(mine.project, map[string]any{"limits": map[string]any{"concurrent_participants": 2}})
	s.joins(mine, "daily", "bob")
	if len(s.cluster.removed) != 0 {
		t.Fatalf("removed %v", s.cluster.removed)
	}
	s.joins(mine, "daily", "cyd")
	if want := []string{mine.project + "_daily cyd"}; !slices.Equal(s.cluster.removed, want) {
		t.Fatalf("removed %v", s.cluster.removed)
	}
}

func TestParticipantsOverTheLimitAreEvictedHoweverLongLiveKitIsDown(t *testing.T) {
	s := newServer(t)
	mine := s.tenant("mine")
	joined := s.clock.Now()
	for _, name := range []string{"ann", "bob", "cyd"} {
		s.ask(mine, "daily", name).want(http.StatusCreated)
	}
	s.patch(mine.project, map[string]any{"limits": map[string]any{"concurrent_participants": 1}})
	s.joins(mine, "daily", "ann")
	s.cluster.away = true
	s.joins(mine, "daily", "bob")
	s.joins(mine, "daily", "cyd")
	for range 60 {
		s.clock.Advance(30 * time.Second)
		s.work()
	}
	s.leaves(mine, "daily", "ann", joined) // somebody of those who wait may stay now
	s.cluster.away = false
	s.clock.Advance(30 * time.Second)
	s.work()
	if len(s.cluster.removed) != 1 {
		t.Errorf("removed %v", s.cluster.removed)
	}
	if dead := s.count("livekit_events", "state", "dead"); dead != 0 {
		t.Errorf("%d events are dead", dead)
	}
	if waiting := s.count("evictions", "", ""); waiting != 0 {
		t.Errorf("%d evictions wait", waiting)
	}
}

func TestAHangingClusterDelaysNoEvent(t *testing.T) {
	s := newServer(t)
	mine, other := s.limited("mine", map[string]any{"concurrent_participants": 1}), s.tenant("other")
	s.cluster.asked = func() { t.Error("the cluster was asked while events were worked on") }
	now := s.clock.Now()
	for _, name := range []string{"ann", "bob"} {
		s.announce(mine.project, "daily", now, event{id: "EV_" + name, kind: "participant_joined", participant: name, at: now, joined: now})
	}
	s.announce(other.project, "daily", now, event{id: "EV_other", kind: "participant_joined", participant: "eve", at: now, joined: now})
	if n, err := s.InboxWorker.Work(context.Background()); n != 3 || err != nil {
		t.Fatalf("%d events were worked on, %v", n, err)
	}
	s.cluster.asked = nil
	s.work()
	if want := []string{mine.project + "_daily bob"}; !slices.Equal(s.cluster.removed, want) {
		t.Errorf("removed %v", s.cluster.removed)
	}
}

func TestARoomBeyondTheLimitIsRefusedAndEnded(t *testing.T) {
	s := newServer(t)
	mine := s.limited("mine", map[string]any{"rooms": 1})
	made := s.clock.Now()
	s.ask(mine, "daily", "ann").want(http.StatusCreated)
	s.ask(mine, "daily", "bob").want(http.StatusCreated)
	s.ask(mine, "weekly", "ann").overQuota(models.QuotaRooms, 1, 1)
	s.liveKit(mine.project, "daily", made, event{id: "EV_1", kind: "room_started", at: made})
	s.ask(mine, "weekly", "ann").overQuota(models.QuotaRooms, 1, 1)
	s.liveKit(mine.project, "sneaky", made, event{id: "EV_2", kind: "room_started", at: made})
	if want := []string{mine.project + "_sneaky"}; !slices.Equal(s.cluster.ended, want) {
		t.Errorf("ended %v", s.cluster.ended)
	}
	s.liveKit(mine.project, "sneaky", made, event{id: "EV_3", kind: "room_finished", at: made})
	s.liveKit(mine.project, "daily", made, event{id: "EV_4", kind: "room_finished", at: made})
	s.ask(mine, "weekly", "ann").want(http.StatusCreated)
}

func TestDeletingAProjectEndsItsRooms(t *testing.T) {
	s := newServer(t)
	mine, other := s.tenant("mine"), s.tenant("other")
	s.joins(mine, "daily", "ann")
	s.joins(other, "daily", "bob")
	const stranger = "prj_01a2063f-e6cc-7690-9e88-10046bbf09e7" // of another installation on the same cluster
	s.joins(tenant{project: stranger}, "weekly", "cyd")
	s.do(http.MethodDelete, "/v1/projects/"+mine.project, nil, mine.asPerson).want(http.StatusNoContent)
	if err := s.Enforcer.Enforce(context.Background()); err != nil {
		t.Fatal(err)
	}
	s.work()
	if want := []string{mine.project + "_daily"}; !slices.Equal(s.cluster.ended, want) || len(s.cluster.removed) > 0 {
		t.Errorf("ended %v, removed %v", s.cluster.ended, s.cluster.removed)
	}
}
