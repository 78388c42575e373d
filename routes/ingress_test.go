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
	"google.golang.org/protobuf/encoding/protojson"

	"pulse-control-plane/handlers"
	"pulse-control-plane/models"
)

const ingresses = "/v1/media/ingress"

// ingressBody asks for an ingress of RTMP, with other fields.
func ingressBody(more ...any) map[string]any {
	body := map[string]any{"input_type": "rtmp", "room_name": "hall", "participant_identity": "obs"}
	for i := 0; i < len(more); i += 2 {
		body[more[i].(string)] = more[i+1]
	}
	return body
}

// takesIn creates an ingress.
func (s *server) takesIn(who with, more ...any) handlers.CreatedIngress {
	s.t.Helper()
	return read[handlers.CreatedIngress](s.do(http.MethodPost, ingresses+"/create", ingressBody(more...), who).want(http.StatusCreated))
}

// ingress reads an ingress.
func (s *server) ingress(who with, id string) handlers.IngressInfo {
	s.t.Helper()
	return read[handlers.IngressInfo](s.do(http.MethodGet, ingresses+"/"+id, nil, who).want(http.StatusOK))
}

func (s *server) ingresses(who with, query string) (ids string) {
	s.t.Helper()
	var out []string
	for _, i := range read[handlers.List[handlers.IngressInfo]](s.do(http.MethodGet, ingresses+query, nil, who).want(http.StatusOK)).Items {
		out = append(out, i.ID)
	}
	return strings.Join(out, " ")
}

// tellsIngress sends an event of LiveKit about an ingress of the fake, as it is after a
// change, and has it worked on.
func (s *server) tellsIngress(kind, id string, to func(*livekit.IngressState)) {
	s.t.Helper()
	info, err := s.livekit.ingress.becomes(id, func(info *livekit.IngressInfo) { to(info.State) })
	if err != nil {
		s.t.Fatal(err)
	}
	s.ingressEvent(kind, info)
}

func (s *server) ingressEvent(kind string, info *livekit.IngressInfo) {
	s.t.Helper()
	text, err := protojson.Marshal(info)
	if err != nil {
		s.t.Fatal(err)
	}
	s.webhook(json.RawMessage(fmt.Sprintf(`{"event":%q,"id":"EV_%s_%s_%d","createdAt":"%d","ingressInfo":%s}`,
		kind, kind, info.IngressId, info.State.UpdatedAt, s.clock.Now().Unix(), text))).want(http.StatusOK)
	s.work()
}

// publishing is a run of an ingress that began, and told of it, at times.
func publishing(began, told time.Time) func(*livekit.IngressState) {
	return func(state *livekit.IngressState) {
		state.Status, state.RoomId, state.EndedAt = livekit.IngressState_ENDPOINT_PUBLISHING, "RM_hall", 0
		state.StartedAt, state.UpdatedAt, state.Error = began.UnixNano(), told.UnixNano(), ""
	}
}

// over is the end of a run.
func over(status livekit.IngressState_Status, at time.Time, reason string) func(*livekit.IngressState) {
	return func(state *livekit.IngressState) {
		state.Status, state.EndedAt, state.UpdatedAt, state.Error = status, at.UnixNano(), at.UnixNano(), reason
	}
}

func TestAnIngressIsCreatedChangedAndDeleted(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	made := s.takesIn(ada.asOwn, "name", "studio A", "participant_name", "OBS", "participant_metadata", "m", "audio", map[string]any{"preset": "OPUS_MONO_64KBS"},
		"video", map[string]any{"options": map[string]any{"video_codec": "vp8", "layers": []any{map[string]any{"quality": "high", "width": 640, "height": 360}}}})
	ask := s.livekit.ingress.last.(*livekit.CreateIngressRequest)
	if ask.RoomName != ada.qualified("hall") || !strings.HasPrefix(ask.Name, "igr_") || !strings.HasSuffix(ask.Name, " studio A") || ask.ParticipantIdentity != "obs" ||
		ask.ParticipantName != "OBS" || ask.ParticipantMetadata != "m" || ask.Enabled != nil || ask.EnableTranscoding != nil ||
		ask.Audio.GetPreset() != livekit.IngressAudioEncodingPreset_OPUS_MONO_64KBS || ask.Video.GetOptions().GetLayers()[0].Quality != livekit.VideoQuality_HIGH {
		t.Errorf("asked %v", ask)
	}
	i := made.Ingress
	if *made.StreamKey != streamKey(1) || i.ID != "IN_1" || i.Status != "inactive" || i.Name != "studio A" || i.RoomName != "hall" || *i.URL != "rtmp://ingress.example:1935/live" ||
		!i.Enabled || !i.EnableTranscoding || !i.Reusable || i.Audio.Preset != "opus_mono_64kbs" || i.Video.Options.Layers[0].Width != 640 || i.StartedAt != nil || i.Error != nil {
		t.Errorf("made %+v", made)
	}
	whip := s.takesIn(ada.asOwn, "input_type", "WHIP_INPUT", "enabled", false).Ingress
	if whip.EnableTranscoding || whip.Enabled || *whip.URL != "https://ingress.example/w" {
		t.Errorf("made %+v", whip)
	}
	changed := read[handlers.IngressInfo](s.do(http.MethodPatch, ingresses+"/IN_1", map[string]any{"room_name": "stage", "enabled": false, "name": nil}, ada.asOwn).want(http.StatusOK))
	update := s.livekit.ingress.last.(*livekit.UpdateIngressRequest)
	if update.RoomName != ada.qualified("stage") || update.GetEnabled() || !strings.HasPrefix(update.Name, "igr_") || update.ParticipantIdentity != "" {
		t.Errorf("asked %v", update)
	}
	if again := s.ingress(ada.asOwn, "IN_1"); changed.RoomName != "stage" || changed.Enabled || changed.Name != "" || again.RoomName != "stage" || again.ParticipantName != "OBS" {
		t.Errorf("changed to %+v", changed)
	}
	s.do(http.MethodPatch, ingresses+"/IN_1", map[string]any{"room_name": "a/b", "participant_identity": "", "enable_transcoding": false}, ada.asOwn).
		refused(http.StatusBadRequest, "invalid_request", "body.room_name", "body.participant_identity", "body.enable_transcoding", "body.audio.preset", "body.video.options")
	s.do(http.MethodPatch, ingresses+"/IN_1", map[string]any{}, ada.asOwn).refused(http.StatusBadRequest, "invalid_request", "body.enabled")
	s.do(http.MethodDelete, ingresses+"/IN_1", nil, ada.asOwn).want(http.StatusNoContent)
	s.do(http.MethodGet, ingresses+"/IN_1", nil, ada.asOwn).refused(http.StatusNotFound, "not_found")
	s.do(http.MethodDelete, ingresses+"/IN_1", nil, ada.asOwn).refused(http.StatusNotFound, "not_found")
	if got := s.ingresses(ada.asOwn, ""); got != "IN_2" || len(s.livekit.ingress.all) != 1 {
		t.Errorf("listed %s", got)
	}
}

func TestAnIngressThatPullsAURLEndsWithItsStream(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	const source = "https://user:s3cr3t-password@8.8.8.8/live/a.m3u8?signature=s3cr3t-signature"
	made := s.takesIn(ada.asOwn, "input_type", "url", "url", source)
	if ask := s.livekit.ingress.last.(*livekit.CreateIngressRequest); ask.Url != source {
		t.Errorf("asked for %s", ask.Url)
	}
	if made.StreamKey != nil || *made.Ingress.URL != "https://8.8.8.8/live/a.m3u8" || made.Ingress.Reusable {
		t.Errorf("made %+v", made)
	}
	s.do(http.MethodPatch, ingresses+"/IN_1", map[string]any{"enabled": false}, ada.asOwn).refused(http.StatusConflict, "ingress_not_reusable")
	began := s.clock.Now().Add(-time.Minute)
	s.tellsIngress("ingress_started", "IN_1", publishing(began, began))
	s.tellsIngress("ingress_ended", "IN_1", over(livekit.IngressState_ENDPOINT_COMPLETE, began.Add(30*time.Second), "read "+source+": EOF in "+ada.qualified("hall")))
	i := s.ingress(ada.asOwn, "IN_1")
	if i.Status != "complete" || i.EndedAt == nil || *i.Error != "read https://8.8.8.8/live/a.m3u8 EOF in hall" && *i.Error != "read https://8.8.8.8/live/a.m3u8: EOF in hall" {
		t.Errorf("ended %+v %s", i, *i.Error)
	}
	for what, text := range map[string]string{"log": s.log.String(), "database": s.dump(), "trail": fmt.Sprint(s.trailOf(ada.org)),
		"events": string(s.do(http.MethodGet, "/v1/events", nil, ada.asOwn).body), "answer": string(s.do(http.MethodGet, ingresses, nil, ada.asOwn).body)} {
		if strings.Contains(text, "s3cr3t") {
			t.Errorf("the %s has a secret of the URL", what)
		}
	}
}

func TestTheStreamKeyIsShownOnCreationOnly(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	made := s.takesIn(ada.asOwn, "name", "studio")
	if made.StreamKey == nil || *made.StreamKey != streamKey(1) {
		t.Fatalf("made %+v", made)
	}
	now := s.clock.Now()
	s.tellsIngress("ingress_started", "IN_1", publishing(now, now))
	s.tellsIngress("ingress_ended", "IN_1", over(livekit.IngressState_ENDPOINT_ERROR, now.Add(time.Second), "no video from "+streamKey(1)))
	s.clock.Advance(time.Minute)
	if err := s.Ingresses.Compare(t.Context()); err != nil {
		t.Fatal(err)
	}
	changed := s.do(http.MethodPatch, ingresses+"/IN_1", map[string]any{"enabled": false}, ada.asOwn).want(http.StatusOK)
	if i := s.ingress(ada.asOwn, "IN_1"); i.Status != "error" || *i.Error != "no video from ***" {
		t.Errorf("got %+v", i)
	}
	events := string(s.do(http.MethodGet, "/v1/events?type=ingress.started", nil, ada.asOwn).body)
	if !strings.Contains(events, `"name":"studio"`) || strings.Contains(events, "igr_") {
		t.Errorf("the event has another name: %s", events)
	}
	for what, text := range map[string]string{"log": s.log.String(), "database": s.dump(), "trail": fmt.Sprint(s.trailOf(ada.org)), "events": string(s.do(http.MethodGet, "/v1/events", nil, ada.asOwn).body),
		"list": string(s.do(http.MethodGet, ingresses, nil, ada.asOwn).body), "ingress": string(s.do(http.MethodGet, ingresses+"/IN_1", nil, ada.asOwn).body), "change": string(changed.body)} {
		if strings.Contains(text, "s3cr3t") {
			t.Errorf("the %s has the stream key", what)
		}
	}
}

func TestAnIngressFollowsItsLatestRunWhateverOrderEventsComeIn(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	s.takesIn(ada.asOwn)
	first := s.clock.Now().Add(-time.Hour)
	second := first.Add(10 * time.Minute)
	started, ended := publishing(first, first), over(livekit.IngressState_ENDPOINT_INACTIVE, first.Add(time.Minute), "")
	s.tellsIngress("ingress_started", "IN_1", started)
	if i := s.ingress(ada.asOwn, "IN_1"); i.Status != "publishing" || !i.StartedAt.Equal(first.UTC().Truncate(time.Millisecond)) || i.EndedAt != nil {
		t.Errorf("started %+v", i)
	}
	s.tellsIngress("ingress_ended", "IN_1", ended)
	if i := s.ingress(ada.asOwn, "IN_1"); i.Status != "inactive" || i.EndedAt == nil {
		t.Errorf("ended %+v", i)
	}
	s.tellsIngress("ingress_started", "IN_1", publishing(first, first.Add(time.Second))) // late
	if i := s.ingress(ada.asOwn, "IN_1"); i.Status != "inactive" {
		t.Errorf("a late event made it %s", i.Status)
	}
	s.tellsIngress("ingress_started", "IN_1", publishing(second, second))
	if i := s.ingress(ada.asOwn, "IN_1"); i.Status != "publishing" || i.EndedAt != nil {
		t.Errorf("the second run is %+v", i)
	}
	s.tellsIngress("ingress_ended", "IN_1", func(state *livekit.IngressState) {
		started(state)
		ended(state)
	})
	if i := s.ingress(ada.asOwn, "IN_1"); i.Status != "publishing" {
		t.Errorf("the end of the first run made the second %s", i.Status)
	}
	usage := read[handlers.List[handlers.UsageSession]](s.do(http.MethodGet, "/v1/usage/sessions?subject=ingress", nil, ada.asOwn).want(http.StatusOK)).Items
	if len(usage) != 2 || usage[1].DurationSeconds != 60 || usage[0].LeftAt != nil {
		t.Errorf("metered %+v", usage)
	}
}

func TestIngressesAreListedByStatusAndRoom(t *testing.T) {
	s := newServer(t)
	ada, eve := s.tenant("ada"), s.tenant("eve")
	for _, room := range []string{"a", "b", "a"} {
		s.takesIn(ada.asOwn, "room_name", room)
	}
	s.takesIn(eve.asOwn)
	s.tellsIngress("ingress_started", "IN_2", publishing(s.clock.Now(), s.clock.Now()))
	for query, want := range map[string]string{"": "IN_3 IN_2 IN_1", "?room_name=a": "IN_3 IN_1", "?status=publishing": "IN_2", "?status=inactive": "IN_3 IN_1",
		"?status=inactive&room_name=b": "", "?room_name=hall": ""} {
		if got := s.ingresses(ada.asOwn, query); got != want {
			t.Errorf("%s lists %q, want %q", query, got, want)
		}
	}
	first := read[handlers.List[handlers.IngressInfo]](s.do(http.MethodGet, ingresses+"?limit=2", nil, ada.asOwn).want(http.StatusOK))
	if rest := s.ingresses(ada.asOwn, "?limit=2&cursor="+*first.NextCursor); rest != "IN_1" {
		t.Errorf("the second page is %s", rest)
	}
	s.do(http.MethodGet, ingresses+"?status=done", nil, ada.asOwn).refused(http.StatusBadRequest, "invalid_request", "query.status")
}

func TestAnIngressOfAnotherTenantIsAMissingOne(t *testing.T) {
	s := newServer(t)
	ada, eve := s.tenant("ada"), s.tenant("eve")
	s.takesIn(ada.asOwn)
	calls := s.livekit.ingress.calls()
	for _, who := range []with{eve.asOwn, func(r *http.Request) { eve.asPerson(r); r.URL.RawQuery = "project_id=" + eve.project }} {
		for method, body := range map[string]any{"GET": nil, "PATCH": map[string]any{"enabled": false}, "DELETE": nil} {
			foreign := s.do(method, ingresses+"/IN_1", body, who).refused(http.StatusNotFound, "not_found")
			missing := s.do(method, ingresses+"/IN_9", body, who).refused(http.StatusNotFound, "not_found")
			if foreign.problem().Detail != missing.problem().Detail {
				t.Errorf("%s: another tenant's ingress is not like a missing one", method)
			}
		}
	}
	if got := s.livekit.ingress.calls(); got != calls || s.ingresses(eve.asOwn, "") != "" {
		t.Errorf("LiveKit was asked for another tenant's ingress: %s", got)
	}
}

func TestEachChangeOfAnIngressIsInTheTrail(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	s.takesIn(ada.asOwn)
	s.do(http.MethodPatch, ingresses+"/IN_1", map[string]any{"enabled": false}, ada.asOwn).want(http.StatusOK)
	s.do(http.MethodDelete, ingresses+"/IN_1", nil, ada.asOwn).want(http.StatusNoContent)
	s.livekit.ingress.fails = twirp.NewError(twirp.Unavailable, "away")
	s.do(http.MethodPost, ingresses+"/create", ingressBody(), ada.asOwn).refused(http.StatusServiceUnavailable, "ingress_not_created")
	var got []string
	for _, e := range s.trailOf(ada.org) {
		if e.Target.Type == "ingress" {
			got = append(got, e.Action+" "+e.Target.ID[:3]+" "+string(e.Outcome))
		}
	}
	slices.Reverse(got)
	if want := []string{"ingress.created igr success", "ingress.updated IN_ success", "ingress.deleted IN_ success", "ingress.created igr failure"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestIngressesHoldToTheQuotaOfTheirProject(t *testing.T) {
	s := newServer(t, func(o *setup) { o.replica = true })
	mine := s.limited("mine", map[string]any{"concurrent_ingresses": 2})
	var all sync.WaitGroup
	var mu sync.Mutex
	admitted := 0
	replicas := []*server{s, s.another()}
	for n := range 6 {
		all.Go(func() {
			if a := replicas[n%2].do(http.MethodPost, ingresses+"/create", ingressBody(), mine.asOwn); a.status == http.StatusCreated {
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
		s.takesIn(mine.asOwn)
	}
	s.do(http.MethodPost, ingresses+"/create", ingressBody(), mine.asOwn).overQuota(models.QuotaConcurrentIngresses, 2, 2)
	ids := strings.Fields(s.ingresses(mine.asOwn, ""))
	if len(ids) != 2 || len(s.livekit.ingress.all) != 2 {
		t.Fatalf("refused ones are there: %v", ids)
	}
	s.do(http.MethodDelete, ingresses+"/"+ids[0], nil, mine.asOwn).want(http.StatusNoContent)
	pulled := s.takesIn(mine.asOwn, "input_type", "url", "url", "https://8.8.8.8/a.mp4").Ingress.ID
	s.do(http.MethodPost, ingresses+"/create", ingressBody(), mine.asOwn).overQuota(models.QuotaConcurrentIngresses, 2, 2)
	s.tellsIngress("ingress_ended", pulled, over(livekit.IngressState_ENDPOINT_COMPLETE, s.clock.Now(), ""))
	s.takesIn(mine.asOwn) // one that has ended does not count
}
