package routes_test

import (
	"net/http"
	"testing"
	"time"

	"pulse-control-plane/handlers"
)

func TestUpdatesThatChangeNothingLeaveNoAuditEntryAndNoEvent(t *testing.T) {
	s := newServer(t)
	own := s.tenant("acme")
	key := s.newKey(own, nil)
	made := read[handlers.SecretEndpoint](s.do(http.MethodPost, "/v1/webhooks/endpoints", `{"url":"https://hooks.example.com/"}`, own.asOwn).want(201))
	updates := map[string][]string{
		"/v1/organizations/" + own.org:                          {`{}`, `{"name":"acme"}`},
		"/v1/organizations/" + own.org + "/members/" + own.user: {`{"role":"owner"}`},
		"/v1/projects/" + own.project:                           {`{}`, `{"name":"acme project","client_tokens":{"enabled":true}}`},
		own.keyPath(key.Key.ID):                                 {`{}`, `{"name":"further","expires_at":null}`},
		"/v1/webhooks/endpoints/" + string(made.Endpoint.ID):    {`{}`, `{"enabled":true,"ordered":false}`},
		"/v1/auth/me": {`{"name":"acme"}`},
	}
	project := s.do(http.MethodGet, "/v1/projects/"+own.project, nil, own.asPerson).want(200).body
	s.clock.Advance(time.Second)
	s.settle()
	events, _ := s.listed("limit=100", own.asOwn)
	entries := len(s.trailOf(own.org))
	for path, bodies := range updates {
		for _, body := range bodies {
			s.do(http.MethodPatch, path, body, own.asPerson).want(http.StatusOK)
		}
		if got := len(s.trailOf(own.org)) - entries; got != 0 {
			t.Errorf("%s left %d entries", path, got)
			entries += got
		}
	}
	if now := s.do(http.MethodGet, "/v1/projects/"+own.project, nil, own.asPerson).want(200).body; string(now) != string(project) {
		t.Errorf("the project %s became %s", project, now)
	}
	s.settle()
	if after, _ := s.listed("limit=100", own.asOwn); len(after) != len(events) {
		t.Errorf("events %v became %v", events, after)
	}
}
