package routes_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/livekit/protocol/livekit"
	"go.mongodb.org/mongo-driver/v2/bson"
)

// comparesIngressesFor runs the worker for a time, as often as it runs.
func (s *server) comparesIngressesFor(d time.Duration) {
	s.t.Helper()
	for ; d > 0; d -= 30 * time.Second {
		s.comparesIngresses(30 * time.Second)
	}
}

func TestAnEndedIngressOfAURLIsDeletedAtLiveKitAndKeptInTheList(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	s.takesIn(ada.asOwn, "input_type", "url", "url", "https://8.8.8.8/a.mp4")
	s.takesIn(ada.asOwn) // an encoder's stays
	began := s.clock.Now()
	s.tellsIngress("ingress_started", "IN_1", publishing(began, began))
	s.tellsIngress("ingress_ended", "IN_1", over(livekit.IngressState_ENDPOINT_COMPLETE, began.Add(time.Second), ""))
	s.tellsIngress("ingress_started", "IN_2", publishing(began, began))
	s.tellsIngress("ingress_ended", "IN_2", over(livekit.IngressState_ENDPOINT_ERROR, began.Add(time.Second), "no video"))
	s.comparesIngresses(30 * time.Second)
	if len(s.livekit.ingress.all) != 2 {
		t.Error("it was deleted while its last events may be on their way")
	}
	s.comparesIngresses(time.Minute)
	if all := s.livekit.ingress.all; len(all) != 1 || all[0].IngressId != "IN_2" {
		t.Errorf("LiveKit lists %v", all)
	}
	calls := s.livekit.ingress.calls()
	s.comparesIngressesFor(time.Hour)
	if i := s.ingress(ada.asOwn, "IN_1"); i.Status != "complete" || s.ingresses(ada.asOwn, "") != "IN_2 IN_1" {
		t.Errorf("it is %+v", i)
	}
	if again := strings.TrimPrefix(s.livekit.ingress.calls(), calls); strings.Contains(again, "Delete") {
		t.Errorf("it is deleted again: %s", again)
	}
	s.do(http.MethodDelete, ingresses+"/IN_1", nil, ada.asOwn).want(http.StatusNoContent)
	if s.ingresses(ada.asOwn, "") != "IN_2" {
		t.Error("it is still listed")
	}
}

func TestAnIngressThatOneListLacksIsNotLost(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	s.takesIn(ada.asOwn)
	s.livekit.ingress.blind = true
	s.comparesIngresses(time.Minute)
	if i := s.ingress(ada.asOwn, "IN_1"); i.Status != "inactive" || i.Error != nil {
		t.Errorf("it is %+v", i)
	}
}

func TestALostIngressIsOpenAgainWhenLiveKitHasItAgain(t *testing.T) {
	s := newServer(t)
	mine := s.limited("mine", map[string]any{"concurrent_ingresses": 3})
	for range 2 {
		s.takesIn(mine.asOwn)
	}
	s.takesIn(mine.asOwn, "input_type", "url", "url", "https://8.8.8.8/a.mp4")
	now := s.clock.Now()
	s.tellsIngress("ingress_started", "IN_3", publishing(now, now))
	all := s.livekit.ingress.all
	s.livekit.ingress.all = nil // LiveKit's Redis is restored later
	s.comparesIngresses(time.Minute)
	for _, id := range []string{"IN_1", "IN_2", "IN_3"} {
		if i := s.ingress(mine.asOwn, id); i.Status != "error" || i.Error == nil {
			t.Errorf("lost: %+v", i)
		}
	}
	s.livekit.ingress.all = all
	s.tellsIngress("ingress_started", "IN_2", publishing(now, now))
	if i := s.ingress(mine.asOwn, "IN_2"); i.Status != "publishing" || i.Error != nil || i.EndedAt != nil {
		t.Errorf("told of: %+v", i)
	}
	s.comparesIngressesFor(11 * time.Minute)
	if i := s.ingress(mine.asOwn, "IN_1"); i.Status != "inactive" || i.Error != nil {
		t.Errorf("listed again: %+v", i)
	}
	if i := s.ingress(mine.asOwn, "IN_3"); i.Status != "publishing" || i.Error != nil || i.EndedAt != nil || len(s.livekit.ingress.all) != 3 {
		t.Errorf("listed again: %+v", i)
	}
	s.do(http.MethodPost, ingresses+"/create", ingressBody(), mine.asOwn).refused(http.StatusPaymentRequired, "quota_exceeded")
}

func TestTheIngressesOfAMissingProjectAreDeleted(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	s.takesIn(ada.asOwn)
	if _, err := s.engine.Delete(t.Context(), "projects", bson.D{{Key: "_id", Value: ada.project}}, 1); err != nil {
		t.Fatal(err)
	}
	s.comparesIngresses(time.Minute)
	if len(s.livekit.ingress.all) != 0 {
		t.Errorf("left: %v", s.livekit.ingress.all)
	}
}

func TestAClientThatHangsUpLeavesTheRecordOfItsChange(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	s.takesIn(ada.asOwn)
	ctx, hangUp := context.WithCancel(t.Context())
	s.engine.changing = func(collection string) {
		if collection == "ingresses" {
			hangUp()
		}
	}
	s.do(http.MethodPatch, ingresses+"/IN_1", map[string]any{"room_name": "stage"}, ada.asOwn, func(r *http.Request) { *r = *r.WithContext(ctx) })
	s.engine.changing = nil
	if i := s.ingress(ada.asOwn, "IN_1"); ctx.Err() == nil || i.RoomName != "stage" {
		t.Errorf("it is %+v", i)
	}
}

func TestAChangeThatWasNotWrittenDownIsFoundAtLiveKit(t *testing.T) {
	s := newServer(t)
	ada, eve := s.tenant("ada"), s.tenant("eve")
	s.takesIn(ada.asOwn, "name", "studio", "audio", map[string]any{"preset": "opus_mono_64kbs"})
	s.takesIn(eve.asOwn)
	s.livekit.ingress.updated = func() { s.engine.away.Store(true) }
	s.do(http.MethodPatch, ingresses+"/IN_1", map[string]any{"room_name": "stage", "participant_identity": "cam", "participant_name": "Camera", "participant_metadata": "m", "enabled": false,
		"audio": map[string]any{"options": map[string]any{"audio_codec": "opus", "channels": 1}}, "video": map[string]any{"source": "screen_share", "options": map[string]any{"video_codec": "vp8",
			"layers": []any{map[string]any{"quality": "high", "width": 640, "height": 360}}}}}, ada.asOwn).want(http.StatusServiceUnavailable)
	s.livekit.ingress.updated = nil
	s.engine.away.Store(false)
	if _, err := s.livekit.ingress.becomes("IN_2", func(info *livekit.IngressInfo) { info.RoomName = ada.qualified("stage") }); err != nil {
		t.Fatal(err)
	}
	s.comparesIngresses(time.Minute)
	i := s.ingress(ada.asOwn, "IN_1")
	if i.Name != "studio" || i.RoomName != "stage" || i.ParticipantIdentity != "cam" || i.ParticipantName != "Camera" || i.ParticipantMetadata != "m" || i.Enabled ||
		i.Audio.Preset != "" || i.Audio.Options.Channels != 1 || i.Video.Source != "screen_share" || i.Video.Options.Codec != "vp8" || i.Video.Options.Layers[0].Width != 640 {
		t.Errorf("it is %+v", i)
	}
	if other := s.ingress(eve.asOwn, "IN_2"); other.RoomName != "hall" {
		t.Errorf("another project's room is taken over: %+v", other)
	}
	writes := s.engine.writes.Load()
	s.comparesIngresses(time.Minute)
	if n := s.engine.writes.Load() - writes; n != 0 {
		t.Errorf("%d writes though nothing changed", n)
	}
}
