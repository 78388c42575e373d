package routes_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pulse-control-plane/handlers"
	"pulse-control-plane/middleware"
)

// bodied are the routes that read a body, with one that is good.
func bodied(ada tenant) []struct {
	method, path, good, text string
	caller                   with
} {
	org, project := "/v1/organizations/"+ada.org, "/v1/projects/"+ada.project
	nobody := func(*http.Request) {}
	return []struct {
		method, path, good, text string
		caller                   with
	}{
		{"POST", "/v1/organizations", `{"name":"n","admin_email":"bad@example.com","password":"0123456789"}`, "name", nobody},
		{"POST", "/v1/rooms", `{"room_name":"hall"}`, "room_name", ada.asOwn},
		{"PATCH", "/v1/rooms/hall", `{"metadata":"m"}`, "metadata", ada.asOwn},
		{"POST", "/v1/rooms/hall/data", `{"data":"aGk="}`, "data", ada.asOwn},
		{"PATCH", "/v1/rooms/hall/participants/ann", `{"name":"n"}`, "name", ada.asOwn},
		{"POST", "/v1/rooms/hall/participants/ann/mute", `{"track_sid":"TR_1","muted":true}`, "track_sid", ada.asOwn},
		{"POST", "/v1/rooms/hall/participants/ann/move", `{"destination_room":"b"}`, "destination_room", ada.asOwn},
		{"POST", "/v1/rooms/hall/participants/ann/forward", `{"destination_room":"b"}`, "destination_room", ada.asOwn},
		{"POST", "/v1/media/egress/start", `{"type":"room_composite","room_name":"hall","outputs":[{"kind":"file"}]}`, "room_name", ada.asOwn},
		{"POST", "/v1/media/egress/stop", `{"egress_id":"EG_x"}`, "egress_id", ada.asOwn},
		{"PATCH", "/v1/media/egress/EG_x", `{"layout":"grid"}`, "layout", ada.asOwn},
		{"POST", "/v1/media/ingress/create", `{"input_type":"rtmp","room_name":"hall","participant_identity":"obs"}`, "room_name", ada.asOwn},
		{"PATCH", "/v1/media/ingress/IN_x", `{"room_name":"hall"}`, "room_name", ada.asOwn},
		{"POST", "/v1/auth/login", `{"email":"` + ada.email + `","password":"` + password + `"}`, "email", nobody},
		{"PUT", org, `{"name":"n"}`, "name", ada.asPerson},
		{"PATCH", org, `{"name":"n"}`, "name", ada.asPerson},
		{"POST", "/v1/auth/password/forgot", `{"email":"bad@example.com"}`, "email", nobody},
		{"POST", "/v1/auth/password/reset", `{"token":"x","password":"` + password + `"}`, "token", nobody},
		{"POST", "/v1/auth/operator", `{"token":"x"}`, "token", nobody},
		{"PATCH", "/v1/auth/me", `{"name":"n"}`, "name", ada.asPerson},
		{"POST", "/v1/downloads", `{"path":"/v1/audit-logs/export"}`, "path", ada.asPerson},
		{"POST", "/v1/auth/refresh", `{"refresh_token":"x"}`, "refresh_token", nobody},
		{"POST", "/v1/auth/password", `{"current_password":"x","new_password":"` + password + `"}`, "new_password", ada.asPerson},
		{"POST", "/v1/invitations/accept", `{"token":"x","name":"n","password":"` + password + `"}`, "token", nobody},
		{"POST", org + "/invitations", `{"email":"bad@example.com","role":"viewer"}`, "email", ada.asPerson},
		{"PATCH", org + "/members/" + ada.user, `{"role":"owner"}`, "role", ada.asPerson},
		{"POST", "/v1/projects", `{"name":"n"}`, "name", ada.asPerson},
		{"POST", project + "/keys", `{"name":"n"}`, "name", ada.asPerson},
		{"PATCH", project + "/keys/key_x", `{"name":"n"}`, "name", ada.asPerson},
		{"PUT", project, `{"name":"n"}`, "name", ada.asPerson},
		{"PATCH", project, `{"name":"n"}`, "name", ada.asPerson},
		{"POST", project + "/regenerate-keys", `{"grace_period_seconds":60}`, "grace_period_seconds", ada.asPerson},
		{"POST", create, `{"room_name":"r"}`, "room_name", ada.asKey},
		{"POST", revoke, `{"participant_identity":"bad"}`, "participant_identity", ada.asOwn},
		{"POST", validate, `{"token":"x"}`, "token", ada.asKey},
		{"POST", "/v1/webhooks/endpoints", `{"url":"https://hooks.example.com/"}`, "url", ada.asOwn},
		{"PATCH", "/v1/webhooks/endpoints/whe_x", `{"description":"d"}`, "description", ada.asOwn},
		{"POST", "/v1/webhooks/endpoints/whe_x/rotate-secret", `{"grace_period_seconds":60}`, "grace_period_seconds", ada.asOwn},
		{"POST", "/v1/webhooks/endpoints/whe_x/recover", `{"since":"2026-01-31T12:00:00Z"}`, "since", ada.asOwn},
		{"POST", "/v1/operations/dead-events/retry", `{"limit":5}`, "limit", asOperator()},
		{"POST", "/v1/events/evt_x/resend", `{"endpoint_id":"whe_x"}`, "endpoint_id", ada.asOwn},
	}
}

// isAnonymous tells which routes need no credential, so that their bodies are
// small.
func isAnonymous(method, path string) bool {
	switch path {
	case "/v1/organizations":
		return method == http.MethodPost
	case "/v1/auth/login", "/v1/auth/refresh", "/v1/auth/operator", "/v1/auth/password/forgot", "/v1/auth/password/reset", "/v1/invitations/accept":
		return true
	}
	return false
}

func TestEveryRouteWithABodyIsInTheTableOfBadBodies(t *testing.T) {
	doc, err := document()
	if err != nil {
		t.Fatal(err)
	}
	table := map[string]bool{}
	for _, route := range bodied(tenant{org: "ORG", project: "PROJECT", user: "USER"}) {
		table[route.method+" "+strings.NewReplacer("ORG", "{id}", "PROJECT", "{id}", "USER", "{user_id}", "key_x", "{key_id}", "whe_x", "{id}", "evt_x", "{id}", "EG_x", "{id}", "IN_x", "{id}", "/rooms/hall", "/rooms/{room}", "/participants/ann", "/participants/{identity}").Replace(route.path)] = true
	}
	for path, item := range doc.Paths.Map() {
		for method, o := range item.Operations() {
			// What comes to /v1/webhooks/livekit is signed before it is read.
			if o.RequestBody != nil && path != "/v1/webhooks/livekit" && !table[method+" "+path] {
				t.Errorf("%s %s is not in the table", method, path)
			}
		}
	}
}

func TestBadBodiesAreProblemsThatSayWhereAndWriteNothing(t *testing.T) {
	s := newServer(t)
	for i := range bodied(tenant{}) {
		// One of its own for each: a route may rotate its keys.
		ada := s.tenant("ada" + strconv.Itoa(i))
		route := bodied(ada)[i]
		limit := 1 << 20
		switch {
		case route.path == validate:
			limit = 256 << 10
		case strings.HasPrefix(route.path, "/v1/tokens"):
			limit = 64 << 10
		case isAnonymous(route.method, route.path):
			limit = 16 << 10
		}
		more := func(text string) string { return route.good[:len(route.good)-1] + "," + text + "}" }
		set := func(value string) string { return `{"` + route.text + `":` + value + `}` }
		field := "body." + route.text
		for _, tc := range []struct {
			name, body string
			// at is a location that must be named.
			at string
		}{
			{"white space", " \n", "body"},
			{"cut", route.good[:len(route.good)-1], "body"},
			{"not JSON", "name=n", "body"},
			{"an array", "[" + route.good + "]", "body"},
			{"a string", `"x"`, "body"},
			{"a number", `1`, "body"},
			{"null", `null`, "body"},
			{"trailing data", route.good + "{}", "body"},
			{"trailing text", route.good + "x", "body"},
			{"a trailing comma", more(""), "body"},
			{"a comment", "/* */" + route.good, "body"},
			{"a byte order mark", "\ufeff" + route.good, "body"},
			{"UTF-16", "\xff\xfe{\x00}\x00", "body"},
			{"a NUL", route.good + "\x00", "body"},
			{"single quotes", strings.ReplaceAll(route.good, `"`, "'"), "body"},
			{"an unknown field", more(`"unknown":1`), "body.unknown"},
			{"a field of Go", more(`"Name":"x"`), "body.Name"},
			{"an unknown field of the entity", more(`"is_deleted":{"a":[{"b":null}]}`), "body.is_deleted"},
			{"a name that is not UTF-8", more("\"a\xff\":1"), "body"},
			{"deep nesting", more(`"x":` + strings.Repeat("[", 10000) + strings.Repeat("]", 10000)), "body"},
			{"deep nesting that never ends", strings.Repeat(`{"x":`, 10000), "body"},
			{"a huge number", more(`"x":1` + strings.Repeat("0", 10000)), "body.x"},
			{"more wrong fields than are told", "{" + strings.TrimSuffix(strings.Repeat(`"x":1,`, 150), ",") + "}", "body.x"},
			{"a number beyond every type", set("1e999"), field},
			{"a whole number beyond every type", set("1" + strings.Repeat("0", 400)), field},
			{"a number with a fraction", set("1.5"), field},
			{"an object", set("{}"), field},
			{"a list", set("[]"), field},
			{"a text that is no UTF-8", set("\"a\xff\""), field},
			{"half a surrogate pair", set(`"\ud800"`), field},
			{"a bad escape", set(`"\x"`), field},
			{"a raw line break in a text", set("\"a\nb\""), field},
			{"a null for a list element", set("[null]"), field},
			{"given twice", set(`1,"` + route.text + `":1`), field},
			{"given twice, once escaped", set(fmt.Sprintf(`1,"\u%04x%s":1`, route.text[0], route.text[1:])), field},
		} {
			if len(tc.body) > limit {
				continue // refused for its size
			}
			t.Run(route.method+" "+nameless(route.path, ada)+" "+tc.name, func(t *testing.T) {
				s := s.in(t)
				writes := s.engine.writes.Load()
				a := s.do(route.method, route.path, tc.body, route.caller).refused(http.StatusBadRequest, "invalid_request")
				if !slices.ContainsFunc(a.problem().Errors, func(e middleware.ProblemField) bool { return e.Location == tc.at }) {
					t.Errorf("it does not name %s: %s", tc.at, a.body)
				}
				if s.engine.writes.Load() != writes {
					t.Error("something was written")
				}
			})
		}
		t.Run("size of "+route.method+" "+nameless(route.path, ada), func(t *testing.T) {
			s := s.in(t)
			writes := s.engine.writes.Load()
			over := route.good + strings.Repeat(" ", limit+1-len(route.good))
			a := s.do(route.method, route.path, over, route.caller).refused(http.StatusRequestEntityTooLarge, "body_too_large")
			if a.header.Get("Connection") != "close" {
				t.Error("the connection stays open for a body nobody reads")
			}
			chunked := func(r *http.Request) { r.ContentLength = -1 }
			s.do(route.method, route.path, over, route.caller, chunked).refused(http.StatusRequestEntityTooLarge, "body_too_large")
			if s.engine.writes.Load() != writes {
				t.Error("something was written")
			}
			s.do(route.method, route.path, "{"+strings.Repeat(" ", limit-2)+"}", route.caller, chunked).want(s.do(route.method, route.path, "{}", route.caller).status)
		})
	}
}

func TestABodyOfAnotherTypeIsRefused(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	for _, route := range bodied(ada) {
		writes := s.engine.writes.Load()
		for _, kind := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/jsonp",
			"application/json; charset=latin1", "application/json, text/plain", "json", "*/*", "text/json", "text/x+json"} {
			s.do(route.method, route.path, route.good, route.caller, header("Content-Type", kind)).
				refused(http.StatusUnsupportedMediaType, "unsupported_media_type", "header.Content-Type")
		}
		s.do(route.method, route.path, route.good, route.caller, header("Content-Type", "application/json", "text/plain")).
			refused(http.StatusUnsupportedMediaType, "unsupported_media_type")
		s.do(route.method, route.path, route.good, route.caller, header("Content-Type", "application/json", "application/merge-patch+json")).
			refused(http.StatusUnsupportedMediaType, "unsupported_media_type")
		if s.engine.writes.Load() != writes {
			t.Errorf("%s %s: something was written", route.method, route.path)
		}
	}
	for _, kind := range []string{"application/json", "application/json; charset=utf-8", "Application/JSON;charset=UTF-8", "application/merge-patch+json",
		"application/json;charset=utf8", "application/json; charset=UTF8", `application/json; charset="utf-8"`, `application/json; charset="UTF8"`} {
		s.do(http.MethodPost, create, "{}", ada.asKey, header("Content-Type", kind)).want(http.StatusCreated)
		s.do(http.MethodPost, create, "{}", ada.asKey, header("Content-Type", kind, kind)).want(http.StatusCreated)
		s.do(http.MethodPost, create, "{}", ada.asKey, header("Content-Type", kind+", "+kind)).want(http.StatusCreated)
	}
}

func TestEveryWrongFieldIsReportedAtOnce(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	s.do(http.MethodPost, create, map[string]any{
		"room_name": "a/b", "participant_identity": strings.Repeat("x", 257), "participant_name": 1, "participant_metadata": []any{},
		"participant_attributes": pairs(65), "room_config": []any{}, "ttl_seconds": 1, "unknown": true,
		"grants": map[string]any{"roomJoin": "yes", "canPublishSources": []any{"camera", "desk", 3}, "sip": true},
	}, ada.asOwn).refused(http.StatusBadRequest, "invalid_request",
		"body.room_name", "body.participant_identity", "body.participant_name", "body.participant_metadata", "body.participant_attributes",
		"body.room_config", "body.ttl_seconds", "body.unknown", "body.grants.roomJoin", "body.grants.canPublishSources[1]",
		"body.grants.canPublishSources[2]", "body.grants.sip")
	s.do(http.MethodPost, "/v1/organizations", "{}").
		refused(http.StatusBadRequest, "invalid_request", "body.name", "body.admin_email", "body.password")
	s.do(http.MethodPut, "/v1/projects/"+ada.project, map[string]any{"name": " ", "region": "EU", "limits": map[string]any{"requests_per_minute": -1},
		"client_tokens": map[string]any{"max_ttl_seconds": 1, "allowed_origins": []any{"https://a.example", "x", "y"}}}, asOperator()).
		refused(http.StatusBadRequest, "invalid_request", "body.name", "body.region", "body.limits.requests_per_minute",
			"body.client_tokens.max_ttl_seconds", "body.client_tokens.allowed_origins[1]", "body.client_tokens.allowed_origins[2]")
}

// In POST and PUT null means not sent, as in protojson; in PATCH it clears what
// can be cleared and is wrong for other fields.
func TestNullMeansNotSentInAPostAndClearsInAPatch(t *testing.T) {
	s := newServer(t)
	for i := range bodied(tenant{}) {
		ada := s.tenant("ada" + strconv.Itoa(i))
		route := bodied(ada)[i]
		null := s.do(route.method, route.path, `{"`+route.text+`":null}`, route.caller)
		if route.text == "metadata" {
			null.want(http.StatusOK) // which null clears
			continue
		}
		if route.method == http.MethodPatch {
			null.refused(http.StatusBadRequest, "invalid_request", "body."+route.text)
			continue
		}
		absent := s.do(route.method, route.path, `{}`, route.caller)
		if null.status != absent.status || absent.status == http.StatusBadRequest && null.problem().Detail != absent.problem().Detail {
			t.Errorf("%s %s: null gives %d, absence %d", route.method, route.path, null.status, absent.status)
		}
	}
	ada := s.tenant("ada")
	s.do(http.MethodPost, create, `{"room_name":"r","participant_metadata":null,"room_config":null,"participant_attributes":null,"ttl_seconds":null,
		"grants":null,"participantName":null}`, ada.asKey).want(http.StatusCreated)
	s.do(http.MethodPost, create, `{"participant_attributes":{"a":null}}`, ada.asKey).refused(http.StatusBadRequest, "invalid_request", "body.participant_attributes.a")

	project := "/v1/projects/" + ada.project
	s.do(http.MethodPatch, project, `{"region":"eu-1","client_tokens":{"allowed_origins":["https://a.example"]},"limits":{"rooms":5}}`, asOperator()).want(http.StatusOK)
	cleared := read[handlers.Project](s.do(http.MethodPatch, project, `{"region":null,"client_tokens":{"allowed_origins":null},"limits":{"rooms":null}}`, asOperator()).want(http.StatusOK))
	if cleared.Region != "" || len(cleared.ClientTokens.AllowedOrigins) != 0 || cleared.Limits.Rooms != 0 {
		t.Errorf("got %+v", cleared)
	}
	key := read[handlers.CreatedAPIKey](s.do(http.MethodPost, project+"/keys", `{"name":"n","allowed_ips":["203.0.113.0/24"]}`, ada.asPerson).want(http.StatusCreated)).Key
	if got := read[handlers.APIKey](s.do(http.MethodPatch, project+"/keys/"+string(key.ID), `{"allowed_ips":null}`, ada.asPerson).want(http.StatusOK)); len(got.AllowedIPs) != 0 {
		t.Errorf("got %+v", got)
	}
}

func TestAProblemNeverRepeatsAValue(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	const value = "value-that-must-not-come-back"
	for _, body := range []any{
		map[string]any{"room_name": value + "/", "participant_identity": []any{value}, "participant_attributes": map[string]any{"a": []any{value}},
			"ttl_seconds": value, "grants": map[string]any{"canPublishSources": []any{value}, "roomJoin": value}, "room_config": value, "x": value},
		map[string]any{"room_config": map[string]any{"emptyTimeout": value}},
		map[string]any{"room_config": map[string]any{"agents": value}},
		`{"room_config":{"metadata":"` + value + `","emptyTimeout":-1}}`,
		`{"room_name":"` + value + `\x"}`,
		`{"room_config":{"x":"` + value + `","y":tru}}`,
	} {
		if a := s.do(http.MethodPost, create, body, ada.asOwn).want(http.StatusBadRequest); bytes.Contains(a.body, []byte(value)) {
			t.Errorf("%v is answered with its value: %s", body, a.body)
		}
	}
}

func TestIdsOfAnyShapeInAPathAreMissing(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	for _, id := range []string{"x", "..%2f..", "%00", "%ff%fe", "prj_", strings.ToUpper(ada.project), ada.project + "%20", "%24ne", "{}", "[]",
		strings.Repeat("x", 8000), "a%2Fb", "%F0%9F%98%80", "'", "null", ada.key, "+"} {
		for _, prefix := range []string{"/v1/projects/", "/v1/organizations/"} {
			for _, method := range []string{http.MethodGet, http.MethodDelete} {
				s.do(method, prefix+id, nil, ada.asPerson).refused(http.StatusNotFound, "not_found")
				s.do(method, prefix+id, nil, asOperator()).refused(http.StatusNotFound, "not_found")
			}
			s.do(http.MethodPatch, prefix+id, "{}", asOperator()).refused(http.StatusNotFound, "not_found")
		}
		s.do(http.MethodPost, "/v1/projects/"+id+"/regenerate-keys", nil, asOperator()).refused(http.StatusNotFound, "not_found")
	}
}

// A client that sends its body too slowly is told so; the deadline is the
// server's, set where it is started.
func TestASlowBodyIsTimedOut(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	listening := httptest.NewUnstartedServer(s.handler)
	listening.Config.ReadTimeout = 100 * time.Millisecond
	listening.Start()
	defer listening.Close()

	conn, err := net.Dial("tcp", listening.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nX-Pulse-Key: %s\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", create, ada.key)
	r, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	asked := httptest.NewRequest(http.MethodPost, create, nil)
	if err := conforms(asked, r.StatusCode, r.Header, body); err != nil {
		t.Error(err)
	}
	a := &answer{t: t, what: "a slow body", status: r.StatusCode, header: r.Header, body: body}
	a.refused(http.StatusRequestTimeout, "body_too_slow")
	if !r.Close {
		t.Error("the connection stays open")
	}
}

func TestABodyThatEndsEarlyIsAProblem(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	r := httptest.NewRequest(http.MethodPost, create, io.MultiReader(strings.NewReader(`{"room_name":`), failing{}))
	r.Header.Set("Content-Type", "application/json")
	ada.asKey(r)
	s.send(r).refused(http.StatusBadRequest, "invalid_request", "body")
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

func TestAHandlerThatPanicsAnswersWithoutDetails(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	s.engine.Engine = nil // every question is now a nil dereference
	a := s.do(http.MethodGet, "/v1/projects", nil, ada.asPerson)
	if a.status != http.StatusInternalServerError || a.problem().Code != "internal_error" || bytes.Contains(a.body, []byte("nil")) {
		t.Errorf("got %d %s", a.status, a.body)
	}
	if !strings.Contains(s.log.String(), `"message":"panic"`) {
		t.Error("the log says nothing of it")
	}
}

func TestABodyWithAContentCodingIsRefusedForIt(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	for _, coding := range []string{"gzip", "br", "identity, gzip", ""} {
		s.do(http.MethodPost, create, "{}", ada.asOwn, header("Content-Encoding", coding)).
			refused(http.StatusUnsupportedMediaType, "unsupported_media_type", "header.Content-Encoding")
	}
	s.do(http.MethodPost, create, "{}", ada.asOwn, header("Content-Encoding", "identity")).want(http.StatusCreated)
}
