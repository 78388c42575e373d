package routes_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

// described reports whether the document allows a body.
func described(t *testing.T, method, path string, body []byte) bool {
	t.Helper()
	doc, err := document()
	if err != nil {
		t.Fatal(err)
	}
	all, err := schemas()
	if err != nil {
		t.Fatal(err)
	}
	return all.validate(body, "paths", operation(doc, method, path).Path, strings.ToLower(method),
		"requestBody", "content", "application/json", "schema") == nil
}

// bound is a field and values at and beyond its limits.
type bound struct {
	method, path string
	caller       with
	// field is its location in the body, with dots; the rest of the body is base.
	field string
	base  map[string]any
	fits  []any
	// over are refused, at the field itself or, where they hold several
	// values, at the location inside it.
	over []any
	// inside is appended to the field to give the location of the excess.
	inside string
	// rule is what may be said of a value that fits, for another reason than
	// its limits.
	rule string
	// unsaid are refused too, for what a JSON schema has no words for: bytes,
	// addresses, totals.
	unsaid []any
}

func (b *bound) body(value any) []byte {
	body := map[string]any{}
	for name, v := range b.base {
		body[name] = v
	}
	at := body
	names := strings.Split(b.field, ".")
	for _, name := range names[:len(names)-1] {
		inner := map[string]any{}
		at[name] = inner
		at = inner
	}
	at[names[len(names)-1]] = value
	data, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	return data
}

func repeat(n int, item string) []any {
	out := make([]any, n)
	for i := range out {
		out[i] = item
	}
	return out
}

func pairs(n int) map[string]string {
	out := map[string]string{}
	for i := range n {
		out["name"+strconv.Itoa(i)] = "v"
	}
	return out
}

// bounds are the limits of API.md, field by field.
func bounds(ada tenant) []bound {
	x := func(n int) string { return strings.Repeat("x", n) }
	u := func(n int) string { return strings.Repeat("ü", n) }
	lines := []any{"x", x(100), u(100), " x ", "日本"}
	notLines := []any{"", x(101), u(101), " ", "\u00a0\u3000", "a\tb", "a\nb", "\x00", "a\u0085", 1, true, []any{}, map[string]any{}}
	regions := []any{"", x(64), "eu-central-1", "0"}
	notRegions := []any{x(65), "EU", "a b", "a_b", "ü", 1}
	mail := func(n int) string { // an address of n characters
		return x(64) + "@" + x(63) + "." + x(63) + "." + x(n-64-1-63-1-63-1-4) + ".com"
	}
	org, project := "/v1/organizations/"+ada.org, "/v1/projects/"+ada.project
	notMails := []any{"", "x", "a@", "@b.co", "a b@c.de", "a@b@c.de", "a@b.co ", "a\n@b.co"}
	signUp := map[string]any{"name": "n", "admin_email": "limits@example.com", "password": password}
	named := map[string]any{"name": "n"}
	all := []bound{
		{method: "POST", path: "/v1/organizations", field: "name", base: signUp, fits: lines, over: notLines},
		{method: "POST", path: "/v1/organizations", field: "admin_email", base: signUp,
			fits: []any{"a@b.co", mail(254), "ADA+tag@example.com"}, over: []any{mail(255), 1},
			unsaid: notMails},
		{method: "POST", path: "/v1/organizations", field: "password", base: signUp,
			fits: []any{x(10), x(128), u(10), u(128), "          "}, over: []any{"", x(9), u(9), x(129), u(129), 1234567890}},
		{method: "POST", path: "/v1/operations/dead-events/retry", caller: asOperator(), field: "limit", fits: []any{1, 1000}, over: []any{0, 1001, 1.5, "1"}},
		{method: "POST", path: "/v1/auth/login", field: "email", base: map[string]any{"password": password}, fits: []any{"x", x(254)}, over: []any{"", x(255), 1}},
		{method: "POST", path: "/v1/auth/login", field: "password", base: map[string]any{"email": "a@b.co"}, fits: []any{"x", x(128)}, over: []any{"", x(129), 1}},
		{method: "PUT", path: org, caller: ada.asPerson, field: "name", fits: lines, over: notLines},
		{method: "PATCH", path: org, caller: ada.asPerson, field: "name", fits: lines, over: notLines},
		{method: "PATCH", path: org, caller: asOperator(), field: "plan", fits: []any{"free", "pro", "enterprise"}, over: []any{"", "Free", "gold", 1}},
		{method: "PUT", path: org, caller: asOperator(), base: named, field: "plan", fits: []any{"free", "pro", "enterprise"}, over: []any{"", "gold"}},
		{method: "POST", path: "/v1/projects", caller: ada.asPerson, field: "name", fits: lines, over: notLines},
		{method: "POST", path: "/v1/projects", caller: ada.asPerson, field: "region", base: named, fits: regions, over: notRegions},
		{method: "POST", path: "/v1/projects", caller: ada.asPerson, field: "org_id", base: named, fits: []any{ada.org, x(64)}, over: []any{x(65), 1}},
		{method: "POST", path: project + "/regenerate-keys", caller: ada.asPerson, field: "grace_period_seconds",
			fits: []any{604800, 604799}, over: []any{-1, 604801, 1.5, 1e30, "1", true}},
		{method: "POST", path: create, caller: ada.asOwn, field: "room_name",
			fits:   []any{"", "x", x(128), u(107), "a b", "日本", "-_.:#?", "\u00a0", "a\u3000b", "می\u200cخواهم", "👩\u200d💻"},
			over:   []any{x(129), u(129), "a/b", `a\b`, "{a", "a}", "a\tb", "\u200e", "\u200c", "a\u200d", "\x00", 1},
			unsaid: []any{u(108), strings.Repeat("会", 72), "a \u200db"}},
		{method: "POST", path: create, caller: ada.asOwn, field: "participant_identity",
			fits: []any{"", x(256), u(128)}, over: []any{x(257), "a\nb", "\x00", 1}, unsaid: []any{u(129)}},
		{method: "POST", path: create, caller: ada.asOwn, field: "participant_name",
			fits: []any{"", x(256), u(128)}, over: []any{x(257), "a\nb", 1}, unsaid: []any{u(129)}},
		{method: "POST", path: create, caller: ada.asOwn, field: "participant_metadata",
			fits: []any{"", x(32768), u(16384), "a\nb\t"}, over: []any{x(32769), 1, map[string]any{}}, unsaid: []any{u(16384) + "x"}},
		{method: "POST", path: create, caller: ada.asOwn, field: "participant_attributes",
			fits: []any{pairs(64), map[string]string{"a": x(32767)}, map[string]string{"": "", "a": "", x(100): x(1000)}},
			over: []any{pairs(65), 1, []any{}}, unsaid: []any{map[string]string{"a": x(32768)}, map[string]string{x(20000): x(12769)}}},
		{method: "POST", path: create, caller: ada.asOwn, field: "participant_attributes", over: []any{map[string]any{"a": 1}}, inside: ".a"},
		{method: "POST", path: create, caller: ada.asOwn, field: "room_config", fits: []any{map[string]any{}}, over: []any{1, "x", []any{}, true}},
		{method: "POST", path: create, caller: ada.asOwn, field: "ttl_seconds",
			fits: []any{30, 86400}, over: []any{29, 86401, 0, -1, 30.5, 1e30, "60"}},
		{method: "POST", path: create, caller: ada.asOwn, field: "grants.canPublishSources",
			fits: []any{[]any{}, []any{"camera", "microphone", "screen_share", "screen_share_audio"}}, over: []any{repeat(5, "camera"), "camera", 1}},
		{method: "POST", path: create, caller: ada.asOwn, field: "grants.canPublishSources", over: []any{[]any{"Camera"}, []any{"desk"}, []any{1}}, inside: "[0]"},
		{method: "POST", path: create, caller: ada.asOwn, field: "grants.room", fits: []any{""}, over: []any{x(257), 1}},
		{method: "POST", path: create, caller: ada.asOwn, field: "grants.destinationRoom", fits: []any{""}, over: []any{x(257), 1}},
		{method: "POST", path: revoke, caller: ada.asOwn, field: "participant_identity", fits: []any{x(256), u(128)}, over: []any{"", x(257), "a\nb", 1}, unsaid: []any{u(129)}},
		{method: "POST", path: revoke, caller: ada.asOwn, field: "room_name", base: map[string]any{"participant_identity": "limits"},
			fits: []any{x(128), u(107)}, over: []any{x(129), "a/b", 1}, unsaid: []any{u(108)}},
		{method: "POST", path: revoke, caller: ada.asOwn, field: "ban_seconds", base: map[string]any{"participant_identity": "limits"},
			fits: []any{0, 2592000}, over: []any{-1, 2592001, 1.5, "60"}},
		{method: "POST", path: validate, caller: ada.asOwn, field: "token", fits: []any{"x", x(262000)}, over: []any{"", 1}},
	}
	all = append(all, roomBounds(ada)...)
	all = append(all, endpointBounds(ada)...)
	all = append(all, egressBounds(ada)...)
	all = append(all, ingressBounds(ada)...)
	for _, grant := range within() {
		all = append(all, bound{method: "POST", path: create, caller: ada.asOwn, field: "grants." + grant, fits: []any{true, false}, over: []any{1, "true"}})
	}
	roles := []any{"owner", "admin", "developer", "viewer"}
	notRoles := []any{"", "Owner", "root", 1}
	words, notWords := []any{x(10), x(128), u(10), u(128)}, []any{"", x(9), u(9), x(129), u(129), 1234567890}
	accept := map[string]any{"token": "x", "name": "n", "password": password}
	all = append(all,
		bound{method: "POST", path: "/v1/auth/password/forgot", field: "email", fits: []any{"x", x(254)}, over: []any{"", x(255), 1}},
		bound{method: "POST", path: "/v1/auth/password/reset", base: map[string]any{"password": password}, field: "token", fits: []any{"x", x(512)}, over: []any{"", x(513), 1}},
		bound{method: "POST", path: "/v1/auth/password/reset", base: map[string]any{"token": "x"}, field: "password", fits: words, over: notWords, unsaid: []any{"1234567890"}},
		bound{method: "POST", path: "/v1/auth/operator", field: "token", fits: []any{"x", x(512)}, over: []any{"", x(513), 1}},
		bound{method: "PATCH", path: "/v1/auth/me", caller: ada.asPerson, field: "name", fits: lines, over: notLines},
		bound{method: "POST", path: "/v1/downloads", caller: ada.asPerson, field: "path", fits: []any{"/v1/usage/export?project_id=" + x(100)},
			over: []any{"", "/v1/usage/export?project_id=" + x(2048), 1}, unsaid: []any{"x", "/v1/auth/me"}},
		bound{method: "POST", path: "/v1/auth/operator", base: map[string]any{"token": "x"}, field: "cookie", fits: []any{true, false}, over: []any{1, "true"}},
		bound{method: "POST", path: "/v1/auth/login", base: map[string]any{"email": "a@b.co", "password": "x"}, field: "cookie", fits: []any{true, false}, over: []any{1, "true"}},
		bound{method: "POST", path: "/v1/organizations", base: signUp, field: "cookie", fits: []any{true, false}, over: []any{1, "true"}},
		bound{method: "POST", path: "/v1/invitations/accept", base: accept, field: "cookie", fits: []any{true, false}, over: []any{1, "true"}},
		bound{method: "POST", path: "/v1/auth/refresh", field: "refresh_token", fits: []any{"x", x(512)}, over: []any{"", x(513), 1}},
		bound{method: "POST", path: "/v1/auth/password", caller: ada.asPerson, base: map[string]any{"new_password": password}, field: "current_password", rule: "is not the current password",
			fits: []any{"x", x(128)}, over: []any{"", x(129), 1}},
		bound{method: "POST", path: "/v1/auth/password", caller: ada.asPerson, base: map[string]any{"current_password": "x"}, field: "new_password", rule: "is not the current password",
			fits: words, over: notWords, unsaid: []any{"1234567890"}},
		bound{method: "PATCH", path: org + "/members/{user_id}", caller: ada.asPerson, field: "role", fits: roles, over: notRoles},
		bound{method: "POST", path: org + "/invitations", caller: ada.asPerson, base: map[string]any{"email": "limits@example.com"}, field: "role", fits: roles, over: notRoles},
		bound{method: "POST", path: org + "/invitations", caller: ada.asPerson, base: map[string]any{"role": "viewer"}, field: "email",
			fits: []any{"a@b.co", mail(254)}, over: []any{mail(255), 1}, unsaid: notMails},
		bound{method: "POST", path: "/v1/invitations/accept", base: accept, field: "token", fits: []any{"x", x(128)}, over: []any{"", x(129), 1}},
		bound{method: "POST", path: "/v1/invitations/accept", base: accept, field: "name", fits: lines, over: notLines},
		bound{method: "POST", path: "/v1/invitations/accept", base: accept, field: "password", fits: words, over: notWords, unsaid: []any{"1234567890"}},
	)
	// Making and changing a key take the same. The path names none, so that what fits
	// is a missing one.
	keys, key := project+"/keys", project+"/keys/{key_id}"
	for _, b := range []bound{
		{field: "name", fits: lines, over: notLines},
		{field: "scopes", fits: []any{[]any{"*"}, repeat(20, "rooms:read")}, over: []any{repeat(21, "rooms:read"), "*", 1}},
		{field: "scopes", over: []any{[]any{""}, []any{"rooms:*"}, []any{1}}, inside: "[0]"},
		{field: "expires_at", fits: []any{"2999-12-31T23:59:59Z"}, over: []any{"tomorrow", 1}},
		{field: "allowed_ips", fits: []any{[]any{}, repeat(100, "203.0.113.0/24")}, over: []any{repeat(101, "203.0.113.1"), "203.0.113.1"}},
		{field: "allowed_ips", over: []any{[]any{x(65)}, []any{1}}, inside: "[0]"},
	} {
		b.caller = ada.asPerson
		b.method, b.path = http.MethodPatch, key
		all = append(all, b)
		b.method, b.path, b.base = http.MethodPost, keys, named
		all = append(all, b)
	}
	// PUT and PATCH of a project take the same settings.
	for _, b := range []bound{
		{field: "name", fits: lines, over: notLines},
		{field: "region", fits: regions, over: notRegions},
		{field: "client_tokens.enabled", fits: []any{true, false}, over: []any{0, "true"}},
		{field: "client_tokens.max_ttl_seconds", fits: []any{30, 86400}, over: []any{29, 86401, 0, 1.5, "60"}},
		{field: "client_tokens.allowed_origins", fits: []any{[]any{}, repeat(100, "https://a.example")}, over: []any{repeat(101, "https://a.example"), "https://a.example"}},
		{field: "client_tokens.allowed_origins", fits: []any{[]any{"https://" + strings.Repeat(x(61)+".", 3) + x(61)}, []any{"http://localhost:3000", "https://[::1]:8080"}}, inside: "[0]",
			over: []any{[]any{"https://" + x(248)}, []any{"https://a.example/"}, []any{"https://a.example/x"}, []any{"ftp://a.example"},
				[]any{"a.example"}, []any{"*"}, []any{"null"}, []any{""}, []any{"https://"}, []any{"https://u:p@a.example"}, []any{"https://a.example?q"}, []any{1}},
			unsaid: []any{[]any{"https://a b"}, []any{"https://a\n"}}},
		{field: "client_tokens.allowed_rooms", fits: []any{[]any{}, repeat(100, "lobby-*"), []any{"*"}, []any{u(107)}}, over: []any{repeat(101, "*"), "*", 1}},
		{field: "client_tokens.allowed_rooms", over: []any{[]any{""}, []any{"a/b"}, []any{x(129)}, []any{1}}, unsaid: []any{[]any{u(108)}}, inside: "[0]"},
		{field: "client_tokens.identities", fits: []any{"any", "generated"}, over: []any{"", "Any", "none", 1}},
		{field: "client_tokens.agents", fits: []any{[]any{}, repeat(100, "scribe"), []any{"*"}, []any{u(128)}}, over: []any{repeat(101, "a"), "a", 1}},
		{field: "client_tokens.agents", over: []any{[]any{""}, []any{u(129)}, []any{"a\nb"}, []any{1}}, inside: "[0]"},
		{field: "agents", caller: asOperator(), fits: []any{[]any{}, repeat(100, "scribe"), []any{"*"}, []any{u(128)}}, over: []any{repeat(101, "a"), "a", 1}},
		{field: "agents", caller: asOperator(), over: []any{[]any{""}, []any{u(129)}, []any{"a\nb"}, []any{1}}, inside: "[0]"},
		{field: "client_tokens.grants.roomAdmin", fits: []any{true, false}, over: []any{1, "true"}},
		{field: "limits.requests_per_minute", caller: asOperator(), fits: []any{0, 100000000}, over: []any{-1, 100000001, 0.5, "1"}},
		{field: "limits.concurrent_agents", caller: asOperator(), fits: []any{0, 100000000}, over: []any{-1, 100000001, 0.5, "1"}},
		{field: "limits.concurrent_participants", caller: asOperator(), fits: []any{0, 100000000}, over: []any{-1, 100000001, 0.5, "1"}},
		{field: "limits.rooms", caller: asOperator(), fits: []any{0, 100000000}, over: []any{-1, 100000001, 0.5, "1"}},
		{field: "limits.participant_minutes_per_month", caller: asOperator(), fits: []any{0, 100000000}, over: []any{-1, 100000001, 0.5, "1"}},
		{field: "limits.concurrent_egresses", caller: asOperator(), fits: []any{0, 100000000}, over: []any{-1, 100000001, 0.5, "1"}},
		{field: "limits.concurrent_ingresses", caller: asOperator(), fits: []any{0, 100000000}, over: []any{-1, 100000001, 0.5, "1"}},
		{field: "recording.enabled", fits: []any{false}, over: []any{1, "true"}},
		{field: "recording.audio_only", fits: []any{true, false}, over: []any{1, "true"}},
		{field: "recording.layout", fits: []any{"", "grid", x(64)}, over: []any{x(65), 1}, unsaid: []any{"a\nb"}},
		{field: "recording.encoding", fits: []any{"h264_720p_30", "portrait_h264_1080p_60"}, over: []any{"H264", 1}},
		{field: "storage", fits: []any{map[string]any{"kind": "s3", "bucket": "recordings", "access_key": "AK", "secret": "s"}}, over: []any{1, "s3", []any{}}},
		{field: "limits.egress_minutes_per_month", caller: asOperator(), fits: []any{0, 100000000}, over: []any{-1, 100000001, 0.5, "1"}},
	} {
		b.path = project
		if b.caller == nil {
			b.caller = ada.asPerson
		}
		b.method = http.MethodPatch
		all = append(all, b)
		b.method, b.base = http.MethodPut, named
		all = append(all, b)
	}
	// Which fields a kind has, and what is in them, TestAStorageThatIsWrongIsRefusedByField tests.
	for name, over := range map[string][]any{
		"kind": {"", "ftp", 1}, "bucket": {x(223), 1}, "region": {x(65), 1}, "endpoint": {x(1025), 1}, "access_key": {x(1025), 1}, "secret": {x(16385), 1},
		"force_path_style": {1, "true"}, "credentials": {x(16385), 1}, "account_name": {x(25), 1}, "account_key": {x(16385), 1}, "container": {x(223), 1},
		"prefix": {x(201), 1}, "cdn_base_url": {x(1025), 1},
	} {
		all = append(all, bound{method: http.MethodPut, path: project, caller: ada.asPerson, field: "storage." + name, base: named, over: over})
	}
	return all
}

func TestEveryFieldIsTakenUpToItsLimitAndRefusedBeyond(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	for _, b := range bounds(ada) {
		if b.caller == nil {
			b.caller = func(*http.Request) {}
		}
		t.Run(b.method+" "+nameless(b.path, ada)+" "+b.field, func(t *testing.T) {
			s := s.in(t)
			for _, value := range b.fits {
				body := b.body(value)
				if a := s.do(b.method, b.path, body, b.caller); a.status == http.StatusBadRequest && a.problem().Code == "invalid_request" &&
					(b.rule == "" || a.problem().Errors[0].Message != b.rule) {
					t.Errorf("%.80s is refused: %s", body, a.body)
				}
				if !described(t, b.method, b.path, body) {
					t.Errorf("the document does not allow %.80s", body)
				}
			}
			for i, value := range append(b.over[:len(b.over):len(b.over)], b.unsaid...) {
				body, writes := b.body(value), s.engine.writes.Load()
				location := "body." + b.field
				if i < len(b.over) || b.inside != "" {
					location += b.inside
				}
				s.do(b.method, b.path, body, b.caller).refused(http.StatusBadRequest, "invalid_request", location)
				if s.engine.writes.Load() != writes {
					t.Errorf("%.80s was refused and something was written", body)
				}
				if i < len(b.over) && described(t, b.method, b.path, body) {
					t.Errorf("the document allows %.80s", body)
				}
			}
		})
	}
}

// A limit nobody tests is one nobody keeps.
func TestEveryFieldOfTheDocumentHasItsLimitsTested(t *testing.T) {
	doc, err := document()
	if err != nil {
		t.Fatal(err)
	}
	tested := map[string]bool{}
	for _, b := range bounds(tenant{org: "ORG", project: "PROJECT"}) {
		path := strings.NewReplacer("ORG", "{id}", "PROJECT", "{id}", "/hall", "/{room}", "/ann", "/{identity}", "EG_x", "{id}", "IN_x", "{id}").Replace(b.path)
		tested[b.method+" "+path+" "+b.field] = true
	}
	aliases := map[string]bool{"roomName": true, "participantIdentity": true, "participantName": true, "participantMetadata": true,
		"participantAttributes": true, "roomConfig": true, "ttlSeconds": true, "banSeconds": true}
	var walk func(name string, schema *openapi3.Schema)
	walk = func(name string, schema *openapi3.Schema) {
		for field, ref := range schema.Properties {
			switch {
			case aliases[field]: // TestCamelCaseIsAnotherSpellingOfTheSameToken
			case len(ref.Value.Properties) > 0:
				walk(name+field+".", ref.Value)
			case strings.HasSuffix(name, "client_tokens.grants."): // those of tokens/create, and roomAdmin of both
			case strings.HasPrefix(field, "room") && ref.Value.Type.Is("boolean"), field == "ingressAdmin": // TestServerWideGrantsAreNeverMinted
			case !tested[name+field]:
				t.Errorf("%s%s is not in the table", name, field)
			}
		}
	}
	for path, item := range doc.Paths.Map() {
		for method, o := range item.Operations() {
			if o.RequestBody == nil {
				continue
			}
			if media := o.RequestBody.Value.Content["application/json"]; media != nil { // a webhook is not ours to describe
				walk(method+" "+path+" ", media.Schema.Value)
			}
		}
	}
}

func TestQueriesAreHeldToTheirLimits(t *testing.T) {
	s := newServer(t)
	s.tenant("ada")
	long := strings.Repeat("ü", 128)
	for _, path := range []string{"/v1/organizations", "/v1/projects"} {
		for _, query := range []string{"limit=1", "limit=100", "q=" + url.QueryEscape(long), "q=", "cursor="} {
			s.do(http.MethodGet, path+"?"+query, nil, asOperator()).want(http.StatusOK)
		}
		for query, location := range map[string]string{
			"limit=0": "limit", "limit=101": "limit", "limit=-1": "limit", "limit=1.5": "limit", "limit=x": "limit", "limit=": "limit", "unknown=1": "unknown",
			"limit=99999999999999999999": "limit", "q=" + url.QueryEscape(long+"x"): "q", "q=%ff": "q", "q=%00": "q",
			"cursor=x": "cursor", "cursor=" + strings.Repeat("x", 1025): "cursor", "cursor=%ff": "cursor",
		} {
			s.do(http.MethodGet, path+"?"+query, nil, asOperator()).refused(http.StatusBadRequest, "invalid_request", "query."+location)
		}
	}
	s.do(http.MethodGet, "/v1/organizations?plan=gold&limit=0&q=%ff", nil, asOperator()).
		refused(http.StatusBadRequest, "invalid_request", "query.plan", "query.limit", "query.q")
	s.do(http.MethodGet, fmt.Sprintf("/v1/projects?org_id=%s", strings.Repeat("x", 129)), nil, asOperator()).
		refused(http.StatusBadRequest, "invalid_request", "query.org_id")
}
