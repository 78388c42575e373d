package routes_test

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database"
	"pulse-control-plane/handlers"
)

// creation is a request that creates, what it stores, and a proof that the answer
// can be used.
type creation struct {
	// prepare makes what it needs beforehand, and meanwhile happens before it is sent
	// again; both are optional.
	prepare, meanwhile func()
	path               string
	body               any
	caller             with
	// stores tells how many documents of a collection more there are afterwards.
	stores map[string]int
	usable func(s *server, a *answer)
}

// creations are the requests that create, for a new tenant each.
func creations(s *server, t tenant, name string) map[string]creation {
	signUp := map[string]any{"name": name, "admin_email": name + "@example.com", "password": password}
	invited := s.do(http.MethodPost, "/v1/organizations/"+t.org+"/invitations",
		map[string]any{"email": "in-" + name + "@example.com", "role": "owner"}, t.asPerson).want(201)
	accept := map[string]any{"token": read[handlers.Invited](invited).AcceptToken, "name": "Ann", "password": password}
	login := func(email string) func(*server, *answer) {
		return func(s *server, a *answer) {
			s.do(http.MethodPost, "/v1/auth/login", map[string]any{"email": email, "password": password}).want(200)
			s.do(http.MethodGet, "/v1/auth/me", nil, bearer(read[handlers.SignedUp](a).Session.AccessToken)).want(200)
			s.do(http.MethodPost, "/v1/auth/refresh", map[string]any{"refresh_token": read[handlers.SignedUp](a).Session.RefreshToken}).want(200)
		}
	}
	pair := func(s *server, a *answer) {
		made := read[handlers.KeyedProject](a)
		s.do(http.MethodPost, create, `{"room_name":"r"}`, asServer(made.PulseAPIKey, made.PulseAPISecret)).want(201)
	}
	end := s.clock.Now().Add(time.Hour)
	expire := func() { // the first key of the project
		first := read[handlers.Project](s.do(http.MethodGet, "/v1/projects/"+t.project, nil, t.asPerson).want(200)).PulseAPIKey
		for _, k := range read[handlers.List[handlers.APIKey]](s.do(http.MethodGet, "/v1/projects/"+t.project+"/keys", nil, t.asPerson).want(200)).Items {
			if k.PulseAPIKey == first {
				s.do(http.MethodPatch, t.keyPath(k.ID), map[string]any{"expires_at": end}, t.asPerson)
			}
		}
	}
	all := map[string]creation{
		"organization": {nil, nil, "/v1/organizations", signUp, header("X-None"),
			map[string]int{"organizations": 1, "users": 1, "sessions": 1}, login(name + "@example.com")},
		"acceptance": {nil, nil, "/v1/invitations/accept", accept, header("X-None"),
			map[string]int{"users": 1, "sessions": 1, "invitations": 0}, login("in-" + name + "@example.com")},
		"project": {nil, nil, "/v1/projects", map[string]any{"name": name}, t.asPerson,
			map[string]int{"projects": 1, "api_keys": 1}, pair},
		"key": {nil, nil, "/v1/projects/" + t.project + "/keys", map[string]any{"name": name}, t.asPerson,
			map[string]int{"api_keys": 1}, pair},
		"rotation": {nil, nil, "/v1/projects/" + t.project + "/regenerate-keys", map[string]any{"grace_period_seconds": 600}, t.asOwn,
			map[string]int{"api_keys": 1}, pair},
		"invitation": {nil, nil, "/v1/organizations/" + t.org + "/invitations", map[string]any{"email": "x" + name + "@example.com", "role": "viewer"}, t.asPerson,
			map[string]int{"invitations": 1}, func(s *server, a *answer) {
				s.do(http.MethodPost, "/v1/invitations/accept", map[string]any{
					"token": read[handlers.Invited](a).AcceptToken, "name": "Ann", "password": password}).want(201)
			}},
		"endpoint": {nil, nil, "/v1/webhooks/endpoints", map[string]any{"url": "https://93.184.216.34/" + name}, t.asOwn,
			map[string]int{"webhook_endpoints": 1}, func(s *server, a *answer) {
				if !strings.HasPrefix(read[handlers.SecretEndpoint](a).Secret, "whsec_") {
					s.t.Errorf("no secret in %s", a.body)
				}
			}},
		"room": {nil, nil, "/v1/rooms", map[string]any{"room_name": name, "tags": map[string]any{"a": "b"}}, t.asOwn,
			map[string]int{"rooms": 1}, func(s *server, a *answer) {
				if tags := read[handlers.Room](a).Tags; tags["a"] != "b" {
					s.t.Errorf("the tags are %v", tags)
				}
			}},
	}
	rotation := all["rotation"]
	rotation.caller, rotation.meanwhile = t.asPerson, expire
	all["rotation whose key is changed before it is sent again"] = rotation
	rotation = all["rotation"]
	rotation.prepare, rotation.usable = expire, func(s *server, a *answer) {
		pair(s, a)
		for _, k := range read[handlers.List[handlers.APIKey]](s.do(http.MethodGet, "/v1/projects/"+t.project+"/keys", nil, t.asPerson).want(200)).Items {
			if k.PulseAPIKey == read[handlers.KeyedProject](a).PulseAPIKey && (k.ExpiresAt == nil || !k.ExpiresAt.Equal(end)) {
				s.t.Errorf("the new key expires at %v, the one before it at %v", k.ExpiresAt, end)
			}
		}
	}
	all["rotation of a key that expires"] = rotation
	return all
}

func (s *server) counts() map[string]int {
	s.t.Helper()
	out := map[string]int{}
	for _, c := range []string{"organizations", "users", "sessions", "projects", "api_keys", "invitations", "webhook_endpoints", "rooms"} {
		if err := s.engine.Find(s.t.Context(), c, database.Query{Limit: 1000}, func(bson.Raw) error {
			out[c]++
			return nil
		}); err != nil {
			s.t.Fatal(err)
		}
	}
	return out
}

// TestACreateSentAgainAfterAnyLostAnswerMakesNothingTwice loses the answer of every
// write of every request that creates: by a database that hangs for one write, and
// by a process that dies there and another that gets the request again.
func TestACreateSentAgainAfterAnyLostAnswerMakesNothingTwice(t *testing.T) {
	for _, fatal := range []bool{false, true} {
		base := newServer(t)
		for _, name := range []string{"organization", "acceptance", "project", "key", "rotation", "rotation of a key that expires",
			"rotation whose key is changed before it is sent again", "invitation", "endpoint", "room"} {
			t.Run(fmt.Sprintf("%s fatal=%t", name, fatal), func(t *testing.T) {
				s := base.in(t)
				for nth := 1; ; nth++ {
					if nth == 40 {
						t.Fatal("it writes without end")
					}
					unique := strings.ToLower(fmt.Sprintf("%s%t%d", strings.ReplaceAll(name, " ", "-"), fatal, nth))
					c := creations(s, s.tenant("t"+unique), unique)[name]
					if lost := s.loseAndRepeat(t, c, nth, fatal); !lost {
						if nth < 4 {
							t.Fatalf("only %d answers were lost", nth-1)
						}
						return
					}
				}
			})
		}
	}
}

// loseAndRepeat sends a request whose nth write loses its answer until it is
// answered; false if it writes fewer.
func (s *server) loseAndRepeat(t *testing.T, c creation, nth int, fatal bool) bool {
	if c.prepare != nil {
		c.prepare()
	}
	before, key := s.counts(), again(rand.Text())
	s.crash.loseAnswerOf(nth, fatal)
	first := s.do(http.MethodPost, c.path, c.body, c.caller, key)
	lost := !s.crash.pending()
	s.crash.revive()
	onto := s
	if fatal {
		onto = s.another()
		s.clock.Advance(61 * time.Second)
	}
	if c.meanwhile != nil {
		c.meanwhile()
	}
	second := onto.do(http.MethodPost, c.path, c.body, c.caller, key)
	if second.status >= 300 {
		t.Fatalf("write %d: at first %d, then %d %s", nth, first.status, second.status, second.body)
	}
	third := onto.do(http.MethodPost, c.path, c.body, c.caller, key).want(second.status)
	access := regexp.MustCompile(`"access_token":"[^"]*"`) // says when it was issued
	if first.status == second.status && access.ReplaceAllString(string(first.body), "") != access.ReplaceAllString(string(second.body), "") ||
		string(third.body) != string(second.body) {
		t.Errorf("write %d: the answers differ:\n%s\n%s\n%s", nth, first.body, second.body, third.body)
	}
	after := onto.counts()
	for collection, more := range c.stores {
		if got := after[collection] - before[collection]; got != more {
			t.Errorf("write %d: %d more in %s, not %d", nth, got, collection, more)
		}
	}
	c.usable(onto, third)
	return lost
}
