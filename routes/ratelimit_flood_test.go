package routes_test

import (
	"fmt"
	"net/http"
	"testing"

	"pulse-control-plane/utils/apikey"
)

func TestOneAddressCannotUseUpWhatAllHoldersOfAPublicKeyShare(t *testing.T) {
	s := newServer(t, func(o *setup) { o.projectPerMinute, o.clientIPPerMinute = 10, 3 })
	ada, eve := s.tenant("ada"), s.tenant("eve")
	flood := from("203.0.113.66")
	for range 3 {
		if policy, limit, _ := counted(t, s.do(http.MethodPost, create, nil, ada.asKey, flood).want(http.StatusCreated)); policy != "project" || limit != 10 {
			t.Errorf("counted against %s of %d", policy, limit)
		}
	}
	for range 20 {
		a := s.do(http.MethodPost, create, nil, ada.asKey, flood).refused(http.StatusTooManyRequests, "rate_limited")
		if policy, limit, remaining := counted(t, a); policy != "ip" || limit != 3 || remaining != 0 || a.header.Get("Retry-After") != "20" {
			t.Errorf("refused with %v", a.header)
		}
	}
	// What was refused cost the project nothing: seven of ten are left.
	for n := range 7 {
		s.do(http.MethodPost, create, nil, ada.asKey, from(fmt.Sprintf("198.51.100.%d", n))).want(http.StatusCreated)
	}
	// The secret and other projects are counted apart.
	for range 5 {
		s.do(http.MethodPost, create, nil, ada.asOwn, flood).want(http.StatusCreated)
	}
	s.do(http.MethodPost, create, nil, eve.asKey, flood).want(http.StatusCreated)
}

func TestAProjectWithoutALimitStillReportsTheLimitOfItsClients(t *testing.T) {
	s := newServer(t, func(o *setup) { o.clientIPPerMinute = 3 })
	ada := s.tenant("ada")
	a := s.do(http.MethodPost, create, nil, ada.asKey).want(http.StatusCreated)
	if policy, limit, remaining := counted(t, a); policy != "ip" || limit != 3 || remaining != 2 {
		t.Errorf("%s, %d of %d", policy, remaining, limit)
	}
}

func TestAnonymousRoutesAreCountedByAddressWhateverCredentialIsSent(t *testing.T) {
	for _, call := range []struct {
		path   string
		body   any
		status int
	}{
		{"/v1/organizations", map[string]any{"name": "x", "admin_email": "x@example.com", "password": password}, http.StatusConflict},
		{"/v1/auth/login", map[string]any{"email": "ada@example.com", "password": "not the password"}, http.StatusUnauthorized},
		{"/v1/invitations/accept", map[string]any{"token": "x", "name": "x", "password": password}, http.StatusBadRequest},
	} {
		t.Run(call.path, func(t *testing.T) {
			s := newServer(t, func(o *setup) { o.ipPerMinute, o.personPerMinute, o.projectPerMinute = 100, 100, 100 })
			ada := s.tenant("ada")
			address := from("203.0.113.5")
			before := 0
			for n := range 3 {
				_, _, left := counted(t, s.do(http.MethodPost, call.path, call.body, address, ada.asPerson).want(call.status))
				if n > 0 && left != before-1 {
					t.Errorf("%d left after %d", left, before)
				}
				before = left
			}
			if policy, _, left := counted(t, s.do(http.MethodPost, call.path, "{}", address)); policy != "ip" || left != before-1 {
				t.Errorf("without a credential: %s, %d left after %d", policy, left, before)
			}
		})
	}
}

func TestASignedInPersonOrAKeyFoundsNoOrganizationAndTheOperatorIsNotCounted(t *testing.T) {
	s := newServer(t, func(o *setup) { o.ipPerMinute = 100 })
	ada := s.tenant("ada")
	body := func(n int) map[string]any {
		return map[string]any{"name": "x", "admin_email": fmt.Sprintf("x%d@example.com", n), "password": password}
	}
	s.do(http.MethodPost, "/v1/organizations", body(0), ada.asPerson).refused(http.StatusConflict, "already_signed_in")
	s.do(http.MethodPost, "/v1/organizations", body(0), ada.asOwn).refused(http.StatusForbidden, "not_allowed")
	if a := s.do(http.MethodPost, "/v1/organizations", body(1), asOperator()).want(http.StatusCreated); a.header.Get("RateLimit") != "" {
		t.Error("the operator is counted")
	}
	s.do(http.MethodPost, "/v1/organizations", body(0)).want(http.StatusCreated)
}

func TestUnknownPathsAreCountedByAddress(t *testing.T) {
	s := newServer(t, func(o *setup) { o.ipPerMinute = 4 })
	s.do(http.MethodGet, "/wp-login.php", nil).want(http.StatusNotFound)
	s.do(http.MethodGet, "/v1/nothing", nil).want(http.StatusNotFound)
	s.do(http.MethodPut, "/v1/status", nil).want(http.StatusMethodNotAllowed)
	s.do(http.MethodGet, "/.env", nil).want(http.StatusNotFound)
	s.do(http.MethodGet, "/.git/config", nil).refused(http.StatusTooManyRequests, "rate_limited")
	s.do(http.MethodGet, "/health", nil).want(http.StatusOK)
}

func TestAnAddressThatGuessesKeysIsRefusedBeforeTheDatabaseIsAsked(t *testing.T) {
	s := newServer(t, func(o *setup) { o.ipPerMinute = 3 })
	ada := s.tenant("ada")
	s.do(http.MethodPost, create, nil, ada.asKey).want(http.StatusCreated) // from elsewhere; known from now on
	guesser := from("203.0.113.66")
	made := func() with {
		key, _, err := apikey.Generate()
		if err != nil {
			t.Fatal(err)
		}
		return asKey(key)
	}
	for range 3 {
		s.do(http.MethodPost, create, nil, made(), guesser).refused(http.StatusUnauthorized, "invalid_api_key")
	}
	before := s.engine.reads.Load()
	for range 10 {
		s.do(http.MethodPost, create, nil, made(), guesser).refused(http.StatusTooManyRequests, "rate_limited")
		s.do(http.MethodPost, create, nil, asServer("pulse_key_x", "pulse_secret_x"), guesser).refused(http.StatusTooManyRequests, "rate_limited")
	}
	if asked := s.engine.reads.Load() - before; asked != 0 {
		t.Errorf("the database was asked %d times", asked)
	}
	// Who calls with a good key from that address is not held up.
	s.do(http.MethodPost, create, nil, ada.asKey, guesser).want(http.StatusCreated)
}

func TestAFloodOfGuessesUsesUpTheLimitOfItsAddressAndKeepsTheOwnerNotOut(t *testing.T) {
	s := newServer(t, func(o *setup) { o.ipPerMinute = 60 })
	ada, eve := s.tenant("ada"), s.tenant("eve")
	address := from("203.0.113.66")
	s.do(http.MethodPost, create, nil, ada.asOwn, address).want(http.StatusCreated)
	guess := asServer(ada.key, eve.secret) // well-formed and wrong
	for n := range 80 {
		a := s.do(http.MethodPost, create, nil, guess, address)
		policy, _, left := counted(t, a)
		if policy != "ip" || left != max(0, 59-n) {
			t.Fatalf("guess %d: %s, %d left", n, policy, left)
		}
		switch {
		case n < 20:
			a.refused(http.StatusUnauthorized, "invalid_api_key")
		case n < 60:
			a.refused(http.StatusTooManyRequests, "too_many_attempts")
		default:
			a.refused(http.StatusTooManyRequests, "rate_limited")
		}
	}
	s.do(http.MethodPost, create, nil, asKey("x"), address).refused(http.StatusTooManyRequests, "rate_limited")
	s.do(http.MethodPost, create, nil, ada.asOwn, address).want(http.StatusCreated)
}
