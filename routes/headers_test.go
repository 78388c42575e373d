package routes_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

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

func TestUnknownPathsAndMethodsAnswerAsProblems(t *testing.T) {
	s := newServer(t)
	for _, path := range []string{"/v1", "/v1/", "/v2/projects", "/v1/projects/", "/v1/projects/a/b", "//v1/projects", "/v1//projects",
		"/V1/projects", "/v1/tokens", "/v1/organizations/", "/health/", "/.env", "/v1/projects%2f", "/v1/projects/x/regenerate-keys/"} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
			if a := s.do(method, path, nil).refused(http.StatusNotFound, "not_found"); a.header.Get("Allow") != "" {
				t.Errorf("%s %s allows %q", method, path, a.header.Get("Allow"))
			}
		}
	}
	for call, allow := range map[string]string{
		"POST /health": "GET HEAD", "DELETE /metrics": "GET HEAD", "PUT /v1/status": "GET HEAD", "DELETE /v1/organizations": "GET HEAD POST",
		"POST /v1/organizations/x": "DELETE GET HEAD PATCH PUT", "GET /v1/auth/login": "POST", "PATCH /v1/projects": "GET HEAD POST",
		"GET /v1/projects/x/regenerate-keys": "POST", "GET /v1/tokens/create": "POST", "DELETE /v1/tokens/validate": "POST",
		"BREW /v1/projects": "GET HEAD POST", "OPTIONS /v1/projects": "GET HEAD POST",
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

func TestEveryAnswerHasTheSecurityHeaders(t *testing.T) {
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
				header("Access-Control-Request-Headers", "authorization,baggage,content-type,idempotency-key,last-event-id,sentry-trace,traceparent,tracestate,x-pulse-key,x-pulse-secret,x-request-id"))
			h := r.Result().Header
			if r.Code != http.StatusNoContent || h.Get("Access-Control-Allow-Origin") != origin || h.Get("Access-Control-Allow-Credentials") != "true" ||
				!strings.Contains(h.Get("Access-Control-Allow-Methods"), method) || !strings.Contains(h.Get("Access-Control-Allow-Headers"), "x-pulse-secret") {
				t.Errorf("%s from %s: %d %v", method, origin, r.Code, h)
			}
		}
		// Answers, good and bad, can be read by the page.
		for _, a := range []*answer{s.do(http.MethodGet, "/v1/projects", nil, ada.asOwn, header("Origin", origin)).want(http.StatusOK),
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

func TestBlanksAroundACredentialMakeNoDifferenceOnAnyRoute(t *testing.T) {
	const token = "metrics-token-0123456789"
	s := newServer(t, func(o *setup) { o.metricsToken = token })
	ada := s.tenant("ada")
	_, basic, _ := strings.Cut(basicOf(ada.key, ada.secret), " ")
	signup := 0
	for _, blank := range []string{"\t", "  ", " \t "} {
		for name, ask := range map[string]func(how with) *answer{
			"Bearer " + ada.session.AccessToken: func(how with) *answer { return s.do(http.MethodGet, "/v1/projects", nil, how).want(http.StatusOK) },
			"Bearer " + ada.key:                 func(how with) *answer { return s.do(http.MethodPost, create, nil, how).want(http.StatusCreated) },
			"basic " + basic:                    func(how with) *answer { return s.do(http.MethodGet, "/v1/rooms", nil, how).want(http.StatusOK) },
			"bearer " + operatorToken: func(how with) *answer {
				signup++
				return s.do(http.MethodPost, "/v1/organizations", map[string]any{"name": "x", "admin_email": fmt.Sprint("x", signup, "@example.com"), "password": password}, how).want(http.StatusCreated)
			},
			"BEARER " + token: func(how with) *answer { return s.do(http.MethodGet, "/metrics", nil, how).want(http.StatusOK) },
		} {
			scheme, credential, _ := strings.Cut(name, " ")
			ask(header("Authorization", scheme+blank+credential))
			ask(header("Authorization", blank+scheme+blank+credential+blank))
		}
		body := fmt.Appendf(nil, `{"event":"room_started","id":"EV_%x","createdAt":"%d"}`, blank, s.clock.Now().Unix())
		s.do(http.MethodPost, "/v1/webhooks/livekit", body, header("Content-Type", "application/webhook+json"),
			header("Authorization", "Bearer"+blank+s.signature(body, clusterSecret))).want(http.StatusOK)
	}
}

// basicOf is the field Authorization of a key and its secret.
func basicOf(key, secret string) string {
	r := &http.Request{Header: http.Header{}}
	r.SetBasicAuth(key, secret)
	return r.Header.Get("Authorization")
}
