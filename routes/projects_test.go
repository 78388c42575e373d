package routes_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pulse-control-plane/handlers"
	"pulse-control-plane/models"
)

func TestAProjectIsMadeReadListedAndClosed(t *testing.T) {
	s := newServer(t)
	ada := s.signUp("ada")
	made := read[handlers.KeyedProject](s.do(http.MethodPost, "/v1/projects",
		map[string]any{"name": "Support desk", "region": "eu-central-1"}, ada.asPerson).want(http.StatusCreated))
	p := made.Project
	if p.Name != "Support desk" || p.Region != "eu-central-1" || string(p.OrgID) != ada.org || p.PulseAPIKey != made.PulseAPIKey ||
		!p.CreatedAt.Equal(s.clock.Now()) || p.Limits != (handlers.ProjectLimits{}) {
		t.Errorf("made %+v", made)
	}
	if c := p.ClientTokens; !c.Enabled || c.MaxTTLSeconds != 900 || len(c.AllowedOrigins) != 0 || len(c.Agents) != 0 ||
		c.Identities != models.IdentitiesAny || !slices.Equal(c.AllowedRooms, []string{"*"}) ||
		!reflect.DeepEqual(models.VideoGrants(c.Grants), models.DefaultGrants()) {
		t.Errorf("the policy of a new project is %+v", c)
	}
	path := "/v1/projects/" + string(p.ID)
	for _, caller := range []with{ada.asPerson, asServer(made.PulseAPIKey, made.PulseAPISecret),
		asBasic(made.PulseAPIKey, made.PulseAPISecret), both(bearer(made.PulseAPIKey), header("X-Pulse-Secret", made.PulseAPISecret)), asOperator()} {
		if got := read[handlers.Project](s.do(http.MethodGet, path, nil, caller).want(http.StatusOK)); !reflect.DeepEqual(got, p) {
			t.Errorf("read %+v", got)
		}
		list := read[handlers.List[handlers.Project]](s.do(http.MethodGet, "/v1/projects?q=SUPPORT", nil, caller).want(http.StatusOK))
		if len(list.Items) != 1 || !reflect.DeepEqual(list.Items[0], p) {
			t.Errorf("listed %+v", list)
		}
	}
	s.do(http.MethodDelete, path, nil, ada.asPerson).want(http.StatusNoContent)
	s.do(http.MethodGet, path, nil, ada.asPerson).refused(http.StatusNotFound, "not_found")
}

func TestASecretIsShownOnce(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	for _, path := range []string{"/v1/projects", "/v1/projects/" + ada.project, "/v1/organizations/" + ada.org} {
		if a := s.do(http.MethodGet, path, nil, ada.asPerson).want(http.StatusOK); strings.Contains(string(a.body), "pulse_secret_") {
			t.Errorf("%s shows a secret: %s", path, a.body)
		}
	}
}

func TestPatchChangesOnlyTheFieldsSent(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	path := "/v1/projects/" + ada.project
	s.do(http.MethodPatch, path, map[string]any{"region": "eu", "client_tokens": map[string]any{
		"enabled": false, "max_ttl_seconds": 60, "allowed_origins": []string{"https://a.example"}, "grants": map[string]any{"roomJoin": true, "canPublish": false},
	}}, ada.asPerson).want(http.StatusOK)
	s.patch(ada.project, map[string]any{"limits": map[string]any{"requests_per_minute": 7}})
	base := read[handlers.Project](s.do(http.MethodGet, path, nil, ada.asPerson))
	yes, no := true, false
	if c := base.ClientTokens; base.Region != "eu" || c.Enabled || c.MaxTTLSeconds != 60 || c.AllowedOrigins[0] != "https://a.example" ||
		!reflect.DeepEqual(c.Grants, handlers.Grants{RoomJoin: &yes, CanPublish: &no}) || base.Limits.RequestsPerMinute != 7 {
		t.Fatalf("changed to %+v", base)
	}
	for change, apply := range map[string]func(*handlers.Project){
		`{}`:                                 func(*handlers.Project) {},
		`{"name":"New"}`:                     func(p *handlers.Project) { p.Name = "New" },
		`{"region":""}`:                      func(p *handlers.Project) { p.Region = "" },
		`{"client_tokens":{"enabled":true}}`: func(p *handlers.Project) { p.ClientTokens.Enabled = true },
		`{"client_tokens":{"max_ttl_seconds":90}}`:        func(p *handlers.Project) { p.ClientTokens.MaxTTLSeconds = 90 },
		`{"client_tokens":{"allowed_origins":[]}}`:        func(p *handlers.Project) { p.ClientTokens.AllowedOrigins = []string{} },
		`{"client_tokens":{"allowed_rooms":["lobby-*"]}}`: func(p *handlers.Project) { p.ClientTokens.AllowedRooms = []string{"lobby-*"} },
		`{"client_tokens":{"allowed_rooms":[]}}`:          func(p *handlers.Project) { p.ClientTokens.AllowedRooms = []string{} },
		`{"client_tokens":{"allowed_rooms":null}}`:        func(p *handlers.Project) { p.ClientTokens.AllowedRooms = []string{"*"} },
		`{"client_tokens":{"identities":"generated"}}`:    func(p *handlers.Project) { p.ClientTokens.Identities = "generated" },
		`{"client_tokens":{"agents":["scribe"]}}`:         func(p *handlers.Project) { p.ClientTokens.Agents = []string{"scribe"} },
		`{"client_tokens":{"agents":null}}`:               func(p *handlers.Project) { p.ClientTokens.Agents = []string{} },
		`{"agents":["scribe"]}`:                           func(p *handlers.Project) { p.Agents = []string{"scribe"} },
		`{"agents":[]}`:                                   func(p *handlers.Project) { p.Agents = []string{} },
		`{"agents":null}`:                                 func(p *handlers.Project) { p.Agents = []string{"*"} },
		`{"client_tokens":{"grants":{"agent":true}}}`:     func(p *handlers.Project) { p.ClientTokens.Grants = handlers.Grants{Agent: &yes} },
		`{"limits":{"concurrent_participants":9}}`:        func(p *handlers.Project) { p.Limits.ConcurrentParticipants = 9 },
		`{"limits":{"rooms":9}}`:                          func(p *handlers.Project) { p.Limits.Rooms = 9 },
		`{"limits":{"participant_minutes_per_month":9}}`:  func(p *handlers.Project) { p.Limits.ParticipantMinutes = 9 },
		`{"limits":{"egress_minutes_per_month":9}}`:       func(p *handlers.Project) { p.Limits.EgressMinutes = 9 },
	} {
		want := read[handlers.Project](s.do(http.MethodGet, path, nil, ada.asPerson))
		apply(&want)
		s.clock.Advance(time.Second)
		want.UpdatedAt = s.clock.Now()
		changed := read[handlers.Project](s.do(http.MethodPatch, path, change, asOperator()).want(http.StatusOK))
		got := read[handlers.Project](s.do(http.MethodGet, path, nil, ada.asPerson))
		if !reflect.DeepEqual(changed, want) || !reflect.DeepEqual(got, want) {
			t.Errorf("%s made %+v, then read %+v, want %+v", change, changed, got, want)
		}
	}
}

func TestPutResetsMissingFieldsToTheirDefaults(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	path := "/v1/projects/" + ada.project
	fresh := read[handlers.Project](s.do(http.MethodGet, path, nil, ada.asPerson))
	s.patch(ada.project, map[string]any{"region": "eu", "limits": map[string]any{"requests_per_minute": 7, "concurrent_participants": 8},
		"client_tokens": map[string]any{"enabled": false, "max_ttl_seconds": 60, "allowed_origins": []string{"https://a.example"}, "grants": map[string]any{"agent": true}}})

	got := read[handlers.Project](s.do(http.MethodPut, path, map[string]any{"name": "Put", "client_tokens": map[string]any{"max_ttl_seconds": 120}},
		ada.asPerson).want(http.StatusOK))
	want := fresh
	want.Name, want.ClientTokens.MaxTTLSeconds = "Put", 120
	want.Limits = handlers.ProjectLimits{RequestsPerMinute: 7, ConcurrentParticipants: 8} // the operator's
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestLimitsAreTheOperatorsToChange(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	path := "/v1/projects/" + ada.project
	for _, limits := range []map[string]any{{"requests_per_minute": 0}, {"concurrent_participants": 1}, {"rooms": 1}, {"participant_minutes_per_month": 1}, {"egress_minutes_per_month": 1}} {
		s.do(http.MethodPatch, path, map[string]any{"limits": limits}, ada.asPerson).refused(http.StatusForbidden, "not_allowed")
		s.do(http.MethodPut, path, map[string]any{"name": "x", "limits": limits}, ada.asPerson).refused(http.StatusForbidden, "not_allowed")
		s.do(http.MethodPatch, path, map[string]any{"limits": limits}, asOperator()).want(http.StatusOK)
	}
	s.do(http.MethodPatch, path, map[string]any{"limits": map[string]any{}}, ada.asPerson).want(http.StatusOK)
}

func TestTheOperatorNamesTheOrganizationOfAProject(t *testing.T) {
	s := newServer(t)
	ada := s.signUp("ada")
	s.do(http.MethodPost, "/v1/projects", map[string]any{"name": "x"}, asOperator()).
		refused(http.StatusBadRequest, "invalid_request", "body.org_id")
	made := read[handlers.KeyedProject](s.do(http.MethodPost, "/v1/projects", map[string]any{"name": "x", "org_id": ada.org}, asOperator()).
		want(http.StatusCreated))
	s.do(http.MethodGet, "/v1/projects/"+string(made.Project.ID), nil, ada.asPerson).want(http.StatusOK)
	s.do(http.MethodPost, "/v1/projects", map[string]any{"name": "x", "org_id": ada.org}, ada.asPerson).want(http.StatusCreated)
}

func TestRegeneratingKeysEndsTheOldPairAtOnce(t *testing.T) {
	for name, replica := range map[string]bool{"alone with its database": false, "among replicas": true} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, func(o *setup) { o.replica = replica })
			ada := s.tenant("ada")
			s.do(http.MethodPost, "/v1/tokens/create", nil, ada.asKey).want(http.StatusCreated)
			s.do(http.MethodPost, "/v1/tokens/create", nil, ada.asOwn).want(http.StatusCreated)
			out := read[handlers.KeyedProject](s.do(http.MethodPost, "/v1/projects/"+ada.project+"/regenerate-keys", nil, ada.asPerson).want(http.StatusOK))
			if out.PulseAPIKey == ada.key || out.PulseAPISecret == ada.secret || out.Project.PulseAPIKey != out.PulseAPIKey {
				t.Errorf("got %+v", out)
			}
			for _, old := range []with{ada.asKey, ada.asOwn, asBasic(ada.key, ada.secret), asServer(out.PulseAPIKey, ada.secret), asServer(ada.key, out.PulseAPISecret)} {
				s.do(http.MethodPost, "/v1/tokens/create", nil, old).refused(http.StatusUnauthorized, "invalid_api_key")
			}
			s.do(http.MethodPost, "/v1/tokens/create", nil, asServer(out.PulseAPIKey, out.PulseAPISecret)).want(http.StatusCreated)
		})
	}
}

func TestTheOldPairWorksUntilTheGraceEnds(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	path := "/v1/projects/" + ada.project + "/regenerate-keys"
	// The project's own key and secret may do it too.
	out := read[handlers.KeyedProject](s.do(http.MethodPost, path, map[string]any{"grace_period_seconds": 60}, ada.asOwn).want(http.StatusOK))
	s.clock.Advance(60*time.Second - time.Millisecond)
	s.do(http.MethodPost, "/v1/tokens/create", nil, ada.asKey).want(http.StatusCreated)
	s.do(http.MethodGet, "/v1/projects/"+ada.project, nil, ada.asOwn).want(http.StatusOK)
	s.clock.Advance(time.Millisecond)
	s.do(http.MethodPost, "/v1/tokens/create", nil, ada.asKey).refused(http.StatusUnauthorized, "invalid_api_key")
	s.do(http.MethodGet, "/v1/projects/"+ada.project, nil, ada.asOwn).refused(http.StatusUnauthorized, "invalid_api_key")
	s.do(http.MethodGet, "/v1/projects/"+ada.project, nil, asServer(out.PulseAPIKey, out.PulseAPISecret)).want(http.StatusOK)
}

func TestALaterGraceDoesNotOutliveAnEarlierEnd(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	path := "/v1/projects/" + ada.project + "/regenerate-keys"
	second := read[handlers.KeyedProject](s.do(http.MethodPost, path, map[string]any{"grace_period_seconds": 10}, ada.asPerson).want(http.StatusOK))
	s.do(http.MethodPost, path, map[string]any{"grace_period_seconds": 604800}, ada.asPerson).want(http.StatusOK)
	s.clock.Advance(10 * time.Second)
	s.do(http.MethodPost, "/v1/tokens/create", nil, ada.asKey).refused(http.StatusUnauthorized, "invalid_api_key")
	s.do(http.MethodPost, "/v1/tokens/create", nil, asKey(second.PulseAPIKey)).want(http.StatusCreated)
	s.clock.Advance(604800 * time.Second)
	s.do(http.MethodPost, "/v1/tokens/create", nil, asKey(second.PulseAPIKey)).refused(http.StatusUnauthorized, "invalid_api_key")
}

func TestRegeneratingAtTheSameTimeLeavesOneWorkingPair(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	const callers = 8
	answers := make([]*httptest.ResponseRecorder, callers)
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() {
			answers[i] = s.raw(http.MethodPost, "/v1/projects/"+ada.project+"/regenerate-keys", ada.asPerson)
		})
	}
	all.Wait()
	current := read[handlers.Project](s.do(http.MethodGet, "/v1/projects/"+ada.project, nil, ada.asPerson).want(http.StatusOK)).PulseAPIKey
	working := 0
	for _, a := range answers {
		if a.Code == http.StatusConflict {
			continue
		}
		var out handlers.KeyedProject
		if err := json.Unmarshal(a.Body.Bytes(), &out); err != nil || a.Code != http.StatusOK {
			t.Fatalf("got %d %s (%v)", a.Code, a.Body, err)
		}
		switch status := s.do(http.MethodPost, "/v1/tokens/create", nil, asServer(out.PulseAPIKey, out.PulseAPISecret)).status; {
		case status == http.StatusCreated && out.PulseAPIKey == current:
			working++
		case status != http.StatusUnauthorized:
			t.Errorf("a pair that was replaced answers %d", status)
		}
	}
	if working != 1 {
		t.Errorf("%d pairs work", working)
	}
}

func TestClientGradeIsRefusedWhereTheSecretIsRequired(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	for _, caller := range []with{ada.asKey, bearer(ada.key)} {
		s.do(http.MethodGet, "/v1/projects", nil, caller).refused(http.StatusForbidden, "secret_required")
		s.do(http.MethodGet, "/v1/projects/"+ada.project, nil, caller).refused(http.StatusForbidden, "secret_required")
		s.do(http.MethodPost, "/v1/projects/"+ada.project+"/regenerate-keys", nil, caller).refused(http.StatusForbidden, "secret_required")
	}
}

func TestAKeyIsNoPerson(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	for _, caller := range []with{ada.asKey, ada.asOwn} {
		for _, r := range [][2]string{{http.MethodGet, "/v1/organizations"}, {http.MethodGet, "/v1/organizations/" + ada.org},
			{http.MethodDelete, "/v1/organizations/" + ada.org}, {http.MethodPost, "/v1/projects"}, {http.MethodDelete, "/v1/projects/" + ada.project}} {
			s.do(r[0], r[1], nil, caller).refused(http.StatusForbidden, "person_required")
		}
	}
}
