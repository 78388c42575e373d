package routes_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/livekit/protocol/livekit"
	"github.com/twitchtv/twirp"
)

// comparesIngresses runs the worker that compares records with LiveKit's list.
func (s *server) comparesIngresses(after time.Duration) {
	s.t.Helper()
	s.clock.Advance(after)
	if err := s.Ingresses.Compare(s.t.Context()); err != nil {
		s.t.Fatal(err)
	}
}

func TestEveryErrorOfLiveKitAboutAnIngressHasItsOwnAnswer(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	s.takesIn(ada.asOwn)
	for _, c := range []struct {
		fails  error
		status int
		code   string
		update string
	}{
		{twirp.NewError(twirp.Unavailable, "no response from servers"), 503, "ingress_not_created", "service_unavailable"},
		{twirp.NewError(twirp.DeadlineExceeded, "timed out"), 503, "ingress_not_created", "service_unavailable"},
		{twirp.NewError(twirp.Internal, "ingress not connected (redis required)"), 503, "ingress_not_created", "service_unavailable"},
		{twirp.InvalidArgumentError("room_name", ada.qualified("hall")), 409, "invalid_for_livekit", "invalid_for_livekit"},
		{twirp.NewError(twirp.FailedPrecondition, ada.qualified("hall")), 409, "failed_precondition", "failed_precondition"},
		{twirp.NewError(twirp.PermissionDenied, "permissions denied"), 500, "internal_error", "internal_error"},
		{twirp.NewError(twirp.Unimplemented, "no"), 501, "not_supported", "not_supported"},
	} {
		s.livekit.ingress.fails = c.fails
		made := s.do(http.MethodPost, ingresses+"/create", ingressBody(), ada.asOwn).refused(c.status, c.code)
		changed := s.do(http.MethodPatch, ingresses+"/IN_1", map[string]any{"enabled": true}, ada.asOwn).refused(c.status, c.update)
		for _, a := range []*answer{made, changed} {
			if strings.Contains(string(a.body), ada.project) || c.status == 503 && a.header.Get("Retry-After") == "" {
				t.Errorf("%v: %s %v", c.fails, a.body, a.header)
			}
		}
	}
	s.livekit.ingress.fails = twirp.NotFoundError("ingress does not exist")
	s.do(http.MethodPatch, ingresses+"/IN_1", map[string]any{"enabled": true}, ada.asOwn).refused(http.StatusConflict, "ingress_lost")
	s.livekit.ingress.fails = nil
	s.comparesIngresses(time.Minute)
	if got := s.ingresses(ada.asOwn, ""); got != "IN_1" {
		t.Errorf("listed %s", got)
	}
}

// LiveKit made it and the answer was lost: nobody has its key.
func TestAnIngressWhoseCreationWasNotAnsweredIsDeletedAgain(t *testing.T) {
	s := newServer(t)
	mine := s.limited("mine", map[string]any{"concurrent_ingresses": 1})
	s.livekit.ingress.unheard = twirp.NewError(twirp.DeadlineExceeded, "timed out")
	s.do(http.MethodPost, ingresses+"/create", ingressBody(), mine.asOwn).refused(http.StatusServiceUnavailable, "ingress_not_created")
	s.livekit.ingress.unheard = nil
	if got := s.ingresses(mine.asOwn, ""); got != "" {
		t.Errorf("it is listed: %s", got)
	}
	s.do(http.MethodPost, ingresses+"/create", ingressBody(), mine.asOwn).refused(http.StatusPaymentRequired, "quota_exceeded") // it may be there
	s.comparesIngresses(11 * time.Second)
	if len(s.livekit.ingress.all) != 1 {
		t.Error("it was deleted while its request may be under way")
	}
	s.comparesIngresses(30 * time.Second)
	if len(s.livekit.ingress.all) != 0 {
		t.Errorf("it is still there: %v", s.livekit.ingress.all)
	}
	s.takesIn(mine.asOwn)
}

func TestACreationWithALostAnswerGivesTheSameIngressAndKeyWhenItIsSentAgain(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	key := header("Idempotency-Key", "the-same")
	s.livekit.ingress.created = func(*livekit.IngressInfo) { s.engine.away.Store(true) }
	s.do(http.MethodPost, ingresses+"/create", ingressBody(), ada.asOwn, key).want(http.StatusServiceUnavailable)
	s.engine.away.Store(false)
	s.livekit.ingress.created = nil
	s.clock.Advance(20 * time.Minute) // what an attempt whose process died holds the key for
	again := read[crafted](s.do(http.MethodPost, ingresses+"/create", ingressBody(), ada.asOwn, key).want(http.StatusCreated))
	if again.Ingress.ID != "IN_1" || again.StreamKey != streamKey(1) || len(s.livekit.ingress.all) != 1 {
		t.Errorf("got %+v of %v", again, s.livekit.ingress.all)
	}
	if replay := s.do(http.MethodPost, ingresses+"/create", ingressBody(), ada.asOwn, key).want(http.StatusCreated); replay.header.Get("Idempotent-Replayed") != "true" {
		t.Error("the third request made something")
	}
	s.comparesIngresses(time.Minute)
	if s.ingresses(ada.asOwn, "") != "IN_1" || len(s.livekit.ingress.all) != 1 {
		t.Error("it was deleted")
	}
}

type crafted struct {
	Ingress   struct{ ID string }
	StreamKey string `json:"stream_key"`
}

func TestADeletionThatLiveKitDidNotHearIsCarriedOutLater(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	s.takesIn(ada.asOwn)
	s.livekit.ingress.fails = twirp.NewError(twirp.Unavailable, "away")
	s.do(http.MethodDelete, ingresses+"/IN_1", nil, ada.asOwn).want(http.StatusServiceUnavailable)
	if i := s.ingress(ada.asOwn, "IN_1"); i.ID != "IN_1" {
		t.Errorf("got %+v", i)
	}
	s.livekit.ingress.fails = nil
	s.comparesIngresses(time.Minute)
	if s.ingresses(ada.asOwn, "") != "" || len(s.livekit.ingress.all) != 0 {
		t.Error("it is still there")
	}
}

func TestRecordsOfIngressesFollowLiveKitsListWhereItsEventsAreMissing(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	for range 2 {
		s.takesIn(ada.asOwn)
	}
	now := s.clock.Now()
	if _, err := s.livekit.ingress.becomes("IN_1", func(info *livekit.IngressInfo) { publishing(now, now)(info.State) }); err != nil {
		t.Fatal(err)
	}
	s.livekit.ingress.mu.Lock()
	s.livekit.ingress.all = s.livekit.ingress.all[:1] // LiveKit forgot IN_2
	s.livekit.ingress.mu.Unlock()
	s.livekit.ingress.fails = twirp.NewError(twirp.Unavailable, "away")
	s.clock.Advance(time.Minute)
	if err := s.Ingresses.Compare(t.Context()); err == nil {
		t.Error("a cluster that is away was compared")
	}
	if i := s.ingress(ada.asOwn, "IN_2"); i.Status != "inactive" {
		t.Errorf("a cluster that is away made IN_2 %s", i.Status)
	}
	s.livekit.ingress.fails = nil
	s.comparesIngresses(time.Second)
	if i := s.ingress(ada.asOwn, "IN_1"); i.Status != "publishing" || i.StartedAt == nil {
		t.Errorf("IN_1 is %+v", i)
	}
	if i := s.ingress(ada.asOwn, "IN_2"); i.Status != "error" || i.Error == nil {
		t.Errorf("IN_2 is %+v", i)
	}
	s.do(http.MethodDelete, ingresses+"/IN_2", nil, ada.asOwn).want(http.StatusNoContent)
}

func TestTheIngressesOfADeletedProjectAreDeleted(t *testing.T) {
	s := newServer(t)
	ada, eve := s.tenant("ada"), s.tenant("eve")
	s.takesIn(ada.asOwn)
	s.takesIn(eve.asOwn)
	s.do(http.MethodDelete, "/v1/projects/"+ada.project, nil, ada.asPerson).want(http.StatusNoContent)
	s.comparesIngresses(time.Minute)
	if all := s.livekit.ingress.all; len(all) != 1 || all[0].IngressId != "IN_2" || s.ingresses(eve.asOwn, "") != "IN_2" {
		t.Errorf("left: %v", all)
	}
}
