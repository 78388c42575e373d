package routes_test

import (
	"net/http"
	"runtime"
	"strconv"
	"testing"
	"time"

	"pulse-control-plane/handlers"
)

func TestWithoutItsDatabasePulseIsUnavailableAndSaysSo(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	s.do(http.MethodGet, "/v1/projects", nil, ada.asPerson).want(http.StatusOK)
	s.engine.away.Store(true)
	for name, a := range map[string]*answer{
		"sign-up":    s.do(http.MethodPost, "/v1/organizations", map[string]any{"name": "n", "admin_email": "n@example.com", "password": password}),
		"login":      s.do(http.MethodPost, "/v1/auth/login", map[string]any{"email": ada.email, "password": password}),
		"list":       s.do(http.MethodGet, "/v1/projects", nil, ada.asPerson),
		"read":       s.do(http.MethodGet, "/v1/projects/"+ada.project, nil, ada.asOwn),
		"create":     s.do(http.MethodPost, "/v1/projects", map[string]any{"name": "n"}, ada.asPerson),
		"change":     s.do(http.MethodPatch, "/v1/projects/"+ada.project, map[string]any{"name": "n"}, ada.asPerson),
		"delete":     s.do(http.MethodDelete, "/v1/projects/"+ada.project, nil, ada.asPerson),
		"regenerate": s.do(http.MethodPost, "/v1/projects/"+ada.project+"/regenerate-keys", nil, ada.asPerson),
		"close":      s.do(http.MethodDelete, "/v1/organizations/"+ada.org, nil, ada.asPerson),
		// A key nobody has asked for before can't be told from a bad one.
		"an unknown key": s.do(http.MethodPost, create, nil, newServer(t).tenant("elsewhere").asKey),
	} {
		a.refused(http.StatusServiceUnavailable, "service_unavailable")
		if wait, err := strconv.Atoi(a.header.Get("Retry-After")); err != nil || wait < 1 {
			t.Errorf("%s: Retry-After is %q", name, a.header.Get("Retry-After"))
		}
	}
	s.do(http.MethodGet, "/health", nil).want(http.StatusOK)
	if r := read[handlers.Readiness](s.do(http.MethodGet, "/health/ready", nil).want(http.StatusServiceUnavailable)); r.Status != "unavailable" {
		t.Errorf("readiness %+v", r)
	}
	s.engine.away.Store(false)
	s.clock.Advance(2 * time.Second)
	s.do(http.MethodGet, "/health/ready", nil).want(http.StatusOK)
	if p := read[handlers.Project](s.do(http.MethodGet, "/v1/projects/"+ada.project, nil, ada.asPerson).want(http.StatusOK)); p.Name != "ada project" || p.PulseAPIKey != ada.key {
		t.Errorf("the outage changed %+v", p)
	}
}

func TestKnownKeysKeepExchangingTokensWhileTheDatabaseIsAway(t *testing.T) {
	for name, replica := range map[string]bool{"alone with its database": false, "among replicas": true} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, func(o *setup) { o.replica = replica })
			ada := s.tenant("ada")
			s.do(http.MethodPost, create, nil, ada.asOwn).want(http.StatusCreated)
			s.do(http.MethodGet, "/v1/projects", nil, ada.asPerson).want(http.StatusOK)
			s.engine.away.Store(true)
			for range 30 { // half an hour, beyond every time an entry is fresh for
				s.clock.Advance(time.Minute)
				for _, caller := range []with{ada.asKey, bearer(ada.key), ada.asOwn, asBasic(ada.key, ada.secret)} {
					s.do(http.MethodPost, create, nil, caller).want(http.StatusCreated)
				}
			}
			s.engine.away.Store(false)
			s.clock.Advance(time.Minute)
			s.do(http.MethodPost, create, nil, ada.asKey).want(http.StatusCreated)
		})
	}
}

// During an outage only one look-up a second is tried for a key: the others do
// not wait for a database that does not answer.
func TestAnOutageCostsOneLookUpASecondForAKey(t *testing.T) {
	s := newServer(t, func(o *setup) { o.replica = true })
	ada := s.tenant("ada")
	s.do(http.MethodPost, create, nil, ada.asKey).want(http.StatusCreated)
	s.engine.away.Store(true)
	s.clock.Advance(time.Minute)
	reads := s.engine.reads.Load()
	for range 20 {
		s.do(http.MethodPost, create, nil, ada.asKey).want(http.StatusCreated)
	}
	for deadline := time.Now().Add(5 * time.Second); s.engine.reads.Load() == reads && time.Now().Before(deadline); {
		runtime.Gosched() // the refresh runs in the background
	}
	if got := s.engine.reads.Load() - reads; got != 1 {
		t.Errorf("%d look-ups", got)
	}
}

func TestARevocationElsewhereReachesThisProcessAtTheNextExchange(t *testing.T) {
	s := newServer(t, func(o *setup) { o.replica = true })
	ada := s.tenant("ada")
	s.do(http.MethodPost, create, nil, ada.asKey).want(http.StatusCreated)
	s.do(http.MethodGet, "/v1/projects", nil, ada.asPerson).want(http.StatusOK)
	other := s.another()
	exchangeChanges(s, other)
	other.do(http.MethodDelete, "/v1/organizations/"+ada.org, nil, asOperator()).want(http.StatusNoContent)
	exchangeChanges(s, other)
	s.do(http.MethodPost, create, nil, ada.asKey).refused(http.StatusUnauthorized, "invalid_api_key")
	s.do(http.MethodGet, "/v1/projects", nil, ada.asPerson).refused(http.StatusUnauthorized, "invalid_token")
}
