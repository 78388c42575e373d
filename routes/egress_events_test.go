package routes_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/twitchtv/twirp"
	"google.golang.org/protobuf/proto"

	"pulse-control-plane/handlers"
	"pulse-control-plane/models"
	pulse "pulse-control-plane/services/livekit"
)

// The event of a start can be worked on before LiveKit has answered the start.
func TestAnEventBeforeTheAnswerOfItsStartMakesNoSecondEgressRecord(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	s.livekit.egress.started = func(info *livekit.EgressInfo) {
		s.egressEvent("egress_started", info)
		s.work()
	}
	for _, outputs := range [][]any{{map[string]any{"kind": "file"}}, toRTMP()} {
		s.records(ada.asOwn, "outputs", outputs)
	}
	web := s.records(ada.asOwn, "type", "web", "room_name", nil, "url", "https://8.8.8.8/")
	list := read[handlers.List[handlers.EgressInfo]](s.do(http.MethodGet, egresses, nil, ada.asOwn).want(http.StatusOK))
	if len(list.Items) != 3 || web.ID != "EG_3" || web.RoomName != "" || web.URL != "https://8.8.8.8/" {
		t.Fatalf("got %+v", list.Items)
	}
	for _, e := range list.Items {
		if e.Automatic || e.Status != "active" {
			t.Errorf("got %+v", e)
		}
	}
	s.tellsEgress("egress_ended", "EG_3", ends(livekit.EgressStatus_EGRESS_COMPLETE, 9)) // has no room to know its tenant by
	if e := s.egress(ada.asOwn, "EG_3"); e.Status != "complete" {
		t.Errorf("got %+v", e)
	}
}

func TestAnEgressThatARoomsConfigurationStartedGetsARecord(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	info := &livekit.EgressInfo{EgressId: "EG_auto", RoomName: ada.qualified("hall"), RoomId: "RM_hall", Status: livekit.EgressStatus_EGRESS_STARTING,
		Request: &livekit.EgressInfo_RoomComposite{RoomComposite: &livekit.RoomCompositeEgressRequest{RoomName: ada.qualified("hall"), Layout: "grid",
			FileOutputs: []*livekit.EncodedFileOutput{{FileType: livekit.EncodedFileType_MP4, Filepath: ada.project + "/hall/{time}-{room_id}.mp4"}}}}}
	for range 2 {
		s.egressEvent("egress_started", info)
		s.work()
	}
	info.Status, info.StartedAt = livekit.EgressStatus_EGRESS_ACTIVE, s.clock.Now().UnixNano()
	s.egressEvent("egress_updated", info)
	s.work()
	list := read[handlers.List[handlers.EgressInfo]](s.do(http.MethodGet, egresses, nil, ada.asOwn).want(http.StatusOK)).Items
	if len(list) != 1 || list[0].ID != "EG_auto" || !list[0].Automatic || list[0].Status != "active" || list[0].RoomName != "hall" || list[0].Layout != "grid" || list[0].Outputs[0].Kind != "file" {
		t.Fatalf("got %+v", list)
	}
	s.livekit.egress.all = append(s.livekit.egress.all, info)
	s.do(http.MethodPost, egresses+"/stop", map[string]any{"egress_id": "EG_auto"}, ada.asOwn).want(http.StatusOK)
}

func TestARecordedPageIsMeteredForTheProjectThatAskedForIt(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	s.records(ada.asOwn, "type", "web", "room_name", nil, "url", "https://8.8.8.8/")
	began := s.clock.Now().Add(-2 * time.Minute)
	s.tellsEgress("egress_started", "EG_1", func(info *livekit.EgressInfo) { info.StartedAt = began.UnixNano() })
	s.cluster.egresses = []pulse.Media{{EventMedia: models.EventMedia{ID: "EG_1", StartedAt: began}}} // which names no room either
	if err := s.Reconciliation.Compare(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.work()
	open := read[handlers.List[handlers.UsageSession]](s.do(http.MethodGet, "/v1/usage/sessions?subject=egress&open=true", nil, ada.asOwn).want(http.StatusOK)).Items
	if len(open) != 1 {
		t.Errorf("reconciliation ended it: %+v", open)
	}
	s.tellsEgress("egress_ended", "EG_1", ends(livekit.EgressStatus_EGRESS_COMPLETE, 90))
	sessions := read[handlers.List[handlers.UsageSession]](s.do(http.MethodGet, "/v1/usage/sessions?subject=egress", nil, ada.asOwn).want(http.StatusOK)).Items
	if len(sessions) != 1 || sessions[0].ID != "EG_1" || sessions[0].DurationSeconds != 90 {
		t.Errorf("got %+v", sessions)
	}
}

// compare runs the worker that compares records with LiveKit's list.
func (s *server) compare() {
	s.t.Helper()
	s.clock.Advance(11 * time.Second)
	if err := s.Egresses.Compare(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

func TestRecordsFollowLiveKitsListWhereItsEventsAreMissing(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	s.livekit.egress.starting = true
	for range 3 {
		s.records(ada.asOwn)
	}
	change := func(id string, to func(*livekit.EgressInfo)) {
		if _, err := s.livekit.egress.change(id, to); err != nil {
			t.Fatal(err)
		}
	}
	change("EG_1", func(info *livekit.EgressInfo) {
		info.Status, info.StartedAt = livekit.EgressStatus_EGRESS_ACTIVE, s.clock.Now().UnixNano()
	})
	change("EG_2", func(info *livekit.EgressInfo) {
		info.Status, info.Error = livekit.EgressStatus_EGRESS_ABORTED, "Start signal not received"
	})
	s.livekit.egress.mu.Lock()
	s.livekit.egress.all = s.livekit.egress.all[:2] // LiveKit forgot EG_3
	s.livekit.egress.mu.Unlock()
	s.compare()
	for id, want := range map[string]string{"EG_1": "active", "EG_2": "aborted Start signal not received", "EG_3": "aborted LiveKit does not know the egress any more."} {
		e := s.egress(ada.asOwn, id)
		got := string(e.Status)
		if e.Error != nil {
			got += " " + *e.Error
		}
		if got != want {
			t.Errorf("%s is %s, want %s", id, got, want)
		}
	}
	// What LiveKit says itself overrules what was presumed.
	s.egressEvent("egress_ended", &livekit.EgressInfo{EgressId: "EG_3", RoomName: ada.qualified("hall"), Status: livekit.EgressStatus_EGRESS_COMPLETE,
		StartedAt: s.clock.Now().Add(-time.Minute).UnixNano(), EndedAt: s.clock.Now().UnixNano(), FileResults: []*livekit.FileInfo{{Filename: "f", Size: 1}}})
	s.work()
	if e := s.egress(ada.asOwn, "EG_3"); e.Status != "complete" || len(e.Results) != 1 || e.Error != nil {
		t.Errorf("EG_3 is %+v", e)
	}
	s.livekit.egress.fails = twirp.NewError(twirp.Unavailable, "away")
	s.clock.Advance(time.Minute)
	if err := s.Egresses.Compare(t.Context()); err == nil {
		t.Error("a cluster that is away was compared")
	}
	if e := s.egress(ada.asOwn, "EG_1"); e.Status != "active" {
		t.Errorf("a cluster that is away ended EG_1: %s", e.Status)
	}
}

// A start that was answered with 503 and that a worker took all the same.
func TestAnEgressThatStartsAfterItsStartWasGivenUpIsStopped(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	var late *livekit.EgressInfo
	s.livekit.egress.fails = twirp.NewError(twirp.DeadlineExceeded, "no answer")
	s.do(http.MethodPost, egresses+"/start", map[string]any{"type": "room_composite", "room_name": "hall", "outputs": []any{map[string]any{"kind": "file"}}}, ada.asOwn).want(503)
	ask := proto.Clone(s.livekit.egress.last).(*livekit.RoomCompositeEgressRequest)
	s.livekit.egress.fails = nil
	late = &livekit.EgressInfo{EgressId: "EG_late", RoomName: ask.RoomName, Status: livekit.EgressStatus_EGRESS_ACTIVE, StartedAt: s.clock.Now().UnixNano(),
		Request: &livekit.EgressInfo_RoomComposite{RoomComposite: ask}}
	s.livekit.egress.all = append(s.livekit.egress.all, late)
	s.egressEvent("egress_updated", proto.CloneOf(late))
	s.work()
	if e := s.egress(ada.asOwn, "EG_late"); e.Status != "active" || e.EndedAt != nil {
		t.Fatalf("got %+v", e)
	}
	if err := s.Egresses.StopAsked(t.Context()); err != nil {
		t.Fatal(err)
	}
	if e := s.egress(ada.asOwn, "EG_late"); e.Status != "ending" || !strings.Contains(s.livekit.egress.calls(), "StopEgress") {
		t.Errorf("got %+v", e)
	}
}

// The process that asked for a start died before it could write down the answer.
func TestAnEgressWhoseStartingProcessDiedIsAdopted(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	file := map[string]any{"type": "room_composite", "room_name": "hall", "outputs": []any{map[string]any{"kind": "file"}}}
	s.livekit.egress.started = func(*livekit.EgressInfo) { s.engine.away.Store(true) }
	s.do(http.MethodPost, egresses+"/start", file, ada.asOwn)
	s.engine.away.Store(false)
	s.compare()
	if e := s.egress(ada.asOwn, "EG_1"); e.Status != "active" {
		t.Errorf("got %+v", e)
	}
	s.livekit.egress.started = func(info *livekit.EgressInfo) {
		s.livekit.egress.mu.Lock()
		defer s.livekit.egress.mu.Unlock()
		s.livekit.egress.all = s.livekit.egress.all[:1] // it was not started
		s.engine.away.Store(true)
	}
	s.do(http.MethodPost, egresses+"/start", file, ada.asOwn)
	s.engine.away.Store(false)
	s.compare()
	list := func() handlers.EgressInfo {
		return read[handlers.List[handlers.EgressInfo]](s.do(http.MethodGet, egresses+"?limit=1", nil, ada.asOwn).want(http.StatusOK)).Items[0]
	}
	if e := list(); e.Status != "starting" {
		t.Errorf("within its deadline it is %+v", e)
	}
	s.clock.Advance(20 * time.Second)
	s.compare()
	if e := list(); e.Status != "failed" || e.Error == nil {
		t.Errorf("after its deadline it is %+v", e)
	}
}
