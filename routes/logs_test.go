package routes_test

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"pulse-control-plane/handlers"
)

func TestNoCredentialAppearsInTheLog(t *testing.T) {
	s := newServer(t, func(o *setup) { o.metricsToken = "metrics-token-0123456789" })
	ada := s.tenant("ada")
	word := "hunter2-hunter2-hunter2"
	minted := read[handlers.Token](s.do(http.MethodPost, create, nil, ada.asOwn).want(http.StatusCreated)).ParticipantToken
	secrets := []string{ada.secret, ada.key, ada.session.AccessToken, ada.session.RefreshToken, operatorToken, clusterSecret, word, password, minted,
		base64.StdEncoding.EncodeToString([]byte(ada.key + ":" + ada.secret)), "metrics-token-0123456789", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl"}
	headers := []string{"X-Pulse-Key", "X-Pulse-Secret", "Authorization", "X-Request-Id", "Idempotency-Key", "Cookie", "Origin", "Referer", "User-Agent",
		"Traceparent", "Tracestate", "Content-Type", "Accept", "X-Forwarded-For", "X-Real-Ip", "Forwarded", "Host", "X-Anything", "Proxy-Authorization"}
	for _, secret := range secrets {
		for _, name := range headers {
			for _, value := range []string{secret, "Bearer " + secret, "Basic " + secret} {
				// A password by itself could be a request id; a caller that sends one as
				// that has it written down, as they asked.
				if name == "X-Request-Id" && (secret == word || secret == operatorToken || secret == clusterSecret || strings.HasPrefix(secret, "metrics")) {
					continue
				}
				s.raw(http.MethodGet, "/v1/projects", header(name, value))
				s.raw(http.MethodPost, create, ada.asKey, header(name, value))
				s.raw(http.MethodGet, "/metrics", header(name, value))
			}
		}
		text, err := json.Marshal(secret)
		if err != nil {
			t.Fatal(err)
		}
		value := string(text)
		for _, body := range []string{value, "{" + value, "{" + value + ":1}", `{"token":` + value + `}`, `{"name":` + value + `,"admin_email":` + value + `,"password":` + value + `}`,
			`{"email":` + value + `,"password":` + value + `}`, `{"room_name":` + value + `,"participant_metadata":` + value + `,"x":` + value + `}`, secret,
			`{"room_config":{` + value + `:` + value + `}}`, `{"participant_attributes":{` + value + `:` + value + `}}`} {
			s.do(http.MethodPost, "/v1/organizations", body)
			s.do(http.MethodPost, "/v1/auth/login", body)
			s.do(http.MethodPost, "/v1/projects", body, ada.asPerson)
			s.do(http.MethodPatch, "/v1/projects/"+ada.project, body, ada.asPerson)
			s.do(http.MethodPost, create, body, ada.asKey)
			s.do(http.MethodPost, validate, body, ada.asKey)
		}
		if secret != word && secret != operatorToken && secret != clusterSecret && secret != password && !strings.HasPrefix(secret, "metrics") {
			// Where an id belongs, and where nothing is.
			s.do(http.MethodGet, "/v1/projects/"+secret, nil, ada.asPerson)
			s.do(http.MethodDelete, "/v1/projects/"+ada.project+"/keys/"+secret, nil, ada.asPerson)
			s.do(http.MethodGet, "/v1/nothing/"+secret, nil, ada.asPerson)
		}
		s.do(http.MethodGet, "/v1/projects?q="+url.QueryEscape(secret)+"&cursor="+url.QueryEscape(secret)+"&access_token="+url.QueryEscape(secret), nil, ada.asPerson)
	}
	s.engine.away.Store(true) // faults log more
	s.do(http.MethodPost, "/v1/auth/login", map[string]any{"email": ada.email, "password": word}).want(http.StatusServiceUnavailable)
	s.do(http.MethodPost, "/v1/projects", map[string]any{"name": "x"}, ada.asPerson).want(http.StatusServiceUnavailable)
	log := s.log.String()
	if len(log) == 0 {
		t.Fatal("there is no log")
	}
	for _, secret := range secrets {
		for _, leak := range []string{secret, secret[len(secret)/2:]} {
			if at := strings.Index(log, leak); at >= 0 {
				t.Errorf("%q is in the log: …%s…", leak, log[max(0, at-300):min(len(log), at+100)])
			}
		}
	}
}

func TestEveryRequestIsOneLogLineWithCallerAndRoute(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	type line struct {
		Level     string  `json:"level"`
		RequestID string  `json:"request_id"`
		Method    string  `json:"method"`
		Path      string  `json:"path"`
		Status    int     `json:"status"`
		Latency   float64 `json:"latency_ms"`
		Caller    string  `json:"principal"`
		UserID    string  `json:"user_id"`
		OrgID     string  `json:"org_id"`
		ProjectID string  `json:"project_id"`
		KeyID     string  `json:"key_id"`
		Code      string  `json:"code"`
		TraceID   string  `json:"trace_id"`
		IP        string  `json:"ip"`
	}
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	for name, tc := range map[string]struct {
		method, path string
		caller       with
		want         line
	}{
		"key":     {http.MethodPost, create, ada.asKey, line{Level: "info", Status: 201, Caller: "client_key", OrgID: ada.org, ProjectID: ada.project}},
		"server":  {http.MethodGet, "/v1/projects", ada.asOwn, line{Level: "info", Status: 200, Caller: "server_key", OrgID: ada.org, ProjectID: ada.project}},
		"person":  {http.MethodGet, "/v1/projects", ada.asPerson, line{Level: "info", Status: 200, Caller: "person", OrgID: ada.org, UserID: ada.user}},
		"nobody":  {http.MethodGet, "/v1/projects", func(*http.Request) {}, line{Level: "warn", Status: 401, Code: "unauthenticated"}},
		"missing": {http.MethodGet, "/nowhere", func(*http.Request) {}, line{Level: "warn", Status: 404, Code: "not_found"}},
		"traced":  {http.MethodGet, "/health", header("Traceparent", "00-"+trace+"-00f067aa0ba902b7-01"), line{Level: "info", Status: 200, TraceID: trace}},
		"not traced": {http.MethodGet, "/health", header("Traceparent", "00-"+trace[:31]+"G-00f067aa0ba902b7-01"),
			line{Level: "info", Status: 200}},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(s.log.String())
			a := s.in(t).do(tc.method, tc.path, nil, tc.caller)
			lines := strings.Split(strings.TrimSpace(s.log.String()[before:]), "\n")
			var got line
			if err := json.Unmarshal([]byte(lines[0]), &got); err != nil || len(lines) != 1 {
				t.Fatalf("%d lines: %q (%v)", len(lines), lines, err)
			}
			if tc.want.ProjectID != "" && !strings.HasPrefix(got.KeyID, "key_") {
				t.Errorf("the key is %q", got.KeyID)
			}
			got.KeyID = ""
			tc.want.Method, tc.want.Path, tc.want.IP, tc.want.RequestID = tc.method, tc.path, "192.0.2.1", a.header.Get("X-Request-Id")
			if got != tc.want {
				t.Errorf("got %+v\nwant %+v", got, tc.want)
			}
		})
	}
}

func TestAPathInTheLogAndInAProblemIsShortAndEscaped(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	for name, path := range map[string]string{
		"unknown": "/" + strings.Repeat("%01", 20_000), "known": "/v1/projects/" + strings.Repeat("%0A", 20_000), "letters": "/" + strings.Repeat("a", 60_000),
		"cut in an escape": "/ab" + strings.Repeat("%01", 20_000), "cut in another": "/abc" + strings.Repeat("%01", 20_000),
		"quotes": "/" + strings.Repeat(`"`, 100), "bidi": "/v1/projects/%E2%80%AE%1b[31m", "credential": "/v1/nothing/" + strings.Repeat("x", 5000) + ada.key,
		"escaped credential": "/v1/nothing/%70ulse_key_" + ada.key[len("pulse_key_"):],
	} {
		t.Run(name, func(t *testing.T) {
			s.log.Reset()
			a := s.do(http.MethodGet, path, nil, ada.asPerson).want(http.StatusNotFound)
			instance := a.problem().Instance
			if u, err := url.Parse(instance); err != nil || len(instance) > 256 || strings.ContainsAny(u.Path, "\ufffd") || len(a.body) > 2048 {
				t.Errorf("the problem has %d bytes, of them %d of the instance: %v", len(a.body), len(instance), err)
			}
			if strings.Contains(string(a.body), ada.key[len("pulse_key_"):]) {
				t.Errorf("a credential stands in %s", a.body)
			}
			line := s.log.String()
			var got struct{ Path string }
			if err := json.Unmarshal([]byte(line), &got); err != nil {
				t.Fatal(err)
			}
			if len(got.Path) > 256 || len(line) > 1024 || strings.Contains(line, `\u00`) || strings.ContainsAny(got.Path, "\x01\n\x1b") {
				t.Errorf("%d bytes, of them %d of the path: %s", len(line), len(got.Path), line)
			}
			if strings.Contains(line, ada.key[len("pulse_key_"):]) {
				t.Errorf("a credential stands in %s", line)
			}
		})
	}
	s.log.Reset()
	s.do(strings.Repeat("A", 10_000), "/v1/projects", nil, ada.asPerson).want(http.StatusMethodNotAllowed)
	if line := s.log.String(); len(line) > 1024 {
		t.Errorf("a method of 10,000 bytes is logged in %d", len(line))
	}
}
