package routes_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"

	"pulse-control-plane/handlers"
	"pulse-control-plane/models"
)

// FuzzTokenRequest sends bodies to tokens/create as a browser and as a server:
// whatever they hold, the answer is a token for a room of the caller's project
// that LiveKit accepts and Pulse reads back, or a 4xx problem.
func FuzzTokenRequest(f *testing.F) {
	for _, seed := range []string{
		``, `{}`, `null`, `[]`, `{"room_name":"daily","participant_identity":"ada","participant_name":"Ada","ttl_seconds":600}`,
		`{"roomName":"daily","participantAttributes":{"a":"b","pulse.project":"x"},"participantMetadata":"\u0000\ud83d\ude00"}`,
		`{"room_config":{"name":"x","emptyTimeout":5,"agents":[{"agentName":"a","metadata":"m"}],"egress":{"room":{}}}}`,
		`{"roomConfig":{"max_participants":1,"tags":{"a":"b"},"playoutDelay":{"min":1}}}`,
		`{"grants":{"roomJoin":true,"roomAdmin":true,"canPublishSources":["camera"],"agent":true,"roomCreate":true,"room":"x"}}`,
		`{"ttl_seconds":1e2}`, `{"ttl_seconds":60.0}`, `{"ttl_seconds":99999999999999999999}`, `{"room_name":"\ud800"}`, "{\"room_name\":\"\xff\"}",
		`{"room_name":"a","room_name":"b"}`, `{"room_name":"a"} {}`, `{"x":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}`,
	} {
		f.Add([]byte(seed), true)
		f.Add([]byte(seed), false)
	}
	s := newServer(f)
	ada := s.tenant("ada")
	f.Fuzz(func(t *testing.T, body []byte, server bool) {
		s := s.in(t)
		r := httptest.NewRequest(http.MethodPost, create, bytes.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		ada.asKey(r)
		if server {
			ada.asOwn(r)
		}
		writes := s.engine.writes.Load()
		a := s.serve(r)
		if s.engine.writes.Load() != writes {
			t.Fatal("something was written")
		}
		if a.status >= 400 && a.status < 500 {
			if a.checkProblem(r); a.header.Get("Content-Type") != "application/problem+json" {
				t.Fatalf("a refusal that is no problem: %s", a.body)
			}
			return
		}
		out, grants, _ := minted(t, a)
		v := grants.Video
		if v.Room != models.QualifyRoom(models.ProjectID(ada.project), out.RoomName) || !models.ValidRoomName(out.RoomName) {
			t.Fatalf("a token for %q", v.Room)
		}
		if v.RoomCreate || v.RoomList || v.RoomRecord || v.IngressAdmin || v.Agent || v.DestinationRoom != "" || grants.SIP != nil ||
			grants.Attributes["pulse.project"] != ada.project || grants.Identity != out.ParticipantIdentity {
			t.Fatalf("a token that says %+v", grants)
		}
		if over := (models.VideoGrants{RoomAdmin: &v.RoomAdmin, Hidden: &v.Hidden, Recorder: &v.Recorder, CanUpdateOwnMetadata: v.CanUpdateOwnMetadata}).
			Exceeding(models.DefaultGrants()); !server && len(over) > 0 {
			t.Fatalf("a browser got %v", over)
		}
		text, err := json.Marshal(map[string]string{"token": out.ParticipantToken})
		if err != nil {
			t.Fatal(err)
		}
		r = httptest.NewRequest(http.MethodPost, validate, bytes.NewReader(text))
		r.Header.Set("Content-Type", "application/json")
		ada.asKey(r)
		check := read[handlers.TokenCheck](s.serve(r).want(http.StatusOK))
		if !check.Valid || *check.RoomName != out.RoomName {
			t.Fatalf("minted and then refused: %+v", check)
		}
	})
}
