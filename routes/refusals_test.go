package routes_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"pulse-control-plane/handlers"
	"pulse-control-plane/utils/apikey"
)

func TestUnknownPathsAndMethodsCountInTheLimitOfTheAddress(t *testing.T) {
	s := newServer(t, func(o *setup) { o.ipPerMinute = 3 })
	s.do(http.MethodGet, "/nowhere/1", nil).refused(http.StatusNotFound, "not_found")
	s.do(http.MethodGet, "/v1/nothing", nil).refused(http.StatusNotFound, "not_found")
	s.do(http.MethodDelete, "/v1/projects", nil).refused(http.StatusMethodNotAllowed, "method_not_allowed")
	for _, path := range []string{"/nowhere/2", "/v1/nothing", "/v1/status"} {
		if a := s.raw(http.MethodGet, path); a.Code != http.StatusTooManyRequests {
			t.Errorf("%s: %d", path, a.Code)
		}
	}
	s.do(http.MethodGet, "/nowhere", nil, from("198.51.100.7")).refused(http.StatusNotFound, "not_found")
}

func TestMadeUpKeysReachTheDatabaseOnlyWithinTheLimitOfTheAddress(t *testing.T) {
	const limit = 5
	s := newServer(t, func(o *setup) { o.ipPerMinute = limit })
	ada, eve := s.tenant("ada"), s.tenant("eve")
	s.clock.Advance(time.Minute)
	s.do(http.MethodPost, create, nil, ada.asKey).want(http.StatusCreated) // remembered from here
	reads := s.engine.reads.Load()
	for i := range 100 {
		key, secret, err := apikey.Generate()
		if err != nil {
			t.Fatal(err)
		}
		caller := asKey(key)
		switch i % 3 {
		case 1:
			caller = asServer(key, secret.Reveal())
		case 2:
			caller = asBasic(key, secret.Reveal())
		}
		s.do(http.MethodPost, create, nil, caller)
	}
	if got := s.engine.reads.Load() - reads; got > limit {
		t.Errorf("100 made-up keys caused %d look-ups, the limit is %d", got, limit)
	}
	s.do(http.MethodPost, create, nil, ada.asKey).want(http.StatusCreated)
	s.do(http.MethodPost, create, nil, eve.asKey, from("198.51.100.7")).want(http.StatusCreated)
}

// Every refusal of a credential says which one was used and what would serve.
func TestRefusedCredentialsNameTheirKindAndTheAcceptedOnes(t *testing.T) {
	s := newServer(t)
	ada, eve := s.tenant("ada"), s.tenant("eve") // eve's objects may go
	invited := read[handlers.Invited](s.do(http.MethodPost, "/v1/organizations/"+ada.org+"/invitations",
		map[string]any{"email": "viewer@example.com", "role": "viewer"}, ada.asPerson).want(http.StatusCreated))
	viewer := bearer(read[handlers.SignedUp](s.do(http.MethodPost, "/v1/invitations/accept",
		map[string]any{"token": invited.AcceptToken, "name": "v", "password": password}).want(http.StatusCreated)).Session.AccessToken)
	narrow := read[handlers.CreatedAPIKey](s.do(http.MethodPost, "/v1/projects/"+ada.project+"/keys",
		map[string]any{"name": "narrow", "scopes": []string{"ingress:write"}}, ada.asPerson).want(http.StatusCreated))
	codes := []string{"unauthenticated", "invalid_credential", "invalid_api_key", "invalid_token", "person_required", "key_required",
		"secret_required", "insufficient_role", "insufficient_scope", "not_allowed"}
	seen := map[string]bool{}
	// Refused with a request that is well-formed otherwise.
	own, keys := "/v1/webhooks/endpoints?org_id="+ada.org, "/v1/projects/"+ada.project+"/keys"
	narrowest := read[handlers.CreatedAPIKey](s.do(http.MethodPost, keys, map[string]any{"name": "narrowest", "scopes": []string{"keys:write"}}, ada.asPerson).want(http.StatusCreated))
	asNarrowest := asServer(narrowest.PulseAPIKey, narrowest.PulseAPISecret)
	for _, a := range []*answer{
		s.do(http.MethodPost, "/v1/organizations", map[string]any{"name": "x", "admin_email": "x@example.com", "password": password}, ada.asOwn),
		s.do(http.MethodGet, "/v1/usage?group_by=project", nil, ada.asOwn),
		s.do(http.MethodPost, "/v1/auth/logout", nil, ada.asOwn), s.do(http.MethodPost, "/v1/auth/logout", nil, ada.asKey),
		s.do(http.MethodGet, own, nil, ada.asOwn), s.do(http.MethodGet, own, nil, viewer),
		s.do(http.MethodPost, keys, map[string]any{"name": "x", "scopes": []string{"*"}}, asNarrowest),
	} {
		if p := a.want(http.StatusForbidden).problem(); !strings.HasPrefix(p.Detail, "You called with") || !strings.Contains(p.Detail, "; this needs ") {
			t.Errorf("%s %s: %q", p.Instance, p.Code, p.Detail)
		}
	}
	for _, r := range routesOf(s, eve) {
		t.Run(r.method+" "+r.pattern, func(t *testing.T) {
			for _, caller := range []with{func(*http.Request) {}, asOperator(), viewer, ada.asKey, asServer(narrow.PulseAPIKey, narrow.PulseAPISecret),
				asKey("pulse_key_x"), bearer("x"), header("Authorization", "Digest x"), header("X-Pulse-Secret", "x")} {
				a := s.in(t).do(r.method, r.path, nil, caller)
				if a.status != http.StatusUnauthorized && a.status != http.StatusForbidden {
					continue
				}
				p := a.problem()
				seen[p.Code] = true
				if slices.Contains(codes, p.Code) && (!strings.HasPrefix(p.Detail, "You called with") ||
					!strings.Contains(p.Detail, "this needs ") && !strings.Contains(p.Detail, "log in again")) {
					t.Errorf("%d %s: %q", a.status, p.Code, p.Detail)
				}
			}
		})
	}
	for _, code := range codes {
		if !seen[code] {
			t.Errorf("nothing was refused with %s", code)
		}
	}
}

func TestTheDetailOfOneWrongFieldNamesIt(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	for body, detail := range map[string]string{
		`{"room_name":"r"}`:        "body.participant_identity is required.",
		`{}`:                       "body.participant_identity is required.",
		"":                         "body is empty; send a JSON object.",
		`{"room_name":7,"x":true}`: "The request is not valid; see errors for each field.",
	} {
		if got := s.do(http.MethodPost, revoke, body, ada.asOwn).want(http.StatusBadRequest).problem(); got.Detail != detail || got.Error != detail {
			t.Errorf("%s: %q", body, got.Detail)
		}
	}
}

func TestMintedTokensValidate(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	attributes := map[string]string{}
	for i := range 58 {
		attributes[fmt.Sprintf("a%02d", i)] = strings.Repeat("x", 500)
	}
	for name, body := range map[string]any{
		"as large as metadata and attributes may be": map[string]any{"participant_metadata": strings.Repeat("m", 32_768), "participant_attributes": attributes},
		// Three bytes that JSON may escape to six.
		"text that grows in JSON": `{"participant_metadata":"` + strings.Repeat("\u2028", 10_900) + `","participant_attributes":{"a":"` + strings.Repeat("\u2028", 10_000) + `"}}`,
		"the longest names":       map[string]any{"participant_identity": strings.Repeat("i", 256), "room_name": strings.Repeat("会", 71)},
	} {
		token := read[handlers.Token](s.do(http.MethodPost, create, body, ada.asOwn).want(http.StatusCreated))
		check := read[handlers.TokenCheck](s.do(http.MethodPost, validate, map[string]any{"token": token.ParticipantToken}, ada.asOwn).want(http.StatusOK))
		if !check.Valid {
			t.Errorf("%s: %d bytes, %+v", name, len(token.ParticipantToken), check)
		}
	}
}

func TestExportedCSVHoldsNoFormulaForSpreadsheetsThatSplitAtSemicolons(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	end := s.clock.Now().Truncate(time.Hour)
	start := end.Add(-time.Hour)
	s.liveKit(ada.project, "a;=1+1", start,
		event{id: "EV_1", kind: "room_started", at: start}, event{id: "EV_2", kind: "room_finished", at: end})
	s.work()
	table := string(s.do(http.MethodGet, "/v1/usage/export"+usagePath(start, end, "&format=csv"), nil, ada.asOwn).want(http.StatusOK).body)
	if !strings.Contains(table, "a;'=1+1") {
		t.Errorf("got %s", table)
	}
}
