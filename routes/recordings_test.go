package routes_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/twitchtv/twirp"

	"pulse-control-plane/handlers"
)

// opens has LiveKit tell that a room of a project opened, as it does when the first
// participant joins with a token.
func (s *server) opens(t tenant, room string) {
	s.t.Helper()
	s.liveKit(t.project, room, s.clock.Now(), event{id: "EV_opened_" + room, kind: "room_started", at: s.clock.Now()})
}

// startsDue runs the worker that starts automatic recordings.
func (s *server) startsDue() {
	s.t.Helper()
	if _, err := s.Egresses.StartDue(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

// recorder is a tenant whose rooms are recorded automatically.
func (s *server) recorder(name string, limits map[string]any) tenant {
	s.t.Helper()
	out := s.limited(name, limits)
	s.do(http.MethodPatch, "/v1/projects/"+out.project, `{"recording":{"enabled":true,"layout":"grid","encoding":"h264_1080p_30"}}`, out.asPerson).want(http.StatusOK)
	return out
}

func (s *server) listedEgresses(t tenant) []handlers.EgressInfo {
	s.t.Helper()
	return read[handlers.List[handlers.EgressInfo]](s.do(http.MethodGet, egresses, nil, t.asOwn).want(http.StatusOK)).Items
}

func TestARoomThatATokenOpensIsRecordedWhereItsProjectSaysSo(t *testing.T) {
	s := newServer(t)
	ada, eve := s.recorder("ada", map[string]any{}), s.tenant("eve")
	s.opens(ada, "daily")
	s.opens(eve, "weekly")
	s.startsDue()
	list := s.listedEgresses(ada)
	if len(list) != 1 || list[0].ID != "EG_1" || !list[0].Automatic || list[0].Status != "active" || list[0].RoomName != "daily" || list[0].Layout != "grid" ||
		!strings.HasPrefix(list[0].Outputs[0].Path, ada.project+"/daily/") {
		t.Fatalf("got %+v", list)
	}
	ask := s.livekit.egress.last.(*livekit.RoomCompositeEgressRequest)
	if ask.RoomName != ada.qualified("daily") || ask.GetPreset() != livekit.EncodingOptionsPreset_H264_1080P_30 || len(s.listedEgresses(eve)) != 0 {
		t.Errorf("asked %v", ask)
	}
	s.tellsEgress("egress_ended", "EG_1", ends(livekit.EgressStatus_EGRESS_COMPLETE, 9, &livekit.FileInfo{Filename: list[0].Outputs[0].Path, Size: 1}))
	if e := s.egress(ada.asOwn, "EG_1"); e.Status != "complete" || len(e.Results) != 1 {
		t.Errorf("ended %+v", e)
	}
	var trail []string
	for _, e := range s.trailOf(ada.org) {
		if e.Target.Type == "egress" {
			trail = append(trail, e.Action+" "+string(e.Actor.Kind)+" "+string(e.Outcome))
		}
	}
	if len(trail) != 1 || trail[0] != "egress.started system success" {
		t.Errorf("the trail has %q", trail)
	}
}

func TestARoomIsRecordedOnceHoweverOftenItsStartIsReported(t *testing.T) {
	s := newServer(t, func(o *setup) { o.replica = true })
	ada := s.recorder("ada", map[string]any{})
	other := s.another()
	made := s.clock.Now()
	for n := range 3 {
		s.liveKit(ada.project, "daily", made, event{id: fmt.Sprint("EV_", n), kind: "room_started", at: made})
	}
	var all sync.WaitGroup
	for _, replica := range []*server{s, other, s, other} {
		all.Go(func() {
			if _, err := replica.Egresses.StartDue(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	s.clock.Advance(time.Minute) // past every lease
	s.startsDue()
	s.liveKit(ada.project, "daily", made, event{id: "EV_again", kind: "room_started", at: made})
	s.startsDue()
	if list := s.listedEgresses(ada); len(list) != 1 || strings.Count(s.livekit.egress.calls(), "StartRoomComposite") != 1 {
		t.Errorf("%s makes %+v", s.livekit.egress.calls(), list)
	}
}

func TestARoomThatARequestOpensIsRecordedAsTheRequestSaysAndNotTwice(t *testing.T) {
	s := newServer(t)
	ada := s.recorder("ada", map[string]any{})
	for room, body := range map[string]map[string]any{"asked": {"recording": true}, "always": {}, "not": {"recording": false}} {
		body["room_name"] = room
		made := read[handlers.Room](s.do(http.MethodPost, "/v1/rooms", body, ada.asOwn).want(http.StatusCreated))
		s.webhook(map[string]any{"event": "room_started", "id": "EV_" + room, "createdAt": fmt.Sprint(s.clock.Now().Unix()),
			"room": map[string]any{"sid": made.SID, "name": ada.qualified(room), "creationTimeMs": fmt.Sprint(s.clock.Now().UnixMilli())}}).want(http.StatusOK)
	}
	s.work()
	s.startsDue()
	if calls := s.livekit.egress.calls(); strings.Contains(calls, "Start") {
		t.Errorf("recorded again: %s", calls)
	}
	if list := s.listedEgresses(ada); len(list) != 2 || !list[0].Automatic || !list[1].Automatic { // LiveKit starts these itself
		t.Errorf("got %+v", list)
	}
	for _, recorded := range s.livekit.recorded {
		path := recorded.GetRoom().GetFileOutputs()[0].GetFilepath()
		if !strings.Contains(path, "-egr_") || recorded.GetRoom().Layout != "grid" {
			t.Errorf("asked %v", recorded)
		}
		s.egressEvent("egress_started", &livekit.EgressInfo{EgressId: "EG_" + recorded.GetRoom().RoomName, RoomName: recorded.GetRoom().RoomName,
			Request: &livekit.EgressInfo_RoomComposite{RoomComposite: recorded.GetRoom()}})
	}
	s.work()
	for _, e := range s.listedEgresses(ada) {
		if !strings.HasPrefix(e.ID, "EG_") {
			t.Errorf("its record was not found: %+v", e)
		}
	}
}

func TestRecordingsOfRoomsThatOpenAtTheSameMomentCountEachOther(t *testing.T) {
	s := newServer(t, func(o *setup) { o.replica = true })
	ada := s.recorder("ada", map[string]any{"concurrent_egresses": 2})
	var all sync.WaitGroup
	var mu sync.Mutex
	opened := 0
	replicas := []*server{s, s.another()}
	for n := range 6 {
		all.Go(func() {
			a := replicas[n%2].do(http.MethodPost, "/v1/rooms", map[string]any{"room_name": fmt.Sprint("room", n)}, ada.asOwn)
			mu.Lock()
			defer mu.Unlock()
			switch a.status {
			case http.StatusCreated:
				opened++
			case http.StatusPaymentRequired:
			default:
				t.Errorf("%d %s", a.status, a.body)
			}
		})
	}
	all.Wait()
	if opened > 2 || len(s.livekit.recorded) != opened {
		t.Errorf("%d rooms of 2 were recorded", opened)
	}
}

// failedRecordings gives the events that tell of them.
func (s *server) failedRecordings(t tenant) []string {
	s.t.Helper()
	var out []string
	for _, e := range read[handlers.List[struct {
		Data struct {
			Error    string `json:"error"`
			RoomName string `json:"room_name"`
		}
	}]](s.do(http.MethodGet, "/v1/events?type=recording.failed", nil, t.asOwn).want(http.StatusOK)).Items {
		code, _, _ := strings.Cut(e.Data.Error, ":")
		out = append(out, e.Data.RoomName+" "+code)
	}
	return out
}

func TestAProjectIsInformedWhyARoomIsNotRecorded(t *testing.T) {
	before := newServer(t, func(o *setup) { o.replica = true })
	ada := before.recorder("ada", map[string]any{})
	before.setup.fenced = true // EGRESS_LOCAL was taken away
	s := before.another()
	s.opens(ada, "daily")
	s.startsDue()
	if list := s.listedEgresses(ada); len(list) != 1 || list[0].Status != "failed" || !strings.HasPrefix(*list[0].Error, "storage_not_configured: ") {
		t.Fatalf("got %+v", list)
	}
	if told := s.failedRecordings(ada); len(told) != 1 || told[0] != "daily storage_not_configured" {
		t.Errorf("told %q", told)
	}

	open := newServer(t)
	bob := open.recorder("bob", map[string]any{"concurrent_egresses": 1})
	open.records(bob.asOwn)
	open.opens(bob, "second")
	open.startsDue()
	if told := open.failedRecordings(bob); len(told) != 1 || told[0] != "second quota_exceeded" {
		t.Errorf("told %q", told)
	}
	if n := strings.Count(open.livekit.egress.calls(), "Start"); n != 1 {
		t.Errorf("%d egresses were started", n)
	}
}

func TestARecordingThatNoWorkerTakesIsTriedAgainForSomeMinutes(t *testing.T) {
	s := newServer(t)
	ada := s.recorder("ada", map[string]any{})
	s.livekit.egress.fails = twirp.NewError(twirp.Unavailable, "no response from servers")
	s.opens(ada, "daily")
	s.startsDue()
	s.startsDue() // its lease lasts
	s.livekit.egress.fails = nil
	if n := strings.Count(s.livekit.egress.calls(), "Start"); n != 1 {
		t.Errorf("%d attempts", n)
	}
	s.compare() // does not take it for one that failed
	s.clock.Advance(30 * time.Second)
	s.startsDue()
	if list := s.listedEgresses(ada); len(list) != 1 || list[0].Status != "active" || len(s.failedRecordings(ada)) != 0 {
		t.Errorf("got %+v", list)
	}

	s.livekit.egress.fails = twirp.NewError(twirp.Unavailable, "no response from servers")
	s.opens(ada, "weekly")
	for range 12 {
		s.startsDue()
		s.clock.Advance(30 * time.Second)
	}
	if told := s.failedRecordings(ada); len(told) != 1 || told[0] != "weekly egress_not_started" {
		t.Errorf("told %q", told)
	}
}

// The process that started it died before it could write that down.
func TestARecordingWhoseStartWasNotWrittenDownIsNotStartedTwice(t *testing.T) {
	s := newServer(t)
	ada := s.recorder("ada", map[string]any{})
	s.opens(ada, "daily")
	s.livekit.egress.started = func(*livekit.EgressInfo) { s.engine.away.Store(true) }
	if _, err := s.Egresses.StartDue(t.Context()); err == nil {
		t.Error("it was written down")
	}
	s.livekit.egress.started = nil
	s.engine.away.Store(false)
	s.clock.Advance(time.Minute)
	s.startsDue()
	if list := s.listedEgresses(ada); len(list) != 1 || list[0].ID != "EG_1" || strings.Count(s.livekit.egress.calls(), "Start") != 1 {
		t.Errorf("%s makes %+v", s.livekit.egress.calls(), list)
	}
}

func TestARoomThatEndedBeforeItsRecordingBeganIsNotAFailure(t *testing.T) {
	s := newServer(t)
	ada := s.recorder("ada", map[string]any{})
	s.livekit.egress.fails = twirp.NotFoundError("requested room does not exist")
	s.opens(ada, "daily")
	s.startsDue()
	if list := s.listedEgresses(ada); len(list) != 1 || list[0].Status != "aborted" || len(s.failedRecordings(ada)) != 0 {
		t.Errorf("got %+v", list)
	}
}
