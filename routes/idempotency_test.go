package routes_test

import (
	"bytes"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database"
	"pulse-control-plane/handlers"
)

func again(key string) with { return header("Idempotency-Key", key) }

func (s *server) countProjects(t tenant) int {
	s.t.Helper()
	return len(read[handlers.List[handlers.Project]](s.do(http.MethodGet, "/v1/projects?limit=100", nil, t.asPerson).want(200)).Items)
}

func TestTheSameRequestAgainGetsTheFirstAnswer(t *testing.T) {
	s := newServer(t)
	own := s.tenant("acme")
	for _, request := range []struct {
		path   string
		body   any
		caller with
	}{
		{"/v1/organizations", map[string]any{"name": "n", "admin_email": "n@example.com", "password": password}, header("X-None")},
		{"/v1/organizations/" + own.org + "/invitations", map[string]any{"email": "i@example.com", "role": "viewer"}, own.asPerson},
		{"/v1/projects", map[string]any{"name": "n"}, own.asPerson},
		{"/v1/projects/" + own.project + "/keys", map[string]any{"name": "n"}, own.asOwn},
		{"/v1/projects/" + own.project + "/regenerate-keys", map[string]any{"grace_period_seconds": 60}, own.asOwn},
	} {
		t.Run(request.path, func(t *testing.T) {
			s := s.in(t)
			first := s.do(http.MethodPost, request.path, request.body, request.caller, again("k "+request.path))
			if first.status >= 300 || first.header.Get("Idempotent-Replayed") != "" {
				t.Fatalf("got %d %v", first.status, first.header)
			}
			second := s.do(http.MethodPost, request.path, request.body, request.caller, again("k "+request.path)).want(first.status)
			if !bytes.Equal(first.body, second.body) || second.header.Get("Idempotent-Replayed") != "true" ||
				second.header.Get("Content-Type") != first.header.Get("Content-Type") {
				t.Errorf("got %v\n%s\n%s", second.header, first.body, second.body)
			}
			third := s.do(http.MethodPost, request.path, request.body, request.caller, again("another "+request.path))
			if bytes.Equal(first.body, third.body) {
				t.Error("another key got the same answer")
			}
		})
	}
}

func TestAKeyUsedForAnotherRequestIsRefused(t *testing.T) {
	s := newServer(t)
	own, other := s.tenant("acme"), s.tenant("other")
	s.do(http.MethodPost, "/v1/projects", `{"name":"a"}`, own.asPerson, again("k")).want(201)
	s.do(http.MethodPost, "/v1/projects", `{"name":"b"}`, own.asPerson, again("k")).refused(409, "idempotency_key_reused")
	s.do(http.MethodPost, "/v1/projects/"+own.project+"/keys", `{"name":"a"}`, own.asPerson, again("k")).refused(409, "idempotency_key_reused")
	// Another tenant's k is another key.
	s.do(http.MethodPost, "/v1/projects", `{"name":"b"}`, other.asPerson, again("k")).want(201)
	s.do(http.MethodPost, "/v1/projects/"+own.project+"/keys", `{"name":"a"}`, own.asOwn, again("day")).want(201)
	s.do(http.MethodPost, "/v1/projects/"+own.project+"/keys", `{"name":"b"}`, own.asOwn, again("day")).refused(409, "idempotency_key_reused")
	s.clock.Advance(24 * time.Hour)
	s.do(http.MethodPost, "/v1/projects/"+own.project+"/keys", `{"name":"b"}`, own.asOwn, again("day")).want(201)
}

func TestMintingIgnoresTheIdempotencyKeyAndStoresNoAnswer(t *testing.T) {
	s := newServer(t)
	own := s.tenant("acme")
	for _, caller := range []with{own.asKey, own.asOwn} {
		before, seen := s.engine.writes.Load(), map[string]bool{}
		for _, key := range []with{again("k"), again("k"), again(""), again(strings.Repeat("x", 256))} {
			a := s.do(http.MethodPost, create, `{"room_name":"r"}`, caller, key).want(201)
			if token := read[handlers.Token](a).ParticipantToken; seen[token] || a.header.Get("Idempotent-Replayed") != "" {
				t.Error("a token was replayed")
			} else {
				seen[token] = true
			}
		}
		if s.engine.writes.Load() != before {
			t.Error("an answer was stored")
		}
	}
}

func TestAnIdempotencyKeyHas1To255Characters(t *testing.T) {
	s := newServer(t)
	own := s.tenant("acme")
	for _, wrong := range []with{again(""), again(strings.Repeat("x", 256)), again("\xff"), header("Idempotency-Key", "a", "b")} {
		s.do(http.MethodPost, "/v1/projects", `{"name":"a"}`, own.asPerson, wrong).refused(400, "invalid_request", "header.Idempotency-Key")
	}
	s.do(http.MethodPost, "/v1/projects", `{"name":"a"}`, own.asPerson, again("x")).want(201)
	s.do(http.MethodPost, "/v1/projects", `{"name":"a"}`, own.asPerson, again(strings.Repeat("ü", 255))).want(201)
}

func TestOf32IdenticalRequestsOneCreates(t *testing.T) {
	s := newServer(t)
	own := s.tenant("acme")
	before := s.countProjects(own)
	var made, waited atomic.Int64
	var bodies sync.Map
	var all sync.WaitGroup
	for range 32 {
		all.Go(func() {
			a := s.do(http.MethodPost, "/v1/projects", `{"name":"once"}`, own.asPerson, again("k"))
			switch {
			case a.status == 201:
				made.Add(1)
				bodies.Store(string(a.body), true)
			case a.status == 409 && a.problem().Code == "request_in_progress" && a.header.Get("Retry-After") != "":
				waited.Add(1)
			default:
				t.Errorf("got %d %s", a.status, a.body)
			}
		})
	}
	all.Wait()
	different := 0
	bodies.Range(func(any, any) bool { different++; return true })
	if got := s.countProjects(own) - before; got != 1 || different != 1 || made.Load() == 0 || made.Load()+waited.Load() != 32 {
		t.Errorf("%d made, %d answers, %d waited", got, different, waited.Load())
	}
}

func TestRequestsRefusedBeforeAnyChangeRunAgainUnderTheirIdempotencyKey(t *testing.T) {
	s := newServer(t)
	own := s.tenant("acme")
	s.do(http.MethodPost, "/v1/projects", `{"name":""}`, own.asPerson, again("k")).want(400)
	s.do(http.MethodPost, "/v1/projects", `{"name":"a","org_id":"org_x"}`, own.asPerson, again("k")).want(404)
	s.do(http.MethodPost, "/v1/projects", "{", own.asPerson, again("k")).want(400)
	s.crash.dieBefore("projects", 1)
	s.do(http.MethodPost, "/v1/projects", `{"name":"a"}`, own.asPerson, again("k2")).want(503)
	s.crash.revive()
	s.do(http.MethodPost, "/v1/projects", `{"name":"a"}`, own.asPerson, again("k")).want(201)
	// A conflict changed nothing, but is a stored response.
	sign := map[string]any{"name": "n", "admin_email": own.email, "password": password}
	first := s.do(http.MethodPost, "/v1/organizations", sign, asOperator(), again("k")).refused(409, "email_taken")
	r := s.raw(http.MethodPost, "/v1/organizations", asOperator(), again("k"), withJSON(sign))
	if r.Code != 409 || !bytes.Equal(r.Body.Bytes(), first.body) || r.Header().Get("Idempotent-Replayed") != "true" {
		t.Errorf("got %d %s", r.Code, r.Body)
	}
}

func TestAfterACrashBetweenTheChangeAndItsAnswerTheLeaseHoldsAMinuteAndThenTheChangeIsFound(t *testing.T) {
	dead := newServer(t)
	own := dead.tenant("acme")
	before := dead.countProjects(own)
	dead.crash.dieBefore("idempotency_keys", 2) // taken, and never completed
	first := dead.do(http.MethodPost, "/v1/projects", `{"name":"a"}`, own.asPerson, again("k")).want(201)
	dead.crash.revive()
	s := dead.another()
	for range 3 {
		s.do(http.MethodPost, "/v1/projects", `{"name":"a"}`, own.asPerson, again("k")).refused(409, "request_in_progress")
		s.clock.Advance(19 * time.Second)
	}
	if got := s.countProjects(own) - before; got != 1 {
		t.Errorf("%d made within the lease", got)
	}
	s.clock.Advance(3 * time.Second)
	for range 2 {
		if found := s.do(http.MethodPost, "/v1/projects", `{"name":"a"}`, own.asPerson, again("k")).want(201); !bytes.Equal(found.body, first.body) {
			t.Errorf("got %s, at first %s", found.body, first.body)
		}
	}
	if got := s.countProjects(own) - before; got != 1 {
		t.Errorf("%d made after the lease", got)
	}
}

func TestSecretsInAnAnswerThatIsKeptAreSealed(t *testing.T) {
	s := newServer(t)
	own := s.tenant("acme")
	made := read[handlers.KeyedProject](s.do(http.MethodPost, "/v1/projects", `{"name":"a"}`, own.asPerson, again("k")).want(201))
	kept := 0
	if err := s.engine.Find(t.Context(), "idempotency_keys", database.Query{Limit: 10}, func(raw bson.Raw) error {
		kept++
		for _, plain := range []string{made.PulseAPISecret, made.PulseAPIKey, `"a"`} {
			if bytes.Contains(raw, []byte(plain)) {
				t.Errorf("%q stands in the database", plain)
			}
		}
		return nil
	}); err != nil || kept != 1 {
		t.Errorf("%d kept, %v", kept, err)
	}
}
