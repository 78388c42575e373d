package routes_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twitchtv/twirp"

	"pulse-control-plane/handlers"
	"pulse-control-plane/models"
)

func (t tenant) qualified(room string) string {
	return models.QualifyRoom(models.ProjectID(t.project), room)
}

func TestARoomIsOpenedOnceUnderAQualifiedNameAndShownUnderTheTenants(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	body := map[string]any{"room_name": "daily", "empty_timeout": 60, "departure_timeout": 20, "max_participants": 5,
		"metadata": "m", "tags": map[string]string{"team": "blue"}}
	room := read[handlers.Room](s.do(http.MethodPost, "/v1/rooms", body, ada.asOwn).want(http.StatusCreated))
	if room.RoomName != "daily" || room.Status != "open" || room.EmptyTimeout != 60 || room.DepartureTimeout != 20 || room.MaxParticipants != 5 ||
		room.Metadata != "m" || room.Tags["team"] != "blue" || room.Region != "default" || room.SID == "" {
		t.Errorf("got %+v", room)
	}
	if !slices.Contains(s.livekit.asked, "CreateRoom "+ada.qualified("daily")) {
		t.Errorf("LiveKit was asked %q", s.livekit.asked)
	}
	again := read[handlers.Room](s.do(http.MethodPost, "/v1/rooms", map[string]any{"room_name": "daily", "metadata": "other"}, ada.asOwn).want(http.StatusOK))
	if again.Metadata != "m" || again.Tags["team"] != "blue" {
		t.Errorf("an open room was changed: %+v", again)
	}
	got := read[handlers.Room](s.do(http.MethodGet, "/v1/rooms/daily?project_id="+ada.project, nil, ada.asPerson).want(http.StatusOK))
	if got.SID != room.SID || got.Tags["team"] != "blue" {
		t.Errorf("read as %+v", got)
	}
	changed := read[handlers.Room](s.do(http.MethodPatch, "/v1/rooms/daily", map[string]any{"metadata": nil, "tags": map[string]string{"x": "y"}}, ada.asOwn).want(http.StatusOK))
	if changed.Metadata != "" || changed.Tags["x"] != "y" || len(changed.Tags) != 1 {
		t.Errorf("changed to %+v", changed)
	}
	s.do(http.MethodDelete, "/v1/rooms/daily", nil, ada.asOwn).want(http.StatusNoContent)
	s.do(http.MethodGet, "/v1/rooms/daily", nil, ada.asOwn).refused(http.StatusNotFound, "not_found")
	s.do(http.MethodDelete, "/v1/rooms/daily", nil, ada.asOwn).refused(http.StatusNotFound, "not_found")
}

func TestRoomsAreListedForTheirProjectAloneAndPagedNewestFirst(t *testing.T) {
	s := newServer(t)
	ada, eve := s.tenant("ada"), s.tenant("eve")
	for n := range 5 {
		name := fmt.Sprint("room", n)
		s.do(http.MethodPost, "/v1/rooms", map[string]any{"room_name": name}, ada.asOwn).want(http.StatusCreated)
		s.livekit.rooms[ada.qualified(name)].CreationTimeMs = 1_790_000_000_000 + int64(n)
	}
	s.do(http.MethodPost, "/v1/rooms", map[string]any{"room_name": "hers"}, eve.asOwn).want(http.StatusCreated)
	s.clock.Advance(2 * time.Second)
	var names []string
	path := "/v1/rooms?limit=2"
	for range 3 {
		page := read[handlers.List[handlers.Room]](s.do(http.MethodGet, path, nil, ada.asOwn).want(http.StatusOK))
		for _, r := range page.Items {
			names = append(names, r.RoomName)
		}
		if !page.HasMore {
			break
		}
		path = "/v1/rooms?limit=2&cursor=" + *page.NextCursor
	}
	if got := strings.Join(names, " "); got != "room4 room3 room2 room1 room0" {
		t.Errorf("listed %s", got)
	}
	s.do(http.MethodGet, path, nil, eve.asOwn).refused(http.StatusBadRequest, "invalid_request", "query.cursor")
}

func TestOneListOfTheClusterServesEveryCallerForASecondUntilAWrite(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	lists := func() (n int) {
		for _, call := range s.livekit.asked {
			if call == "ListRooms " {
				n++
			}
		}
		return n
	}
	for range 5 {
		s.do(http.MethodGet, "/v1/rooms", nil, ada.asOwn).want(http.StatusOK)
	}
	if lists() != 1 {
		t.Errorf("LiveKit was asked %d times", lists())
	}
	s.do(http.MethodPost, "/v1/rooms", map[string]any{"room_name": "new"}, ada.asOwn).want(http.StatusCreated)
	if page := read[handlers.List[handlers.Room]](s.do(http.MethodGet, "/v1/rooms", nil, ada.asOwn).want(http.StatusOK)); len(page.Items) != 1 {
		t.Errorf("a new room is not listed: %+v", page)
	}
}

func TestChangesOfParticipantsReachLiveKitUnderQualifiedNames(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	hall, ann := "/v1/rooms/hall", "/v1/rooms/hall/participants/ann"
	list := read[handlers.ParticipantList](s.do(http.MethodGet, hall+"/participants", nil, ada.asOwn).want(http.StatusOK))
	p := read[handlers.Participant](s.do(http.MethodGet, ann, nil, ada.asOwn).want(http.StatusOK))
	if len(list.Items) != 1 || p.ParticipantIdentity != "ann" || p.State != "active" || p.Kind != "STANDARD" || len(p.Attributes) != 1 ||
		p.Tracks[0].TrackSID != "TR_1" || p.Tracks[0].Source != "camera" || p.Permission.CanPublishSources[0] != "screen_share" {
		t.Errorf("got %+v", p)
	}
	s.do(http.MethodPatch, ann, map[string]any{"name": "A", "attributes": map[string]string{"mood": ""}, "permission": map[string]any{"canPublish": false, "canSubscribe": true,
		"canPublishSources": []string{"microphone"}}}, ada.asOwn).want(http.StatusOK)
	if u := s.livekit.update; u.Room != ada.qualified("hall") || u.Name != "A" || u.Permission.CanPublish || !u.Permission.CanSubscribe || len(u.Permission.CanPublishSources) != 1 {
		t.Errorf("updated with %+v", u)
	}
	s.do(http.MethodPatch, ann, map[string]any{"attributes": map[string]string{"pulse.token": "x"}}, ada.asOwn).refused(http.StatusBadRequest, "invalid_request", "body.attributes.pulse.token")
	s.do(http.MethodPost, ann+"/mute", map[string]any{"track_sid": "TR_1", "muted": true}, ada.asOwn).want(http.StatusOK)
	s.do(http.MethodPost, ann+"/mute", map[string]any{"track_sid": "TR_1", "muted": false}, ada.asOwn).refused(http.StatusConflict, "failed_precondition")
	s.do(http.MethodPost, hall+"/data", map[string]any{"data": base64.StdEncoding.EncodeToString([]byte("hi")), "topic": "chat", "destination_identities": []string{"ann"}}, ada.asOwn).want(http.StatusNoContent)
	if d := s.livekit.data; string(d.Data) != "hi" || d.Room != ada.qualified("hall") || d.GetTopic() != "chat" || len(d.DestinationIdentities) != 1 {
		t.Errorf("sent %+v", d)
	}
	for _, data := range []string{"%%", base64.StdEncoding.EncodeToString(make([]byte, 64<<10+1))} {
		s.do(http.MethodPost, hall+"/data", map[string]any{"data": data}, ada.asOwn).refused(http.StatusBadRequest, "invalid_request", "body.data")
	}
	s.do(http.MethodPost, ann+"/move", map[string]any{"destination_room": "other"}, ada.asOwn).want(http.StatusNoContent)
	s.do(http.MethodPost, ann+"/forward", map[string]any{"destination_room": "other"}, ada.asOwn).refused(http.StatusNotImplemented, "not_supported")
	s.do(http.MethodDelete, ann, nil, ada.asOwn).want(http.StatusNoContent)
	for _, call := range []string{"MoveParticipant " + ada.qualified("hall") + " to " + ada.qualified("other"), "RemoveParticipant " + ada.qualified("hall") + " ann"} {
		if !slices.Contains(s.livekit.asked, call) {
			t.Errorf("%q is not among %q", call, s.livekit.asked)
		}
	}
	s.do(http.MethodDelete, "/v1/rooms/hall/participants/a%ff", nil, ada.asOwn).refused(http.StatusNotFound, "not_found")
	for _, path := range []string{"/v1/rooms/nowhere", "/v1/rooms/nowhere/participants", "/v1/rooms/hall/participants/bob", "/v1/rooms/hall/participants/%ff", "/v1/rooms/a%2Fb", "/v1/rooms/nowhere/participants/ann"} {
		s.do(http.MethodGet, path, nil, ada.asOwn).refused(http.StatusNotFound, "not_found")
	}
}

func TestEachChangeOfARoomIsInTheTrail(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	ann := "/v1/rooms/hall/participants/ann"
	s.do(http.MethodPost, "/v1/rooms", map[string]any{"room_name": "daily"}, ada.asOwn).want(http.StatusCreated)
	s.do(http.MethodPatch, "/v1/rooms/daily", map[string]any{"metadata": "x"}, ada.asOwn).want(http.StatusOK)
	s.do(http.MethodPatch, ann, map[string]any{"name": "A"}, ada.asOwn).want(http.StatusOK)
	s.do(http.MethodPost, ann+"/mute", map[string]any{"track_sid": "TR_1", "muted": true}, ada.asOwn).want(http.StatusOK)
	s.do(http.MethodPost, ann+"/move", map[string]any{"destination_room": "other"}, ada.asOwn).want(http.StatusNoContent)
	s.do(http.MethodPost, ann+"/forward", map[string]any{"destination_room": "other"}, ada.asOwn).want(http.StatusNotImplemented)
	s.do(http.MethodDelete, ann, nil, ada.asOwn).want(http.StatusNoContent)
	s.do(http.MethodDelete, "/v1/rooms/daily", nil, ada.asOwn).want(http.StatusNoContent)
	var got []string
	for _, e := range s.trailOf(ada.org) {
		if e.Target.Type == "room" {
			got = append(got, e.Action+" "+e.Target.ID+" "+string(e.Outcome))
		}
	}
	slices.Reverse(got)
	want := []string{"room.created daily success", "room.updated daily success", "participant.updated hall success", "participant.muted hall success",
		"participant.moved hall success", "participant.forwarded hall failure", "participant.removed hall success", "room.ended daily success"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTheQuotasOfAProjectLimitItsRooms(t *testing.T) {
	s := newServer(t)
	mine := s.limited("mine", map[string]any{"rooms": 1, "concurrent_participants": 5})
	s.do(http.MethodPost, "/v1/rooms", map[string]any{"room_name": "a", "max_participants": 6}, mine.asOwn).refused(http.StatusBadRequest, "invalid_request", "body.max_participants")
	s.do(http.MethodPost, "/v1/rooms", map[string]any{"room_name": "a", "max_participants": 5}, mine.asOwn).want(http.StatusCreated)
	s.do(http.MethodPost, "/v1/rooms", map[string]any{"room_name": "b"}, mine.asOwn).overQuota(models.QuotaRooms, 1, 1)
	s.do(http.MethodPost, "/v1/rooms", map[string]any{"room_name": "c", "empty_timeout": 86401, "departure_timeout": -1}, mine.asOwn).
		refused(http.StatusBadRequest, "invalid_request", "body.empty_timeout", "body.departure_timeout")
}

func TestErrorsOfLiveKitAreTranslatedWithoutQualifiedNames(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	for _, row := range []struct {
		fails  twirp.ErrorCode
		status int
		code   string
	}{
		{twirp.NotFound, 404, "not_found"}, {twirp.FailedPrecondition, 409, "failed_precondition"}, {twirp.Unavailable, 503, "service_unavailable"},
		{twirp.DeadlineExceeded, 503, "service_unavailable"}, {twirp.PermissionDenied, 500, "internal_error"}, {twirp.Unimplemented, 501, "not_supported"},
	} {
		s.livekit.fails = twirp.NewError(row.fails, "about "+ada.qualified("hall"))
		a := s.do(http.MethodPost, "/v1/rooms", map[string]any{"room_name": "hall"}, ada.asOwn)
		if row.fails == twirp.NotFound {
			continue // of the look-up: the room is then created
		}
		a.refused(row.status, row.code)
		if strings.Contains(string(a.body), ada.project) {
			t.Errorf("%s tells of the qualified name: %s", row.fails, a.body)
		}
		if row.status == 503 && a.header.Get("Retry-After") == "" {
			t.Errorf("%s has no Retry-After", row.fails)
		}
	}
}
