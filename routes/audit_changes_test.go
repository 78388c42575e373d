package routes_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"pulse-control-plane/handlers"
	"pulse-control-plane/services/audit"
)

// auditedChange is a row: a route that changes something, and the one entry it
// leaves. A path is filled as in the table of permissions; "{invited}" in a
// body is the token of an invitation made for it.
type auditedChange struct {
	route string
	body  string
	// by is who asks: owner, server key, operator or nobody. Nobody becomes the
	// person the answer names.
	by     string
	status int
	action string
	// target is the type of what is changed, and id where its id stands:
	// "path" (the last one), "session" (the caller's), "user" (the caller's), or
	// the location in the response.
	target, id string
	// before and after are the fields, with the bodies of ids and keys, and times
	// replaced (see plain).
	before, after string
}

func auditedChanges() []auditedChange {
	const name, renamed, none = `{"name":"new"}`, `{"name":"new"}`, `{}`
	return []auditedChange{
		{"POST /v1/organizations", `{"name":"New","admin_email":"New@example.com","password":"a password of theirs"}`, "nobody", 201,
			"organization.created", "organization", "organization.id",
			none, `{"admin_email":"new@example.com","name":"New","owner_id":"usr_"}`},
		{"PUT /v1/organizations/{org}", name, "owner", 200, "organization.updated", "organization", "path", `{"name":"acme"}`, renamed},
		{"PATCH /v1/organizations/{org}", `{"name":"acme","plan":"pro"}`, "operator", 200, "organization.updated", "organization", "path",
			`{"plan":"free"}`, `{"plan":"pro"}`},
		{"DELETE /v1/organizations/{org}", "", "owner", 204, "organization.deleted", "organization", "path", `{"name":"acme"}`, none},
		{"POST /v1/organizations/{org}/suspend", "", "operator", 200, "organization.suspended", "organization", "path",
			`{"suspended_at":null}`, `{"suspended_at":"TIME"}`},
		{"POST /v1/organizations/{org}/unsuspend", "", "operator", 200, "organization.unsuspended", "organization", "path",
			`{"suspended_at":null}`, `{"suspended_at":null}`},

		{"PATCH /v1/organizations/{org}/members/{member}", `{"role":"admin"}`, "owner", 200, "member.role_changed", "user", "path",
			`{"role":"viewer"}`, `{"role":"admin"}`},
		{"DELETE /v1/organizations/{org}/members/{member}", "", "owner", 204, "member.removed", "user", "path",
			`{"email":"member@acme.example","role":"viewer"}`, `{"keys_revoked":false}`},
		{"POST /v1/organizations/{org}/invitations", `{"email":"new@example.com","role":"admin"}`, "owner", 201, "invitation.created", "invitation",
			"invitation.id", none, `{"email":"new@example.com","role":"admin"}`},
		{"DELETE /v1/organizations/{org}/invitations/{invitation}", "", "owner", 204, "invitation.revoked", "invitation", "path", none, none},
		{"POST /v1/invitations/accept", `{"token":"{invited}","name":"Grace","password":"a password of theirs"}`, "nobody", 201,
			"invitation.accepted", "invitation", "{invited}",
			none, `{"email":"open@acme.example","name":"Grace","role":"viewer","user_id":"usr_"}`},

		{"POST /v1/auth/login", `{"email":"acme@example.com","password":"` + password + `"}`, "nobody", 200, "session.created", "session",
			"session", none, `{"user_id":"usr_"}`},
		{"POST /v1/auth/logout", "", "owner", 204, "session.ended", "session", "session", none, none},
		{"DELETE /v1/auth/sessions/{login}", "", "owner", 204, "session.ended", "session", "path", none, none},
		{"PATCH /v1/auth/me", `{"name":"new"}`, "owner", 200, "account.updated", "user", "user", `{"name":"acme"}`, renamed},
		{"POST /v1/auth/password", `{"current_password":"` + password + `","new_password":"another one of theirs"}`, "owner", 204,
			"password.changed", "user", "user", `{"password":"[redacted]"}`, `{"password":"[redacted]"}`},

		{"POST /v1/projects", name, "owner", 201, "project.created", "project", "project.id", none, `{"key_id":"key_","name":"new","region":""}`},
		{"PUT /v1/projects/{project}", name, "owner", 200, "project.updated", "project", "path", `{"name":"acme project"}`, renamed},
		{"PATCH /v1/projects/{project}", `{"client_tokens":{"max_ttl_seconds":60}}`, "owner", 200, "project.updated", "project", "path",
			`{"client_tokens.max_ttl_seconds":900}`, `{"client_tokens.max_ttl_seconds":60}`},
		{"DELETE /v1/projects/{project}", "", "owner", 204, "project.deleted", "project", "path", `{"name":"acme project"}`, none},
		{"POST /v1/projects/{project}/regenerate-keys", `{"grace_period_seconds":60}`, "server key", 200, "key.rotated", "project", "path",
			`{"key_id":"key_","secret_hint":"hint_"}`, `{"grace_period_seconds":60,"key_id":"key_","secret_hint":"hint_"}`},

		{"POST /v1/projects/{project}/keys", `{"name":"new","scopes":["rooms:read"],"allowed_ips":["203.0.113.9"]}`, "owner", 201,
			"key.created", "key", "key.id", none,
			`{"allowed_ips":["203.0.113.9/32"],"expires_at":null,"name":"new","project_id":"prj_","scopes":["rooms:read"]}`},
		{"PATCH /v1/projects/{project}/keys/{key}", `{"name":"new","scopes":["rooms:read"]}`, "server key", 200, "key.updated", "key", "path",
			`{"name":"worker","scopes":["*"]}`, `{"name":"new","scopes":["rooms:read"]}`},
		{"DELETE /v1/projects/{project}/keys/{key}", "", "server key", 204, "key.deleted", "key", "path",
			`{"name":"worker","project_id":"prj_"}`, none},

		{"POST /v1/tokens/revoke", `{"participant_identity":"grace","room_name":"daily"}`, "server key", 200, "tokens.revoked", "participant",
			"grace", none, `{"banned_until":"TIME","project_id":"prj_","revocation_id":"rev_","room_name":"daily"}`},
		{"DELETE /v1/tokens/revocations/{revocation}", "", "server key", 204, "tokens.ban_lifted", "participant", "mallory",
			`{"banned_until":"TIME","project_id":"prj_","revocation_id":"rev_","room_name":""}`, none},

		{"POST /v1/webhooks/endpoints", `{"url":"https://hooks.example.com/"}`, "server key", 201, "webhooks.endpoint_created", "endpoint", "endpoint.id", none,
			`{"enabled":true,"events":["*"],"ordered":false,"project_id":"prj_","url":"https://hooks.example.com/"}`},
		{"PATCH /v1/webhooks/endpoints/{endpoint}", `{"enabled":false,"events":["room.*"]}`, "server key", 200, "webhooks.endpoint_updated", "endpoint", "path",
			`{"enabled":true,"events":["*"]}`, `{"enabled":false,"events":["room.*"]}`},
		{"DELETE /v1/webhooks/endpoints/{endpoint}", "", "owner", 204, "webhooks.endpoint_deleted", "endpoint", "path",
			`{"events":["*"],"project_id":"prj_","url":"https://hooks.example.com/pulse"}`, none},
		{"POST /v1/webhooks/endpoints/{endpoint}/rotate-secret", `{"grace_period_seconds":60}`, "owner", 200, "webhooks.secret_rotated", "endpoint", "path",
			none, `{"grace_period_seconds":60}`},
		{"POST /v1/webhooks/endpoints/{endpoint}/test", "", "server key", 202, "webhooks.endpoint_tested", "endpoint", "path", none, none},
		{"POST /v1/webhooks/endpoints/{endpoint}/recover", `{"since":"{recent}"}`, "server key", 202, "webhooks.endpoint_recovered", "endpoint", "path",
			none, `{"since":"TIME"}`},
		{"POST /v1/webhooks/deliveries/{delivery}/retry", "", "server key", 202, "webhooks.delivery_retried", "delivery", "path",
			none, `{"endpoint_id":"whe_","event_id":"evt_"}`},
		{"POST /v1/events/{event}/resend", "", "server key", 202, "webhooks.event_resent", "event", "path", none, `{"endpoints":1,"project_id":"prj_"}`},
	}
}

// unaudited are the routes that are no GET and change nothing to account for.
func unaudited() map[string]string {
	return map[string]string{
		"POST /v1/auth/password/forgot":                       "asks for a mail; what comes of it leaves an entry",
		"POST /v1/auth/password/reset":                        "leaves password.reset, see TestAForgottenPasswordIsSetAnewOnceWithTheTokenOfTheMail",
		"POST /v1/auth/operator":                              "opens a session of the operator, who is in no organization's trail",
		"POST /v1/downloads":                                  "makes a URL; what it reads is decided when it is fetched",
		"POST /v1/auth/refresh":                               "goes on with a session; one whose token was used twice is ended, see below",
		"POST /v1/tokens/create":                              "mints a token and stores nothing; metering counts them",
		"POST /v1/projects/:id/storage/check":                 "reads the project and changes nothing of it",
		"POST /v1/tokens/validate":                            "reads a token",
		"POST /v1/rooms":                                      "see TestEachChangeOfARoomIsInTheTrail",
		"PATCH /v1/rooms/:room":                               "see TestEachChangeOfARoomIsInTheTrail",
		"DELETE /v1/rooms/:room":                              "see TestEachChangeOfARoomIsInTheTrail",
		"POST /v1/rooms/:room/data":                           "changes nothing that is kept",
		"PATCH /v1/rooms/:room/participants/:identity":        "see TestEachChangeOfARoomIsInTheTrail",
		"DELETE /v1/rooms/:room/participants/:identity":       "see TestEachChangeOfARoomIsInTheTrail",
		"POST /v1/rooms/:room/participants/:identity/mute":    "see TestEachChangeOfARoomIsInTheTrail",
		"POST /v1/rooms/:room/participants/:identity/move":    "see TestEachChangeOfARoomIsInTheTrail",
		"POST /v1/rooms/:room/participants/:identity/forward": "see TestEachChangeOfARoomIsInTheTrail",
		"POST /v1/media/egress/start":                         "see TestEachChangeOfAnEgressIsInTheTrail",
		"POST /v1/media/egress/stop":                          "see TestEachChangeOfAnEgressIsInTheTrail",
		"PATCH /v1/media/egress/:id":                          "see TestEachChangeOfAnEgressIsInTheTrail",
		"POST /v1/media/ingress/create":                       "see TestEachChangeOfAnIngressIsInTheTrail",
		"PATCH /v1/media/ingress/:id":                         "see TestEachChangeOfAnIngressIsInTheTrail",
		"DELETE /v1/media/ingress/:id":                        "see TestEachChangeOfAnIngressIsInTheTrail",
		"POST /v1/operations/dead-events/retry":               "leaves an entry in the installation's trail, see TestTheOperatorRetriesDeadEventsAndTheTrailSaysSo",
		"POST /v1/webhooks/livekit":                           "tells what happened on LiveKit; the event itself is kept",
	}
}

// plain takes out of an entry's fields what differs from run to run.
func plain(fields []byte) string {
	text := regexp.MustCompile(`"(org|prj|usr|key|inv|ses|rev|whe|dlv|evt|pulse_key)_[0-9A-Za-z-]+"([,}])`).ReplaceAllString(string(fields), `"${1}_"$2`)
	text = regexp.MustCompile(`"secret_hint":"[0-9A-Za-z]{4}"`).ReplaceAllString(text, `"secret_hint":"hint_"`)
	return regexp.MustCompile(`"\d{4}-\d\d-\d\dT[0-9:.]+Z"`).ReplaceAllString(text, `"TIME"`)
}

func (s *server) trailOf(org string) []audit.Line {
	s.t.Helper()
	return read[handlers.List[audit.Line]](s.do(http.MethodGet, "/v1/audit-logs?limit=100&org_id="+org, nil, asOperator()).want(200)).Items
}

func TestEachRouteThatChangesSomethingLeavesExactlyTheEntryOfTheTable(t *testing.T) {
	for _, row := range auditedChanges() {
		t.Run(row.route, func(t *testing.T) {
			s := newServer(t)
			w := &world{s: s, org: s.tenant("acme"), ids: map[string]string{}}
			method, path, _ := strings.Cut(row.route, " ")
			var invited handlers.Invited
			switch {
			case strings.Contains(path, "{member}"):
				path = strings.Replace(path, "{member}", string(w.join("member@acme.example", "viewer").User.ID), 1)
			case strings.Contains(path, "{key}"):
				path = strings.Replace(path, "{key}", string(s.newKey(w.org, map[string]any{"name": "worker"}).Key.ID), 1)
			case strings.Contains(path, "{login}"):
				s.do(http.MethodPost, "/v1/auth/login", map[string]any{"email": "acme@example.com", "password": password}).want(200)
				logins := read[handlers.List[handlers.LoginSession]](s.do(http.MethodGet, "/v1/auth/sessions", nil, w.org.asPerson).want(200))
				path = strings.Replace(path, "{login}", string(logins.Items[0].ID), 1)
			case strings.Contains(row.body, "{invited}"):
				invited = w.invite("open@acme.example", "viewer")
			}
			path = w.path(path, row.by)
			var body any
			if row.body != "" {
				body = strings.NewReplacer("{invited}", invited.AcceptToken, "{recent}", s.clock.Now().Format(time.RFC3339)).Replace(row.body)
			}
			caller := map[string]with{"owner": w.org.asPerson, "server key": w.org.asOwn, "operator": asOperator(), "nobody": both()}[row.by]
			before := len(s.trailOf(w.org.org))
			a := s.do(method, path, body, caller, from("203.0.113.9"), header("User-Agent", "walker/1"), header("X-Request-Id", "req-1")).want(row.status)

			var out struct {
				Organization, User, Session, Project, Key, Invitation, Endpoint struct{ ID string }
			}
			if len(a.body) > 0 {
				if err := json.Unmarshal(a.body, &out); err != nil {
					t.Fatal(err)
				}
			}
			org := w.org.org
			if row.action == "organization.created" {
				org, before = out.Organization.ID, 0
			}
			trail := s.trailOf(org)
			want := 1
			if row.action == "organization.deleted" {
				want = 2 // its project has an entry of its own
			}
			if len(trail) != before+want {
				t.Fatalf("%d entries more, want %d", len(trail)-before, want)
			}
			e := trail[want-1]
			id := map[string]string{
				"path": path[strings.LastIndex(path, "/")+1:], "user": w.org.user, "session": e.Actor.CredentialID, "grace": "grace", "mallory": "mallory", "{invited}": string(invited.Invitation.ID),
				"organization.id": out.Organization.ID, "project.id": out.Project.ID, "key.id": out.Key.ID, "invitation.id": out.Invitation.ID, "endpoint.id": out.Endpoint.ID,
			}[row.id]
			if row.id == "path" && !strings.Contains(id, "_") { // …/suspend
				parts := strings.Split(path, "/")
				id = parts[len(parts)-2]
			}
			if e.Action != row.action || e.Target != (audit.Target{Type: row.target, ID: id}) || id == "" {
				t.Errorf("%s of %+v, want %s of %s %q", e.Action, e.Target, row.action, row.target, id)
			}
			if got := plain(e.Before); got != row.before {
				t.Errorf("before %s, want %s", got, row.before)
			}
			if got := plain(e.After); got != row.after {
				t.Errorf("after %s, want %s", got, row.after)
			}
			checkActor(t, e.Actor, row, w.org, out.User.ID)
			if e.IP != "203.0.113.9" || e.UserAgent != "walker/1" || e.RequestID != "req-1" || e.Outcome != "success" || e.CompletedAt == nil {
				t.Errorf("got %+v", e)
			}
			s.holdsNoSecret(org, row.body, invited.AcceptToken, w.org.secret, a)
		})
	}
}

func checkActor(t *testing.T, got audit.Actor, row auditedChange, own tenant, newcomer string) {
	t.Helper()
	want := map[string]audit.Actor{
		"owner":      {Kind: "person", ID: own.user},
		"nobody":     {Kind: "person", ID: newcomer},
		"operator":   {Kind: "operator"},
		"server key": {Kind: "server_key"},
	}[row.by]
	credential := map[string]string{"owner": "ses_", "server key": "key_"}[row.by]
	if row.by == "server key" {
		want.ID = got.CredentialID
	}
	if row.target == "session" {
		credential = "ses_"
	}
	if !strings.HasPrefix(got.CredentialID, credential) || credential == "" && got.CredentialID != "" {
		t.Errorf("the credential is %q", got.CredentialID)
	}
	want.CredentialID = got.CredentialID
	if got != want {
		t.Errorf("the actor is %+v, want %+v", got, want)
	}
}

// holdsNoSecret looks in an organization's export for what an exchange showed.
func (s *server) holdsNoSecret(org, body, accept, secret string, a *answer) {
	s.t.Helper()
	export := string(s.do(http.MethodGet, "/v1/audit-logs/export?org_id="+org, nil, asOperator()).want(200).body)
	secrets := []string{accept, secret, password}
	for _, text := range []string{body, string(a.body)} {
		for _, found := range regexp.MustCompile(`"(?:\w*password|\w*token|pulse_api_secret|secret)":"([^"{]+)"`).FindAllStringSubmatch(text, -1) {
			secrets = append(secrets, found[1])
		}
	}
	for _, secret := range secrets {
		if secret != "" && strings.Contains(export, secret) {
			s.t.Errorf("a secret stands in the trail")
		}
	}
}

func TestEveryRouteThatChangesSomethingHasARowInTheTableOfChanges(t *testing.T) {
	rows := map[string]bool{}
	for _, row := range auditedChanges() {
		rows[strings.NewReplacer("{org}", ":id", "{project}", ":id", "{member}", ":user_id", "{invitation}", ":invitation_id",
			"{key}", ":key_id", "{login}", ":id", "{revocation}", ":id", "{endpoint}", ":id", "{delivery}", ":id", "{event}", ":id").Replace(row.route)] = true
	}
	for route := range unaudited() {
		if rows[route] {
			t.Errorf("%s leaves an entry and none", route)
		}
		rows[route] = true
	}
	for _, r := range newServer(t).handler.(*gin.Engine).Routes() {
		if route := r.Method + " " + r.Path; r.Method != http.MethodGet && r.Method != http.MethodHead && !rows[route] {
			t.Errorf("%s is not in the table", route)
		}
		delete(rows, r.Method+" "+r.Path)
	}
	for row := range rows {
		t.Errorf("%s is in the table and not in the router", row)
	}
}

func TestRequestsThatChangeNothingLeaveNoAuditEntry(t *testing.T) {
	s := newServer(t)
	own := s.tenant("acme")
	before := len(s.trailOf(own.org))
	s.do(http.MethodPost, "/v1/auth/refresh", map[string]any{"refresh_token": own.session.RefreshToken}).want(200)
	out := read[handlers.Token](s.do(http.MethodPost, create, nil, own.asKey).want(201))
	s.do(http.MethodPost, validate, map[string]any{"token": out.ParticipantToken}, own.asKey).want(200)
	if got := len(s.trailOf(own.org)) - before; got != 0 {
		t.Errorf("%d entries", got)
	}
}

func TestUnauthenticatedRequestsAddNoAuditEntries(t *testing.T) {
	s := newServer(t)
	own := s.tenant("acme")
	before := len(s.trailOf(own.org))
	for i := range 3 {
		s.do(http.MethodPost, "/v1/auth/login", map[string]any{"email": own.email, "password": fmt.Sprint("wrong ", i)}).want(401)
		s.do(http.MethodPost, "/v1/invitations/accept", map[string]any{"token": fmt.Sprint("made up ", i), "name": "x", "password": password}).want(400)
		s.do(http.MethodPost, "/v1/auth/refresh", map[string]any{"refresh_token": fmt.Sprint("made up ", i)}).want(401)
		s.do(http.MethodDelete, "/v1/projects/"+own.project, nil).want(401)
	}
	if got := len(s.trailOf(own.org)) - before; got != 0 {
		t.Errorf("%d entries", got)
	}
}

func TestASignUpWithATakenAddressLeavesNoEntryForAnOrganizationThatNeverIs(t *testing.T) {
	s := newServer(t)
	own := s.tenant("acme")
	written := func(email string, status int) int64 {
		before := s.engine.writes.Load()
		s.do(http.MethodPost, "/v1/organizations", map[string]any{"name": "x", "admin_email": email, "password": password}).want(status)
		return s.engine.writes.Load() - before
	}
	for range 3 {
		if n := written(strings.ToUpper(own.email), 409); n != 0 {
			t.Errorf("%d documents were written", n)
		}
	}
	if written("free@example.com", 201) == 0 {
		t.Error("writes are not counted")
	}
}

func TestNoEntryNamesAKeyInFull(t *testing.T) {
	s := newServer(t)
	own := s.tenant("acme")
	made := s.newKey(own, map[string]any{"scopes": []string{"rooms:read"}})
	rotated := read[handlers.KeyedProject](s.do(http.MethodPost, "/v1/projects/"+own.project+"/regenerate-keys", `{"grace_period_seconds":60}`, own.asPerson).want(200))
	s.do(http.MethodPatch, own.keyPath(made.Key.ID), `{"name":"other"}`, own.asPerson).want(200)
	s.do(http.MethodDelete, own.keyPath(made.Key.ID), nil, own.asPerson).want(204)
	export := string(s.do(http.MethodGet, "/v1/audit-logs/export?org_id="+own.org, nil, asOperator()).want(200).body)
	if !strings.Contains(export, rotated.PulseAPISecret[len(rotated.PulseAPISecret)-4:]) || !strings.Contains(export, "key.rotated") {
		t.Error("the rotation does not give the hint of the new secret")
	}
	for _, key := range []string{own.key, rotated.PulseAPIKey, made.PulseAPIKey} {
		if strings.Contains(export, key) || strings.Contains(export, "pulse_key_") || strings.Contains(s.log.String(), key) {
			t.Errorf("%s stands in the trail or the log", key)
		}
	}
}

func TestARefreshTokenUsedTwiceLeavesTheEntryOfItsSessionsEnd(t *testing.T) {
	s := newServer(t)
	own := s.tenant("acme")
	before := len(s.trailOf(own.org))
	shown := map[string]any{"refresh_token": own.session.RefreshToken}
	s.do(http.MethodPost, "/v1/auth/refresh", shown).want(200)
	s.clock.Advance(11 * time.Second) // no race of two tabs any more
	s.do(http.MethodPost, "/v1/auth/refresh", shown, from("198.51.100.6")).refused(401, "refresh_token_reused")
	for range 3 { // the session has ended: showing the token again adds nothing
		s.do(http.MethodPost, "/v1/auth/refresh", shown).refused(401, "invalid_refresh_token")
	}
	trail := s.trailOf(own.org)
	if len(trail) != before+1 {
		t.Fatalf("%d entries more, want one", len(trail)-before)
	}
	session, _, _ := strings.Cut(own.session.RefreshToken, ".")
	if e := trail[0]; e.Action != "session.reuse_detected" || e.Target != (audit.Target{Type: "session", ID: session}) ||
		e.Actor != (audit.Actor{Kind: "system"}) || e.IP != "198.51.100.6" || e.Outcome != "success" {
		t.Errorf("got %+v", e)
	}
}
