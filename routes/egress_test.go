package routes_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/twitchtv/twirp"
	"go.mongodb.org/mongo-driver/v2/bson"
	"google.golang.org/protobuf/encoding/protojson"

	"pulse-control-plane/database"
	"pulse-control-plane/handlers"
	"pulse-control-plane/models"
)

const egresses = "/v1/media/egress"

// records starts the recording of a room into a file.
func (s *server) records(who with, more ...any) handlers.EgressInfo {
	s.t.Helper()
	body := map[string]any{"type": "room_composite", "room_name": "hall", "outputs": []any{map[string]any{"kind": "file"}}}
	for i := 0; i < len(more); i += 2 {
		body[more[i].(string)] = more[i+1]
	}
	return read[handlers.EgressInfo](s.do(http.MethodPost, egresses+"/start", body, who).want(http.StatusCreated))
}

// egress reads an egress.
func (s *server) egress(who with, id string) handlers.EgressInfo {
	s.t.Helper()
	return read[handlers.EgressInfo](s.do(http.MethodGet, egresses+"/"+id, nil, who).want(http.StatusOK))
}

// tellsEgress sends an event of LiveKit about an egress of the fake, as it is after a
// change, and has it worked on.
func (s *server) tellsEgress(kind, id string, to func(*livekit.EgressInfo)) {
	s.t.Helper()
	info, err := s.livekit.egress.change(id, to)
	if err != nil {
		s.t.Fatal(err)
	}
	s.egressEvent(kind, info)
	s.work()
}

// egressEvent sends an event about an egress, signed.
func (s *server) egressEvent(kind string, info *livekit.EgressInfo) {
	s.t.Helper()
	text, err := protojson.Marshal(info)
	if err != nil {
		s.t.Fatal(err)
	}
	body := fmt.Sprintf(`{"event":%q,"id":"EV_%s_%s_%d","createdAt":"%d","egressInfo":%s}`, kind, kind, info.EgressId, info.Status, s.clock.Now().Unix(), text)
	s.webhook(json.RawMessage(body)).want(http.StatusOK)
}

// dump is every stored document, as it is stored.
func (s *server) dump() string {
	s.t.Helper()
	var out strings.Builder
	for _, c := range database.Schema() {
		if err := s.engine.Find(s.t.Context(), c.Name, database.Query{Filter: bson.D{}, Limit: 10_000}, func(raw bson.Raw) error {
			out.Write(raw)
			return nil
		}); err != nil {
			s.t.Fatal(err)
		}
	}
	return out.String()
}

func ends(status livekit.EgressStatus, seconds int64, files ...*livekit.FileInfo) func(*livekit.EgressInfo) {
	return func(info *livekit.EgressInfo) {
		info.Status, info.EndedAt, info.FileResults = status, info.StartedAt+seconds*int64(time.Second), files
	}
}

func TestAnEgressRunsFromStartToAStoredFile(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	started := s.records(ada.asOwn, "layout", "speaker-light", "encoding", "H264_1080P_30")
	ask := s.livekit.egress.last.(*livekit.RoomCompositeEgressRequest)
	path := ask.FileOutputs[0].Filepath
	if ask.RoomName != ada.qualified("hall") || ask.Layout != "speaker-light" || ask.GetPreset() != livekit.EncodingOptionsPreset_H264_1080P_30 ||
		!strings.HasPrefix(path, ada.project+"/hall/20") || !strings.HasSuffix(path, ".mp4") || !strings.Contains(path, "-egr_") || ask.FileOutputs[0].FileType != livekit.EncodedFileType_MP4 {
		t.Errorf("asked %v", ask)
	}
	if started.ID != "EG_1" || started.Status != "active" || started.RoomName != "hall" || started.Type != "room_composite" || started.StartedAt == nil ||
		started.EndedAt != nil || started.Error != nil || len(started.Results) != 0 || started.Outputs[0].Path != path {
		t.Errorf("started %+v", started)
	}
	own := path[strings.Index(path, "egr_"):][:len("egr_")+36]
	if a, b := s.egress(ada.asOwn, "EG_1"), s.egress(ada.asOwn, own); a.ID != "EG_1" || b.ID != "EG_1" {
		t.Errorf("%s and %s look up %s and %s", "EG_1", own, a.ID, b.ID)
	}
	stopped := read[handlers.EgressInfo](s.do(http.MethodPost, egresses+"/stop", map[string]any{"egress_id": own}, ada.asOwn).want(http.StatusOK))
	if stopped.Status != "ending" {
		t.Errorf("stopped %+v", stopped)
	}
	s.egressEvent("egress_updated", &livekit.EgressInfo{EgressId: "EG_1", RoomName: ada.qualified("hall"), Status: livekit.EgressStatus_EGRESS_ACTIVE}) // late
	s.work()
	if e := s.egress(ada.asOwn, "EG_1"); e.Status != "ending" {
		t.Errorf("a late event made it %s", e.Status)
	}
	s.tellsEgress("egress_ended", "EG_1", ends(livekit.EgressStatus_EGRESS_COMPLETE, 90, &livekit.FileInfo{Filename: path, Size: 1234, Duration: 90 * int64(time.Second)}))
	done := s.egress(ada.asOwn, "EG_1")
	if done.Status != "complete" || done.EndedAt == nil || done.DurationSeconds != 90 || len(done.Results) != 1 ||
		done.Results[0] != (handlers.EgressResult{Kind: "file", Path: path, SizeBytes: 1234, DurationSeconds: 90}) {
		t.Errorf("ended %+v", done)
	}
	s.tellsEgress("egress_updated", "EG_1", func(info *livekit.EgressInfo) { info.Status = livekit.EgressStatus_EGRESS_ACTIVE }) // late
	if again := s.egress(ada.asOwn, "EG_1"); again.Status != "complete" {
		t.Errorf("a late event made it %s", again.Status)
	}
	s.do(http.MethodPost, egresses+"/stop", map[string]any{"egress_id": "EG_1"}, ada.asOwn).refused(http.StatusConflict, "egress_ended")
	s.do(http.MethodPatch, egresses+"/EG_1", map[string]any{"layout": "grid"}, ada.asOwn).refused(http.StatusConflict, "egress_ended")
}

func TestEgressesAreListedByStatusAndRoom(t *testing.T) {
	s := newServer(t)
	ada, eve := s.tenant("ada"), s.tenant("eve")
	for _, room := range []string{"a", "b", "a"} {
		s.records(ada.asOwn, "room_name", room)
	}
	s.records(eve.asOwn)
	s.tellsEgress("egress_ended", "EG_2", ends(livekit.EgressStatus_EGRESS_LIMIT_REACHED, 5))
	for query, want := range map[string]string{"": "EG_3 EG_2 EG_1", "?room_name=a": "EG_3 EG_1", "?status=active": "EG_3 EG_1", "?status=limit_reached": "EG_2",
		"?status=active&room_name=b": "", "?room_name=hall": ""} {
		var got []string
		for _, e := range read[handlers.List[handlers.EgressInfo]](s.do(http.MethodGet, egresses+query, nil, ada.asOwn).want(http.StatusOK)).Items {
			got = append(got, e.ID)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s lists %q, want %q", query, got, want)
		}
	}
	first := read[handlers.List[handlers.EgressInfo]](s.do(http.MethodGet, egresses+"?limit=2", nil, ada.asOwn).want(http.StatusOK))
	rest := read[handlers.List[handlers.EgressInfo]](s.do(http.MethodGet, egresses+"?limit=2&cursor="+*first.NextCursor, nil, ada.asOwn).want(http.StatusOK))
	if len(rest.Items) != 1 || rest.Items[0].ID != "EG_1" || rest.HasMore {
		t.Errorf("the second page is %+v", rest)
	}
	s.do(http.MethodGet, egresses+"?status=done", nil, ada.asOwn).refused(http.StatusBadRequest, "invalid_request", "query.status")
}

func TestAnEgressOfAnotherTenantIsAMissingOne(t *testing.T) {
	s := newServer(t)
	ada, eve := s.tenant("ada"), s.tenant("eve")
	s.records(ada.asOwn, "outputs", toRTMP())
	calls := s.livekit.egress.calls()
	for _, who := range []with{eve.asOwn, func(r *http.Request) { eve.asPerson(r); r.URL.RawQuery = "project_id=" + eve.project }} {
		for _, route := range []struct {
			method, path string
			body         func(id string) any
		}{
			{"GET", egresses + "/ID", func(string) any { return nil }},
			{"PATCH", egresses + "/ID", func(string) any { return map[string]any{"layout": "grid"} }},
			{"POST", egresses + "/stop", func(id string) any { return map[string]any{"egress_id": id} }},
		} {
			foreign := s.do(route.method, strings.Replace(route.path, "ID", "EG_1", 1), route.body("EG_1"), who).refused(http.StatusNotFound, "not_found")
			missing := s.do(route.method, strings.Replace(route.path, "ID", "EG_9", 1), route.body("EG_9"), who).refused(http.StatusNotFound, "not_found")
			if foreign.problem().Detail != missing.problem().Detail {
				t.Errorf("%s %s: another tenant's egress is not like a missing one", route.method, route.path)
			}
		}
	}
	if got := s.livekit.egress.calls(); got != calls {
		t.Errorf("LiveKit was asked for another tenant's egress: %s", got)
	}
	if list := read[handlers.List[handlers.EgressInfo]](s.do(http.MethodGet, egresses, nil, eve.asOwn).want(http.StatusOK)); len(list.Items) != 0 {
		t.Errorf("eve sees %+v", list.Items)
	}
	if e := s.egress(ada.asOwn, "EG_1"); e.Status != "active" {
		t.Errorf("ada's is %s", e.Status)
	}
}

func TestAFileWithoutStorageIsRefusedUnlessTheWorkersDiskIsAllowed(t *testing.T) {
	s := newServer(t, func(o *setup) { o.fenced = true })
	ada := s.tenant("ada")
	for _, kind := range []string{"file", "hls", "images"} {
		s.do(http.MethodPost, egresses+"/start", map[string]any{"type": "room_composite", "room_name": "hall", "outputs": []any{map[string]any{"kind": kind}}}, ada.asOwn).
			refused(http.StatusConflict, "storage_not_configured")
	}
	s.do(http.MethodPost, egresses+"/start", map[string]any{"type": "web", "url": "https://8.8.8.8/", "outputs": toRTMP()}, ada.asOwn).refused(http.StatusForbidden, "web_egress_disabled")
	s.records(ada.asOwn, "outputs", toRTMP()) // which needs no storage
	if got := s.livekit.egress.calls(); got != "StartRoomCompositeEgress" {
		t.Errorf("asked %s", got)
	}
}

func TestAStartWithoutAWorkerEndsAsFailedWithTheReason(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	file := map[string]any{"type": "room_composite", "room_name": "hall", "outputs": []any{map[string]any{"kind": "file"}}}
	for _, c := range []struct {
		fails  twirp.Error
		status int
		code   string
	}{
		{twirp.NewError(twirp.Unavailable, "no response from servers for "+ada.qualified("hall")), 503, "egress_not_started"},
		{twirp.NewError(twirp.DeadlineExceeded, "request timed out"), 503, "egress_not_started"},
		{twirp.NotFoundError("requested room does not exist: " + ada.qualified("hall")), 404, "not_found"},
		{twirp.NewError(twirp.FailedPrecondition, ada.qualified("hall")), 409, "failed_precondition"},
		{twirp.InvalidArgumentError("file_outputs", ada.qualified("hall")), 409, "invalid_for_livekit"},
		{twirp.NewError(twirp.PermissionDenied, "permissions denied"), 500, "internal_error"},
		{twirp.NewError(twirp.Unimplemented, "no"), 501, "not_supported"},
	} {
		s.livekit.egress.fails = c.fails
		answer := s.do(http.MethodPost, egresses+"/start", file, ada.asOwn).refused(c.status, c.code)
		if strings.Contains(string(answer.body), ada.project) || c.status == 503 && answer.header.Get("Retry-After") == "" {
			t.Errorf("%s: %s %v", c.fails.Code(), answer.body, answer.header)
		}
		last := read[handlers.List[handlers.EgressInfo]](s.do(http.MethodGet, egresses+"?limit=1", nil, ada.asOwn).want(http.StatusOK)).Items[0]
		if last.Status != "failed" || last.Error == nil || !strings.HasPrefix(last.ID, "egr_") || last.EndedAt == nil {
			t.Errorf("%s: the record is %+v", c.fails.Code(), last)
		}
		if again := s.egress(ada.asOwn, last.ID); again.ID != last.ID {
			t.Errorf("%s looks up %+v", last.ID, again)
		}
	}
}

func TestAStopBeforeActiveWaitsAndIsNotForgotten(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	s.livekit.egress.starting = true
	s.records(ada.asOwn)
	stopped := read[handlers.EgressInfo](s.do(http.MethodPost, egresses+"/stop", map[string]any{"egress_id": "EG_1"}, ada.asOwn).want(http.StatusOK))
	if stopped.Status != "starting" || strings.Contains(s.livekit.egress.calls(), "StopEgress") {
		t.Errorf("%+v after %s", stopped, s.livekit.egress.calls())
	}
	s.tellsEgress("egress_updated", "EG_1", func(info *livekit.EgressInfo) {
		info.Status, info.StartedAt = livekit.EgressStatus_EGRESS_ACTIVE, s.clock.Now().UnixNano()
	})
	if err := s.Egresses.StopAsked(t.Context()); err != nil {
		t.Fatal(err)
	}
	if e := s.egress(ada.asOwn, "EG_1"); e.Status != "ending" || !strings.HasSuffix(s.livekit.egress.calls(), "StopEgress") {
		t.Errorf("%+v after %s", e, s.livekit.egress.calls())
	}
	// One that becomes active while the call waits is stopped by it.
	s.records(ada.asOwn)
	var waiting sync.WaitGroup
	waiting.Go(func() {
		if e := read[handlers.EgressInfo](s.do(http.MethodPost, egresses+"/stop", map[string]any{"egress_id": "EG_2"}, ada.asOwn).want(http.StatusOK)); e.Status != "ending" {
			t.Errorf("got %+v", e)
		}
	})
	if _, err := s.livekit.egress.change("EG_2", func(info *livekit.EgressInfo) { info.Status = livekit.EgressStatus_EGRESS_ACTIVE }); err != nil {
		t.Error(err)
	}
	waiting.Wait()
}

func TestTargetsAreAddedAndRemovedAndTheirKeysAreNowhere(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	const key, other = "s3cr3t-key", "0ther-s3cr3t"
	a, b := "rtmp://8.8.8.8/live/"+key, "rtmps://user:"+key+"@8.8.4.4:443/app/inst/"+other+"?token="+key
	started := s.records(ada.asOwn, "outputs", []any{map[string]any{"kind": "rtmp", "urls": []any{a}}})
	if urls := started.Outputs[0].URLs; len(urls) != 1 || urls[0] != "rtmp://8.8.8.8/live/***" {
		t.Errorf("got %q", urls)
	}
	changed := read[handlers.EgressInfo](s.do(http.MethodPatch, egresses+"/EG_1", map[string]any{"add_urls": []any{b}, "remove_urls": []any{a}}, ada.asOwn).want(http.StatusOK))
	if ask := s.livekit.egress.last.(*livekit.UpdateStreamRequest); ask.AddOutputUrls[0] != b || ask.RemoveOutputUrls[0] != a || ask.EgressId != "EG_1" {
		t.Errorf("asked %v", ask)
	}
	if urls := changed.Outputs[0].URLs; len(urls) != 1 || urls[0] != "rtmps://8.8.4.4:443/app/***" {
		t.Errorf("got %q", urls)
	}
	s.do(http.MethodPatch, egresses+"/EG_1", map[string]any{"remove_urls": []any{a}}, ada.asOwn).refused(http.StatusBadRequest, "invalid_request", "body.remove_urls[0]")
	s.do(http.MethodPatch, egresses+"/EG_1", map[string]any{"add_urls": []any{"rtmp://10.0.0.1/live/" + key}}, ada.asOwn).refused(http.StatusBadRequest, "invalid_request", "body.add_urls[0]")
	s.do(http.MethodPatch, egresses+"/EG_1", map[string]any{"layout": "grid", "add_urls": []any{a}}, ada.asOwn).refused(http.StatusBadRequest, "invalid_request", "body.layout")
	s.do(http.MethodPatch, egresses+"/EG_1", map[string]any{}, ada.asOwn).refused(http.StatusBadRequest, "invalid_request", "body.layout")
	s.do(http.MethodPatch, egresses+"/EG_1", map[string]any{"layout": "grid"}, ada.asOwn).want(http.StatusOK)
	s.tellsEgress("egress_ended", "EG_1", func(info *livekit.EgressInfo) {
		info.Status, info.Error = livekit.EgressStatus_EGRESS_FAILED, "url="+a+" of "+ada.qualified("hall")+" is gone"
		info.StreamResults = []*livekit.StreamInfo{{Url: b, Duration: int64(time.Second), Status: livekit.StreamInfo_FAILED, Error: "cannot reach '" + b + "'"}}
	})
	done := s.egress(ada.asOwn, "EG_1")
	if *done.Error != "url=rtmp://8.8.8.8/live/*** of hall is gone" || done.Results[0].Path != "rtmps://8.8.4.4:443/app/***" {
		t.Errorf("ended %s %+v", *done.Error, done.Results)
	}
	for what, text := range map[string]string{"log": s.log.String(), "database": s.dump(), "trail": fmt.Sprint(s.trailOf(ada.org)), "answer": string(s.do(http.MethodGet, egresses, nil, ada.asOwn).body)} {
		for _, secret := range []string{key, other} {
			if strings.Contains(text, secret) {
				t.Errorf("the %s has the stream key %s", what, secret)
			}
		}
	}
}

func TestEachChangeOfAnEgressIsInTheTrail(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	s.records(ada.asOwn)
	s.do(http.MethodPatch, egresses+"/EG_1", map[string]any{"layout": "grid"}, ada.asOwn).want(http.StatusOK)
	s.do(http.MethodPost, egresses+"/stop", map[string]any{"egress_id": "EG_1"}, ada.asOwn).want(http.StatusOK)
	s.livekit.egress.fails = twirp.NewError(twirp.Unavailable, "no response")
	s.do(http.MethodPost, egresses+"/start", map[string]any{"type": "track", "track_sid": "TR_1", "room_name": "hall", "outputs": []any{map[string]any{"kind": "file"}}}, ada.asOwn).want(503)
	var got []string
	for _, e := range s.trailOf(ada.org) {
		if e.Target.Type == "egress" {
			got = append(got, e.Action+" "+e.Target.ID[:3]+" "+string(e.Outcome))
		}
	}
	slices.Reverse(got)
	if want := []string{"egress.started egr success", "egress.updated EG_ success", "egress.stopped EG_ success", "egress.started egr failure"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTheQuotasOfAProjectLimitItsEgresses(t *testing.T) {
	s := newServer(t, func(o *setup) { o.replica = true })
	mine := s.limited("mine", map[string]any{"concurrent_egresses": 2, "egress_minutes_per_month": 1})
	file := map[string]any{"type": "room_composite", "room_name": "hall", "outputs": []any{map[string]any{"kind": "file"}}}
	var all sync.WaitGroup
	var mu sync.Mutex
	admitted := 0
	replicas := []*server{s, s.another()}
	for n := range 6 {
		all.Go(func() {
			if a := replicas[n%2].do(http.MethodPost, egresses+"/start", file, mine.asOwn); a.status == http.StatusCreated {
				mu.Lock()
				admitted++
				mu.Unlock()
			}
		})
	}
	all.Wait()
	if admitted > 2 {
		t.Fatalf("%d were admitted at once", admitted)
	}
	for range 2 - admitted {
		s.records(mine.asOwn)
	}
	s.do(http.MethodPost, egresses+"/start", file, mine.asOwn).overQuota(models.QuotaConcurrentEgresses, 2, 2)
	if list := read[handlers.List[handlers.EgressInfo]](s.do(http.MethodGet, egresses, nil, mine.asOwn).want(http.StatusOK)); len(list.Items) != 2 {
		t.Errorf("refused starts are listed: %+v", list.Items)
	}
	for _, info := range s.livekit.egress.all {
		s.tellsEgress("egress_ended", info.EgressId, ends(livekit.EgressStatus_EGRESS_COMPLETE, 31))
	}
	s.clock.Advance(time.Minute) // what the month's use is cached for
	s.do(http.MethodPost, egresses+"/start", file, mine.asOwn).refused(http.StatusPaymentRequired, "quota_exceeded")
}

func TestARoomIsRecordedFromItsStartWhereItsProjectOrItsRequestSaysSo(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	egressOf := func(room string) *livekit.RoomEgress {
		t.Helper()
		s.livekit.mu.Lock()
		defer s.livekit.mu.Unlock()
		return s.livekit.recorded[ada.project+"_"+room]
	}
	create := func(body map[string]any) *answer {
		t.Helper()
		return s.do(http.MethodPost, "/v1/rooms", body, ada.asOwn)
	}
	create(map[string]any{"room_name": "plain"}).want(http.StatusCreated)
	create(map[string]any{"room_name": "asked", "recording": true}).want(http.StatusCreated)
	s.do(http.MethodPatch, "/v1/projects/"+ada.project, `{"recording":{"enabled":true,"layout":"grid"}}`, ada.asPerson).want(http.StatusOK)
	create(map[string]any{"room_name": "always"}).want(http.StatusCreated)
	create(map[string]any{"room_name": "not", "recording": false}).want(http.StatusCreated)
	for room, want := range map[string]bool{"plain": false, "asked": true, "always": true, "not": false} {
		if got := egressOf(room); (got != nil) != want {
			t.Errorf("%s: %v", room, got)
		}
	}
	if path := egressOf("always").GetRoom().GetFileOutputs()[0].GetFilepath(); egressOf("always").GetRoom().GetLayout() != "grid" || !strings.HasPrefix(path, ada.project+"/always/") {
		t.Errorf("%s", path)
	}
	reader := s.newKey(ada, map[string]any{"name": "rooms", "scopes": []string{"rooms:write"}})
	s.do(http.MethodPost, "/v1/rooms", map[string]any{"room_name": "more", "recording": true}, asServer(reader.PulseAPIKey, reader.PulseAPISecret)).
		refused(http.StatusForbidden, "insufficient_scope")

	bob := s.limited("bob", map[string]any{"concurrent_egresses": 1})
	s.do(http.MethodPost, "/v1/rooms", map[string]any{"room_name": "hall", "recording": false}, bob.asOwn)
	s.records(bob.asOwn)
	s.do(http.MethodPost, "/v1/rooms", map[string]any{"room_name": "second", "recording": true}, bob.asOwn).refused(http.StatusPaymentRequired, "quota_exceeded")
	s.do(http.MethodPost, "/v1/rooms", map[string]any{"room_name": "second"}, bob.asOwn).want(http.StatusCreated)

	fenced := newServer(t, func(o *setup) { o.fenced = true })
	eve := fenced.tenant("eve")
	fenced.do(http.MethodPost, "/v1/rooms", map[string]any{"room_name": "lab", "recording": true}, eve.asOwn).refused(http.StatusConflict, "storage_not_configured")
}
