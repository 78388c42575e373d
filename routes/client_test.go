package routes_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"pulse-control-plane/middleware"
)

// with changes a request before it is sent.
type with func(*http.Request)

func header(name string, values ...string) with {
	return func(r *http.Request) { r.Header[http.CanonicalHeaderKey(name)] = values }
}

func bearer(token string) with         { return header("Authorization", "Bearer "+token) }
func asOperator() with                 { return bearer(operatorToken) }
func asKey(key string) with            { return header("X-Pulse-Key", key) }
func asServer(key, secret string) with { return both(asKey(key), header("X-Pulse-Secret", secret)) }

func asBasic(key, secret string) with {
	return func(r *http.Request) { r.SetBasicAuth(key, secret) }
}

func from(address string) with {
	return func(r *http.Request) { r.RemoteAddr = address + ":4321" }
}

func both(all ...with) with {
	return func(r *http.Request) {
		for _, w := range all {
			w(r)
		}
	}
}

// answer is what came back.
type answer struct {
	t      testing.TB
	what   string
	status int
	header http.Header
	body   []byte
}

// do sends a request through the whole stack. A body that is a string or bytes
// goes as it is, anything else as JSON; nil is no body. The answer is held
// against the document.
func (s *server) do(method, path string, body any, how ...with) *answer {
	s.t.Helper()
	var reader io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		reader = strings.NewReader(b)
	case []byte:
		reader = bytes.NewReader(b)
	default:
		data, err := json.Marshal(b)
		if err != nil {
			s.t.Fatal(err)
		}
		reader = bytes.NewReader(data)
	}
	r := httptest.NewRequest(method, path, reader)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, w := range how {
		w(r)
	}
	return s.send(r)
}

// send is do for a request that is made already.
func (s *server) send(r *http.Request) *answer {
	s.t.Helper()
	a := s.serve(r)
	if err := conforms(r, a.status, a.header, a.body); err != nil {
		s.t.Fatalf("%s answers %d against the document: %v\n%s", a.what, a.status, err, a.body)
	}
	if strings.HasPrefix(a.header.Get("Content-Type"), "application/problem+json") {
		a.checkProblem(r)
	}
	return a
}

// serve is send without the document, which costs milliseconds an answer.
func (s *server) serve(r *http.Request) *answer {
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return &answer{t: s.t, what: r.Method + " " + r.URL.Path, status: w.Code, header: w.Header(), body: w.Body.Bytes()}
}

// checkProblem checks what a schema can't say of a problem.
func (a *answer) checkProblem(r *http.Request) {
	a.t.Helper()
	p := a.problem()
	codes, err := documentedCodes()
	if err != nil {
		a.t.Fatal(err)
	}
	switch {
	case !slices.Contains(codes, any(p.Code)):
		a.t.Fatalf("%s: the code %q is not in the document", a.what, p.Code)
	case p.Type != "urn:pulse:problem:"+p.Code, p.Status != a.status, p.Title != http.StatusText(a.status),
		p.Detail != p.Error, !isInstanceOf(p.Instance, r.URL), p.RequestID != a.header.Get("X-Request-Id"):
		a.t.Fatalf("%s: a problem that contradicts itself: %s", a.what, a.body)
	}
}

// isInstanceOf tells whether a problem's instance names a path: as a whole, or cut if
// it is long, or by its route if it holds what may be a credential.
func isInstanceOf(instance string, u *url.URL) bool {
	path := u.EscapedPath()
	switch {
	case strings.Contains(u.Path, "pulse_"), strings.Contains(u.Path, "ses_"), strings.Contains(u.Path, "eyJ"), strings.Contains(u.Path, "whsec_"), strings.Contains(u.Path, "cHVsc2Vf"):
		return instance == "/" || strings.HasPrefix(instance, "/v1/") && strings.Contains(instance, ":")
	case len(path) > 256:
		start, cut := strings.CutSuffix(instance, "...")
		return cut && len(instance) > 250 && strings.HasPrefix(path, start)
	}
	return instance == path
}

// want fails the test unless the answer has that status.
func (a *answer) want(status int) *answer {
	a.t.Helper()
	if a.status != status {
		a.t.Fatalf("%s: got %d, want %d\n%s", a.what, a.status, status, a.body)
	}
	return a
}

// refused fails the test unless the answer is a problem with that status and
// code, which names these locations and no others (if any are given).
func (a *answer) refused(status int, code string, locations ...string) *answer {
	a.t.Helper()
	a.want(status)
	p := a.problem()
	if p.Code != code {
		a.t.Fatalf("%s: got code %q, want %q\n%s", a.what, p.Code, code, a.body)
	}
	if len(locations) > 0 {
		got := make([]string, 0, len(p.Errors))
		for _, e := range p.Errors {
			got = append(got, e.Location)
		}
		slices.Sort(got)
		slices.Sort(locations)
		if !slices.Equal(got, locations) {
			a.t.Fatalf("%s: names %q, want %q\n%s", a.what, got, locations, a.body)
		}
	}
	return a
}

func (a *answer) problem() middleware.Problem {
	a.t.Helper()
	return read[middleware.Problem](a)
}

// read decodes an answer's body.
func read[T any](a *answer) T {
	a.t.Helper()
	var out T
	if err := json.Unmarshal(a.body, &out); err != nil {
		a.t.Fatalf("%s: %v\n%s", a.what, err, a.body)
	}
	return out
}

// raw sends a request whose answer the document does not describe.
func (s *server) raw(method, path string, how ...with) *httptest.ResponseRecorder {
	s.t.Helper()
	r := httptest.NewRequest(method, path, nil)
	for _, w := range how {
		w(r)
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w
}

// withJSON gives a request a body.
func withJSON(body any) with {
	return func(r *http.Request) {
		data, err := json.Marshal(body)
		if err != nil {
			panic(err)
		}
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(data)), int64(len(data))
		r.Header.Set("Content-Type", "application/json")
	}
}
