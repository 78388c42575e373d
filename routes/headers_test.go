package routes_test

import (
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pulse-control-plane/utils/ids"
)

func TestARequestIdIsTakenIfItIsWellFormedAndReturnedAlways(t *testing.T) {
	s := newServer(t)
	for _, id := range []string{"a", "req_1", "0AZaz._-:=", strings.Repeat("x", 128), "4bf92f35-77b3-4da6-a3ce-929d0e0e4736"} {
		if got := s.do(http.MethodGet, "/health", nil, header("X-Request-Id", id)).header.Get("X-Request-Id"); got != id {
			t.Errorf("%q became %q", id, got)
		}
	}
	for _, id := range []string{"", strings.Repeat("x", 129), "a b", "ü", "a/b", "<script>", "a\tb", `"`, "a,b"} {
		for _, path := range []string{"/health", "/v1/projects", "/nowhere", "/v1/status"} {
			if got := s.do(http.MethodGet, path, nil, header("X-Request-Id", id)).header["X-Request-Id"]; len(got) != 1 || !ids.Valid("req_", got[0]) {
				t.Errorf("%q became %q", id, got)
			}
		}
	}
}

func TestAPathThatIsNotThereAndAMethodItHasNotAreProblems(t *testing.T) {
	s := newServer(t)
	for _, path := range []string{"/", "/v1", "/v1/", "/v2/projects", "/v1/projects/", "/v1/projects/a/b", "//v1/projects", "/v1//projects",
		"/V1/projects", "/v1/tokens", "/v1/organizations/", "/health/", "/.env", "/v1/projects%2f", "/v1/projects/x/regenerate-keys/"} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
			if a := s.do(method, path, nil).refused(http.StatusNotFound, "not_found"); a.header.Get("Allow") != "" {
				t.Errorf("%s %s allows %q", method, path, a.header.Get("Allow"))
			}
		}
	}
	for call, allow := range map[string]string{
		"POST /health": "GET", "DELETE /metrics": "GET", "PUT /v1/status": "GET", "DELETE /v1/organizations": "GET POST",
		"POST /v1/organizations/x": "DELETE GET PATCH PUT", "GET /v1/auth/login": "POST", "PATCH /v1/projects": "GET POST",
		"GET /v1/projects/x/regenerate-keys": "POST", "GET /v1/tokens/create": "POST", "DELETE /v1/tokens/validate": "POST",
		"BREW /v1/projects": "GET POST", "OPTIONS /v1/projects": "GET POST",
	} {
		method, path, _ := strings.Cut(call, " ")
		got := strings.FieldsFunc(s.do(method, path, nil).refused(http.StatusMethodNotAllowed, "method_not_allowed").header.Get("Allow"),
			func(r rune) bool { return r == ',' || r == ' ' })
		slices.Sort(got)
		if strings.Join(got, " ") != allow {
			t.Errorf("%s allows %q, want %q", call, got, allow)
		}
	}
}

func TestEveryAnswerTellsBrowsersToBeCareful(t *testing.T) {
	s, strict := newServer(t), newServer(t, func(o *setup) { o.strict = true })
	for _, path := range []string{"/health", "/v1/status", "/v1/projects", "/nowhere", "/openapi.json", "/docs"} {
		a := s.do(http.MethodGet, path, nil)
		for name, want := range map[string]string{"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer",
			"Cache-Control": "no-store", "Strict-Transport-Security": ""} {
			if got := a.header.Get(name); got != want {
				t.Errorf("%s: %s is %q", path, name, got)
			}
		}
		if policy := a.header.Get("Content-Security-Policy"); !strings.HasPrefix(policy, "default-src 'none'") || !strings.Contains(policy, "frame-ancestors 'none'") {
			t.Errorf("%s: the policy is %q", path, policy)
		}
		if strict.do(http.MethodGet, path, nil).header.Get("Strict-Transport-Security") == "" {
			t.Errorf("%s: behind TLS nothing says so", path)
		}
	}
}

func TestPagesOfTheNamedOriginsMayCall(t *testing.T) {
	origins := []string{"https://app.example.com", "http://localhost:3000"}
	s := newServer(t, func(o *setup) { o.origins = origins })
	ada := s.tenant("ada")
	for _, origin := range origins {
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"} {
			r := s.raw(http.MethodOptions, "/v1/projects", header("Origin", origin), header("Access-Control-Request-Method", method),
				header("Access-Control-Request-Headers", "authorization,content-type,idempotency-key,x-pulse-key,x-pulse-secret,x-request-id"))
			h := r.Result().Header
			if r.Code != http.StatusNoContent || h.Get("Access-Control-Allow-Origin") != origin || h.Get("Access-Control-Allow-Credentials") != "true" ||
				!strings.Contains(h.Get("Access-Control-Allow-Methods"), method) || !strings.Contains(h.Get("Access-Control-Allow-Headers"), "x-pulse-secret") {
				t.Errorf("%s from %s: %d %v", method, origin, r.Code, h)
			}
		}
		// Answers, good and bad, can be read by the page.
		for _, a := range []*answer{s.do(http.MethodPost, create, nil, ada.asKey, header("Origin", origin)).want(http.StatusCreated),
			s.do(http.MethodGet, "/v1/projects", nil, header("Origin", origin)).want(http.StatusUnauthorized)} {
			exposed := strings.ToLower(a.header.Get("Access-Control-Expose-Headers"))
			if a.header.Get("Access-Control-Allow-Origin") != origin || !slices.Contains(a.header.Values("Vary"), "Origin") {
				t.Errorf("from %s: %v", origin, a.header)
			}
			for _, name := range []string{"x-request-id", "ratelimit", "ratelimit-policy", "x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset", "retry-after"} {
				if !strings.Contains(exposed, name) {
					t.Errorf("%s is not exposed: %q", name, exposed)
				}
			}
		}
	}
	for _, origin := range []string{"https://evil.example.com", "http://app.example.com", "https://app.example.com.evil.com", "null"} {
		for _, h := range []http.Header{
			s.raw(http.MethodOptions, "/v1/projects", header("Origin", origin), header("Access-Control-Request-Method", "GET")).Result().Header,
			s.do(http.MethodGet, "/v1/projects", nil, header("Origin", origin)).header,
		} {
			if h.Get("Access-Control-Allow-Origin") != "" || h.Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("%s is let in: %v", origin, h)
			}
		}
	}
}

func TestAnyOriginNeverComesWithCredentials(t *testing.T) {
	for _, origins := range [][]string{{"*"}, {"https://app.example.com", "*"}} {
		s := newServer(t, func(o *setup) { o.origins = origins })
		for _, h := range []http.Header{
			s.raw(http.MethodOptions, "/v1/projects", header("Origin", "https://app.example.com"), header("Access-Control-Request-Method", "GET")).Result().Header,
			s.do(http.MethodGet, "/v1/status", nil, header("Origin", "https://app.example.com")).header,
		} {
			if h.Get("Access-Control-Allow-Origin") != "*" || h.Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("%v: %v", origins, h)
			}
		}
	}
	if h := newServer(t).do(http.MethodGet, "/v1/status", nil, header("Origin", "https://app.example.com")).header; h.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("without origins: %v", h)
	}
}

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

func TestAddressesBehindTrustedProxiesAreTold(t *testing.T) {
	s := newServer(t, func(o *setup) { o.ipPerMinute, o.proxies = 1, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} })
	forwarded := func(address string) with { return header("X-Forwarded-For", address) }
	s.do(http.MethodGet, "/v1/status", nil, from("10.1.1.1"), forwarded("203.0.113.1")).want(http.StatusOK)
	s.do(http.MethodGet, "/v1/status", nil, from("10.1.1.1"), forwarded("203.0.113.2")).want(http.StatusOK)
	s.do(http.MethodGet, "/v1/status", nil, from("10.1.1.2"), forwarded("203.0.113.1")).want(http.StatusTooManyRequests)
	// Who is no proxy can't choose the address they are counted by.
	s.do(http.MethodGet, "/v1/status", nil, from("198.51.100.1"), forwarded("203.0.113.3")).want(http.StatusOK)
	s.do(http.MethodGet, "/v1/status", nil, from("198.51.100.1"), forwarded("203.0.113.4")).want(http.StatusTooManyRequests)
}

func TestAProjectsKeysShareItsLimitAndNobodyElses(t *testing.T) {
	s := newServer(t, func(o *setup) { o.ipPerMinute, o.projectPerMinute, o.personPerMinute = 100, 4, 3 })
	ada, eve := s.tenant("ada"), s.tenant("eve")
	for i, caller := range []with{ada.asKey, ada.asOwn, bearer(ada.key), asBasic(ada.key, ada.secret)} {
		a := s.do(http.MethodPost, create, nil, caller, from("203.0.113."+strconv.Itoa(i))).want(http.StatusCreated)
		if policy, limit, remaining := counted(t, a); policy != "project" || limit != 4 || remaining != 3-i {
			t.Errorf("got %s, %d of %d", policy, remaining, limit)
		}
	}
	s.do(http.MethodPost, create, nil, ada.asKey).refused(http.StatusTooManyRequests, "rate_limited")
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

func TestACallerWithoutACredentialIsToldWhichToSend(t *testing.T) {
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
