package routes_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestAChunkedBodyOfNoBytesIsNoBody(t *testing.T) {
	s := newServer(t)
	for i := range bodied(tenant{}) {
		ada := s.tenant(fmt.Sprint("ada", i))
		route := bodied(ada)[i]
		empty := func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(strings.NewReader("")), -1 }
		none := s.do(route.method, route.path, nil, route.caller)
		chunked := s.do(route.method, route.path, nil, route.caller, empty)
		if chunked.status != none.status {
			t.Errorf("%s %s: %d without a body, %d with a chunked one of no bytes", route.method, route.path, none.status, chunked.status)
		}
		if none.status == http.StatusBadRequest {
			chunked.refused(http.StatusBadRequest, "invalid_request", "body")
		}
	}
	login := s.do(http.MethodPost, "/v1/auth/login", map[string]any{"email": "ada0@example.com", "password": password, "cookie": true}).want(http.StatusOK)
	s.do(http.MethodPost, "/v1/auth/refresh", nil, sending(cookieOf(login)), func(r *http.Request) {
		r.Body, r.ContentLength = io.NopCloser(strings.NewReader("")), -1
	}).want(http.StatusOK)
}

// unfinished is a body that is read as far as it goes and then waits.
type unfinished struct {
	text  string
	wait  chan struct{}
	reads chan struct{}
}

func (u *unfinished) Read(p []byte) (int, error) {
	if u.text != "" {
		n := copy(p, u.text)
		u.text = u.text[n:]
		return n, nil
	}
	u.reads <- struct{}{}
	<-u.wait
	return 0, io.EOF
}

// hold sends so many bytes of a body and no more until release; false if they were
// refused.
func (s *server) hold(path string, bytes int, caller with) (release func(), held bool) {
	body := &unfinished{text: `{"x":"` + strings.Repeat("x", bytes-6), wait: make(chan struct{}), reads: make(chan struct{})}
	r := httptest.NewRequest(http.MethodPost, path, body)
	r.ContentLength = -1
	r.Header.Set("Content-Type", "application/json")
	caller(r)
	done := make(chan struct{})
	go func() {
		s.handler.ServeHTTP(httptest.NewRecorder(), r)
		close(done)
	}()
	select {
	case <-body.reads:
		return func() { close(body.wait); <-done }, true
	case <-done:
		return func() {}, false
	}
}

func TestNoCallerFillsTheMemoryOfBodiesForOthers(t *testing.T) {
	const budget, piece, tries = 400_000, 4_000, 120
	s := newServer(t, func(o *setup) { o.bodyMemory = budget })
	ada, bob := s.tenant("ada"), s.tenant("bob")
	from := func(ip string) with { return func(r *http.Request) { r.RemoteAddr = ip } }
	for name, row := range map[string]struct {
		path string
		// all are what its senders may use together.
		all    int
		sender func(n int) with
		// other sends one body that is complete, and one that is not.
		otherPath string
		other     with
	}{
		"a public key, from many addresses": {create, budget, func(n int) with {
			return func(r *http.Request) { ada.asKey(r); from(fmt.Sprintf("203.0.113.%d:1", n))(r) }
		}, "/v1/projects", ada.asPerson},
		"an organization": {"/v1/projects", budget, func(n int) with { return ada.asPerson }, "/v1/projects", bob.asPerson},
		"an address":      {"/v1/auth/login", budget / 4, func(n int) with { return from("203.0.113.1:1") }, "/v1/auth/login", from("203.0.113.2:1")},
		"a network":       {"/v1/auth/login", budget / 4, func(n int) with { return from(fmt.Sprintf("[2001:db8::%x]:1", n)) }, "/v1/auth/login", from("[2001:db8:0:1::1]:1")},
	} {
		t.Run(name, func(t *testing.T) {
			var ends []func()
			for n := range tries {
				release, held := s.hold(row.path, piece, row.sender(n))
				if held {
					ends = append(ends, release)
				}
			}
			if most := row.all / 2; len(ends)*piece > most+piece || len(ends)*piece < most-piece {
				t.Errorf("one caller holds %d bytes of %d", len(ends)*piece, row.all)
			}
			release, held := s.hold(row.otherPath, 3*piece, row.other)
			if !held {
				t.Error("another caller has nothing left")
			}
			release()
			for _, end := range ends {
				end()
			}
			if release, held := s.hold(row.path, piece, row.sender(0)); !held {
				t.Error("it is still full afterwards")
			} else {
				release()
			}
		})
	}
}

func TestBodiesBeingReadShareOneBudgetAndAnonymousOnesAPartOfIt(t *testing.T) {
	s := newServer(t, func(o *setup) { o.bodyMemory = 40_000 })
	ada := s.tenant("ada")
	hold := func(path string, bytes int, caller with) (release func()) {
		release, held := s.hold(path, bytes, caller)
		if !held {
			t.Fatal("the body is not read")
		}
		return release
	}
	nobody := func(*http.Request) {}
	login := `{"email":"` + ada.email + `","password":"` + password + `"}`

	anonymous := hold("/v1/auth/login", 9_990, nobody)
	a := s.do(http.MethodPost, "/v1/auth/login", login).refused(http.StatusServiceUnavailable, "body_memory_exhausted")
	if a.header.Get("Retry-After") == "" || a.header.Get("Connection") != "close" {
		t.Errorf("got %v", a.header)
	}
	// A caller with a credential still has the rest, and needs none without a body.
	s.do(http.MethodPost, create, `{"room_name":"r"}`, ada.asKey).want(http.StatusCreated)
	authenticated := hold(create, 30_000, ada.asKey)
	s.do(http.MethodPost, create, `{"room_name":"r"}`, ada.asKey).refused(http.StatusServiceUnavailable, "body_memory_exhausted")
	s.do(http.MethodPost, "/v1/projects", `{"name":"`+strings.Repeat(" ", 10_000)+`"}`, ada.asPerson, header("Idempotency-Key", "k")).refused(http.StatusServiceUnavailable, "body_memory_exhausted")
	s.do(http.MethodPost, create, nil, ada.asKey).want(http.StatusCreated)
	anonymous()
	authenticated()
	s.do(http.MethodPost, "/v1/auth/login", login).want(http.StatusOK)
	s.do(http.MethodPost, create, `{"room_name":"r"}`, ada.asKey).want(http.StatusCreated)
}

// Go cancels a request whose client closes its side of the connection.
func TestAClientThatClosesItsSideIsNoErrorOfOurs(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	s.log.Reset()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := httptest.NewRequest(http.MethodGet, "/v1/projects", nil).WithContext(ctx)
	ada.asPerson(r)
	a := s.serve(r)
	if p := a.problem(); a.status != 499 || p.Code != "client_closed_request" || p.Title == "" {
		t.Errorf("got %d %s", a.status, a.body)
	}
	var line struct {
		Level  string `json:"level"`
		Status int    `json:"status"`
	}
	if err := json.Unmarshal([]byte(s.log.String()), &line); err != nil || line.Level != "info" || line.Status != 499 {
		t.Errorf("logged %s (%v)", s.log, err)
	}

	// A deadline of ours is still ours.
	ctx, cancel = context.WithTimeout(t.Context(), 0)
	defer cancel()
	r = httptest.NewRequest(http.MethodGet, "/v1/projects", nil).WithContext(ctx)
	ada.asPerson(r)
	if a := s.serve(r); a.status != http.StatusServiceUnavailable {
		t.Errorf("got %d %s", a.status, a.body)
	}
}

func TestHEADAnswersAsGETWithoutABody(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	heads := 0
	for _, r := range routesOf(s, ada) {
		if r.method != http.MethodGet {
			continue
		}
		query := map[string]string{"/v1/usage/explain": "?meter=room_seconds", "/v1/audit-logs": "?org_id=" + ada.org,
			"/v1/audit-logs/export": "?org_id=" + ada.org, "/v1/audit-logs/verify": "?org_id=" + ada.org}[r.pattern]
		if strings.HasPrefix(r.pattern, "/v1/usage") {
			query += "&project_id=" + ada.project
			query = "?" + strings.TrimLeft(query, "?&")
		}
		heads++
		t.Run(r.pattern, func(t *testing.T) {
			s := s.in(t)
			get := s.allowed(r, query, ada)
			r.method = http.MethodHead
			head := s.allowed(r, query, ada)
			if head.status != get.status || head.header.Get("Content-Type") != get.header.Get("Content-Type") ||
				head.header.Get("Content-Disposition") != get.header.Get("Content-Disposition") {
				t.Errorf("GET %d %v, HEAD %d %v", get.status, get.header, head.status, head.header)
			}
		})
	}
	if heads < 15 {
		t.Errorf("only %d routes were asked", heads)
	}
	for _, path := range []string{"/health", "/health/ready", "/metrics", "/openapi.json", "/openapi.yaml", "/docs"} {
		if got := s.raw(http.MethodHead, path).Code; got != http.StatusOK {
			t.Errorf("HEAD %s: %d", path, got)
		}
	}

	listening := httptest.NewServer(s.handler)
	defer listening.Close()
	for _, path := range []string{"/health", "/v1/usage/export", "/v1/nothing", "/openapi.yaml"} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodHead, listening.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		ada.asOwn(request)
		r, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil || len(body) > 0 || r.Header.Get("Content-Type") == "" {
			t.Errorf("HEAD %s: %q %v %v", path, body, r.Header, err)
		}
	}
}

// Over a real connection: the client sends its request and closes its side.
func TestAHalfClosedConnectionIsNotLoggedAsAnError(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	closed := make(chan struct{})
	listening := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		close(closed)
		<-r.Context().Done() // net/http has seen the end
		s.handler.ServeHTTP(w, r)
	}))
	defer listening.Close()
	s.log.Reset()
	conn, err := net.Dial("tcp", listening.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "GET /v1/organizations HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", ada.session.AccessToken)
	<-closed
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	r, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if r.StatusCode != 499 || strings.Contains(s.log.String(), `"level":"error"`) {
		t.Errorf("%d, logged %s", r.StatusCode, s.log)
	}
}
