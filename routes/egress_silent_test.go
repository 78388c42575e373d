package routes_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/twitchtv/twirp"

	"pulse-control-plane/handlers"
	"pulse-control-plane/models"
	pulse "pulse-control-plane/services/livekit"
)

func TestAnEgressWhoseWorkerWasKilledIsAbortedAndMeteredNoLonger(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	for range 2 {
		s.records(ada.asOwn)
	}
	var listed []pulse.Media
	for _, id := range []string{"EG_1", "EG_2"} {
		s.tellsEgress("egress_started", id, func(info *livekit.EgressInfo) { info.StartedAt = s.clock.Now().UnixNano() })
		listed = append(listed, pulse.Media{RoomName: ada.qualified("hall"), RoomSID: "RM_hall", EventMedia: models.EventMedia{ID: id, StartedAt: s.clock.Now()}})
	}
	s.cluster.egresses = listed // LiveKit lists both as active forever
	silent := func(ids ...string) {
		s.livekit.egress.mu.Lock()
		defer s.livekit.egress.mu.Unlock()
		s.livekit.egress.silent = map[string]bool{}
		for _, id := range ids {
			s.livekit.egress.silent[id] = true
		}
	}
	pass := func() {
		t.Helper()
		s.clock.Advance(20 * time.Second)
		s.compare()
		if err := s.Reconciliation.Compare(t.Context()); err != nil {
			t.Fatal(err)
		}
		s.work()
	}
	silent("EG_1", "EG_2")
	pass()
	fell := s.clock.Now()
	silent("EG_1") // the other only had a short pause
	for range 3 {
		pass()
	}
	if e := s.egress(ada.asOwn, "EG_1"); e.Status != "active" {
		t.Errorf("after %s it is %s", s.clock.Now().Sub(fell), e.Status)
	}
	for range 3 {
		pass()
	}
	dead := s.egress(ada.asOwn, "EG_1")
	if dead.Status != "aborted" || dead.Error == nil || dead.EndedAt == nil || dead.EndedAt.Sub(fell).Abs() > time.Second {
		t.Fatalf("got %+v", dead)
	}
	if e := s.egress(ada.asOwn, "EG_2"); e.Status != "active" {
		t.Errorf("the living one is %+v", e)
	}
	ended := s.clock.Now()
	s.clock.Advance(time.Hour)
	pass()
	open := map[string]bool{}
	for _, u := range read[handlers.List[handlers.UsageSession]](s.do(http.MethodGet, "/v1/usage/sessions?subject=egress", nil, ada.asOwn).want(http.StatusOK)).Items {
		open[u.ID] = u.LeftAt == nil
		if u.ID == "EG_1" && (u.LeftAt == nil || u.LeftAt.After(ended)) {
			t.Errorf("metered until %v", u.LeftAt)
		}
	}
	if open["EG_1"] || !open["EG_2"] {
		t.Errorf("metered on: %v", open)
	}
	// What the worker says after all overrules what was presumed: it goes on.
	silent()
	s.tellsEgress("egress_updated", "EG_1", func(info *livekit.EgressInfo) { info.UpdatedAt = s.clock.Now().UnixNano() })
	s.compare()
	if err := s.Egresses.StopAsked(t.Context()); err != nil {
		t.Fatal(err)
	}
	if e := s.egress(ada.asOwn, "EG_1"); e.Status != "active" || e.EndedAt != nil || e.Error != nil || strings.Contains(s.livekit.egress.calls(), "StopEgress") {
		t.Errorf("a worker that answers again is stopped: %+v", e)
	}
	s.tellsEgress("egress_ended", "EG_1", ends(livekit.EgressStatus_EGRESS_COMPLETE, 9, &livekit.FileInfo{Filename: "f", Size: 1}))
	if e := s.egress(ada.asOwn, "EG_1"); e.Status != "complete" || len(e.Results) != 1 {
		t.Errorf("got %+v", e)
	}
}

// errLiveKitAway is the answer of a LiveKit that cannot do anything.
var errLiveKitAway = twirp.NewError(twirp.Unavailable, "away")

func TestAClusterThatIsAwayAbortsNoEgress(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	s.records(ada.asOwn)
	s.compare()
	s.livekit.egress.fails = errLiveKitAway
	for range 20 {
		s.clock.Advance(30 * time.Second)
		if err := s.Egresses.Compare(t.Context()); err == nil {
			t.Fatal("a cluster that is away was compared")
		}
	}
	s.livekit.egress.fails = nil
	s.compare()
	if e := s.egress(ada.asOwn, "EG_1"); e.Status != "active" {
		t.Errorf("it is %s", e.Status)
	}
}
