package routes_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"
)

// counted is what the headers of a limit say.
func counted(t *testing.T, a *answer) (policy string, limit, remaining int) {
	t.Helper()
	var quota, left, reset int
	if _, err := fmt.Sscanf(a.header.Get("RateLimit-Policy"), `"`+"%s", &policy); err != nil {
		t.Fatalf("policy %q: %v", a.header.Get("RateLimit-Policy"), err)
	}
	policy, _, _ = strings.Cut(policy, `"`)
	if _, err := fmt.Sscanf(a.header.Get("RateLimit-Policy"), `"`+policy+`";q=%d;w=60`, &quota); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Sscanf(a.header.Get("RateLimit"), `"`+policy+`";r=%d;t=%d`, &left, &reset); err != nil {
		t.Fatal(err)
	}
	limit, _ = strconv.Atoi(a.header.Get("X-RateLimit-Limit"))
	remaining, _ = strconv.Atoi(a.header.Get("X-RateLimit-Remaining"))
	if limit != quota || remaining != left {
		t.Errorf("the headers differ: %v", a.header)
	}
	return policy, limit, remaining
}

func TestNobodyIsCountedByAddress(t *testing.T) {
	s := newServer(t, func(o *setup) { o.ipPerMinute = 3 })
	for left := 2; left >= 0; left-- {
		a := s.do(http.MethodGet, "/v1/status", nil).want(http.StatusOK)
		if policy, limit, remaining := counted(t, a); policy != "ip" || limit != 3 || remaining != left {
			t.Errorf("got %s, %d of %d", policy, remaining, limit)
		}
		if a.header.Get("Retry-After") != "" {
			t.Error("Retry-After without a refusal")
		}
	}
	a := s.do(http.MethodGet, "/v1/status", nil).refused(http.StatusTooManyRequests, "rate_limited")
	if policy, _, remaining := counted(t, a); policy != "ip" || remaining != 0 || a.header.Get("Retry-After") != "20" {
		t.Errorf("refused with %v", a.header)
	}
	if reset, _ := strconv.ParseInt(a.header.Get("X-RateLimit-Reset"), 10, 64); reset != s.clock.Now().Unix()+60 {
		t.Errorf("resets at %d, it is %d", reset, s.clock.Now().Unix())
	}
	// A login, a sign-up, a call without or with a bad credential: all are nobody.
	for _, call := range []*answer{
		s.do(http.MethodPost, "/v1/auth/login", "{}"), s.do(http.MethodPost, "/v1/organizations", "{}"), s.do(http.MethodGet, "/v1/projects", nil),
		s.do(http.MethodGet, "/v1/projects", nil, bearer("x")), s.do(http.MethodPost, create, nil, asKey("x")),
	} {
		call.refused(http.StatusTooManyRequests, "rate_limited")
	}
	s.do(http.MethodGet, "/v1/status", nil, from("198.51.100.7")).want(http.StatusOK)
	s.clock.Advance(20 * time.Second)
	s.do(http.MethodGet, "/v1/status", nil).want(http.StatusOK)
	s.do(http.MethodGet, "/v1/status", nil).want(http.StatusTooManyRequests)
	// What watches the process is not counted.
	for range 5 {
		if a := s.do(http.MethodGet, "/health", nil).want(http.StatusOK); a.header.Get("RateLimit") != "" {
			t.Error("/health is counted")
		}
	}
}

func TestAddressesBehindTrustedProxiesAreRecognized(t *testing.T) {
	s := newServer(t, func(o *setup) { o.ipPerMinute, o.proxies = 1, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} })
	forwarded := func(address string) with { return header("X-Forwarded-For", address) }
	s.do(http.MethodGet, "/v1/status", nil, from("10.1.1.1"), forwarded("203.0.113.1")).want(http.StatusOK)
	s.do(http.MethodGet, "/v1/status", nil, from("10.1.1.1"), forwarded("203.0.113.2")).want(http.StatusOK)
	s.do(http.MethodGet, "/v1/status", nil, from("10.1.1.2"), forwarded("203.0.113.1")).want(http.StatusTooManyRequests)
	// Who is no proxy can't choose the address they are counted by.
	s.do(http.MethodGet, "/v1/status", nil, from("198.51.100.1"), forwarded("203.0.113.3")).want(http.StatusOK)
	s.do(http.MethodGet, "/v1/status", nil, from("198.51.100.1"), forwarded("203.0.113.4")).want(http.StatusTooManyRequests)
}

func TestAProjectsKeysOfOneGradeShareItsLimitAndNoOtherProjects(t *testing.T) {
	s := newServer(t, func(o *setup) { o.ipPerMinute, o.projectPerMinute, o.personPerMinute = 100, 4, 3 })
	ada, eve := s.tenant("ada"), s.tenant("eve")
	for i, caller := range []with{ada.asKey, bearer(ada.key), asKey(ada.key), ada.asKey} {
		a := s.do(http.MethodPost, create, nil, caller, from("203.0.113."+strconv.Itoa(i))).want(http.StatusCreated)
		if policy, limit, remaining := counted(t, a); policy != "project" || limit != 4 || remaining != 3-i {
			t.Errorf("got %s, %d of %d", policy, remaining, limit)
		}
	}
	s.do(http.MethodPost, create, nil, ada.asKey).refused(http.StatusTooManyRequests, "rate_limited")
	// A flood with the public key keeps no server out.
	for i, caller := range []with{ada.asOwn, asBasic(ada.key, ada.secret), ada.asOwn, ada.asOwn} {
		a := s.do(http.MethodPost, create, nil, caller).want(http.StatusCreated)
		if policy, limit, remaining := counted(t, a); policy != "project" || limit != 4 || remaining != 3-i {
			t.Errorf("with the secret: %s, %d of %d", policy, remaining, limit)
		}
	}
	s.do(http.MethodPost, create, nil, ada.asOwn).refused(http.StatusTooManyRequests, "rate_limited")
	s.do(http.MethodPost, create, nil, eve.asKey).want(http.StatusCreated)
	s.do(http.MethodGet, "/v1/projects", nil, ada.asPerson).want(http.StatusOK) // the second of three: the project was the first
	if policy, limit, remaining := counted(t, s.do(http.MethodGet, "/v1/projects", nil, ada.asPerson).want(http.StatusOK)); policy != "user" || limit != 3 || remaining != 0 {
		t.Errorf("a person: %s, %d of %d", policy, remaining, limit)
	}
	s.do(http.MethodGet, "/v1/projects", nil, ada.asPerson).refused(http.StatusTooManyRequests, "rate_limited")
	for range 10 {
		if a := s.do(http.MethodGet, "/v1/projects", nil, asOperator()).want(http.StatusOK); a.header.Get("RateLimit") != "" {
			t.Error("the operator is counted")
		}
	}
	// The operator's limit for one project holds at once.
	s.patch(ada.project, map[string]any{"limits": map[string]any{"requests_per_minute": 600}})
	s.clock.Advance(time.Second) // what was let through stays counted
	if policy, limit, _ := counted(t, s.do(http.MethodPost, create, nil, ada.asKey).want(http.StatusCreated)); policy != "project" || limit != 600 {
		t.Errorf("then %s of %d", policy, limit)
	}
}

func TestWithoutLimitsNothingIsCounted(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	for range 300 {
		a := s.raw(http.MethodPost, create, ada.asKey)
		if h := a.Result().Header; a.Code != http.StatusCreated || h.Get("RateLimit") != "" || h.Get("X-RateLimit-Limit") != "" {
			t.Fatalf("got %d %v", a.Code, h)
		}
	}
}

func TestGuessingASecretIsSlowedWithoutLockingItsOwnerOut(t *testing.T) {
	s := newServer(t)
	ada, eve := s.tenant("ada"), s.tenant("eve")
	guess := asServer(ada.key, eve.secret) // well-formed and wrong
	s.do(http.MethodPost, create, nil, ada.asOwn).want(http.StatusCreated)
	attempts := 0
	for s.do(http.MethodPost, create, nil, guess).status == http.StatusUnauthorized {
		if attempts++; attempts > 30 {
			t.Fatal("nobody stops the guessing")
		}
	}
	a := s.do(http.MethodPost, create, nil, guess).refused(http.StatusTooManyRequests, "too_many_attempts")
	if wait, _ := strconv.Atoi(a.header.Get("Retry-After")); wait < 1 || wait > 60 {
		t.Errorf("wait %q", a.header.Get("Retry-After"))
	}
	s.do(http.MethodPost, create, nil, ada.asOwn).want(http.StatusCreated)
	s.do(http.MethodPost, create, nil, guess, from("198.51.100.7")).want(http.StatusUnauthorized)
	s.do(http.MethodPost, create, nil, eve.asOwn).want(http.StatusCreated)
	s.clock.Advance(4 * time.Second)
	s.do(http.MethodPost, create, nil, guess).want(http.StatusUnauthorized)
}

func TestEveryBadCredentialIsA401ThatSaysHow(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	for name, tc := range map[string]struct {
		caller with
		code   string
	}{
		"none":                  {func(*http.Request) {}, "unauthenticated"},
		"a secret alone":        {header("X-Pulse-Secret", ada.secret), "invalid_credential"},
		"two keys":              {header("X-Pulse-Key", ada.key, ada.key), "invalid_api_key"},
		"two secrets":           {both(ada.asKey, header("X-Pulse-Secret", ada.secret, ada.secret)), "invalid_api_key"},
		"two authorizations":    {header("Authorization", "Bearer "+ada.session.AccessToken, "Bearer "+ada.session.AccessToken), "invalid_credential"},
		"an empty key":          {asKey(""), "invalid_api_key"},
		"an empty secret":       {asServer(ada.key, ""), "invalid_api_key"},
		"another scheme":        {header("Authorization", "Digest x"), "invalid_credential"},
		"Basic, not base64":     {header("Authorization", "Basic !"), "invalid_credential"},
		"Basic, empty":          {header("Authorization", "Basic"), "invalid_credential"},
		"Basic of nothing":      {asBasic("", ""), "invalid_api_key"},
		"Bearer, empty":         {header("Authorization", "Bearer "), "invalid_credential"},
		"Bearer alone":          {header("Authorization", "Bearer"), "invalid_credential"},
		"an empty header":       {header("Authorization", ""), "invalid_credential"},
		"not a token":           {bearer("x.y.z"), "invalid_token"},
		"a refresh token":       {bearer(ada.session.RefreshToken), "invalid_token"},
		"nearly the operator's": {bearer(operatorToken + "x"), "invalid_token"},
		"a key as a Bearer":     {bearer("pulse_key_x"), "invalid_api_key"},
	} {
		t.Run(name, func(t *testing.T) {
			s := s.in(t)
			for _, path := range []string{"/v1/projects", "/v1/organizations/" + ada.org} {
				a := s.do(http.MethodGet, path, nil, tc.caller).refused(http.StatusUnauthorized, tc.code)
				if want := map[bool]string{true: `Bearer realm="pulse"`, false: `Bearer realm="pulse", error="invalid_token"`}[tc.code == "unauthenticated"]; a.header.Get("WWW-Authenticate") != want {
					t.Errorf("challenged with %q", a.header.Get("WWW-Authenticate"))
				}
			}
			// A bad credential is bad also where none is needed.
			if tc.code != "unauthenticated" {
				s.do(http.MethodGet, "/v1/status", nil, tc.caller).refused(http.StatusUnauthorized, tc.code)
			}
		})
	}
}

func TestMissingCredentialsAreAnsweredWithTheAcceptedOnes(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	for _, tc := range []struct {
		method, path string
		headers      []string
	}{
		{http.MethodPost, "/v1/tokens/create", []string{"X-Pulse-Key"}},
		{http.MethodGet, "/v1/organizations/" + ada.org, []string{"Authorization: Bearer"}},
		{http.MethodGet, "/v1/projects", []string{"Authorization: Bearer", "X-Pulse-Key", "X-Pulse-Secret"}},
	} {
		detail := s.do(tc.method, tc.path, nil).refused(http.StatusUnauthorized, "unauthenticated").problem().Detail
		for _, h := range tc.headers {
			if !strings.Contains(detail, h) {
				t.Errorf("%s: %q does not name %s", tc.path, detail, h)
			}
		}
	}
}

func TestUnknownPathsAndEmptyCredentialsAreToldApartFromMissingObjects(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	for path, want := range map[string]string{
		"/v1/projects/":        "path",
		"/v1/project":          "path",
		"/v1/projects/prj_one": "Not found.",
	} {
		if p := s.do(http.MethodGet, path, nil, ada.asPerson).refused(http.StatusNotFound, "not_found").problem(); !strings.Contains(p.Detail, want) {
			t.Errorf("%s: %q", path, p.Detail)
		}
	}
	p := s.do(http.MethodGet, "/v1/projects", nil, header("Authorization", "Bearer ")).refused(http.StatusUnauthorized, "invalid_credential").problem()
	if !strings.Contains(p.Detail, "without a token after Bearer") {
		t.Errorf("an empty token: %q", p.Detail)
	}
}
