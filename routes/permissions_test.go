package routes_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"pulse-control-plane/handlers"
)

// callers are the kinds of caller, in the order of the columns below.
func callers() []string {
	return []string{"nobody", "owner", "admin", "developer", "viewer", "client key", "server key",
		"key of another project", "person of another organization", "suspended person", "suspended key", "operator"}
}

// permission is a row: a route and what it answers each kind of caller.
type permission struct {
	method, path string
	body         any
	// want is a status for each of callers.
	want string
	// fresh gives each caller a world of their own, because the request would
	// leave none for the next.
	fresh bool
}

// Columns that many rows share.
const (
	public   = "200 200 200 200 200 200 200 200 200 200 200 200"
	open     = "200 200 200 200 200 200 200 200 200 403 403 200"
	reading  = "401 200 200 200 200 403 403 403 404 403 403 200"
	noBody   = "400 400 400 400 400 400 400 400 400 400 400 400"
	operator = "401 403 403 403 403 403 403 403 403 403 403 200"
)

// permissions is the table. In a path {org} and {project} are those the people
// and keys belong to; {spare}, {member} and {invitation} are made for each
// request.
func permissions() []permission {
	name := map[string]any{"name": "new"}
	role := map[string]any{"role": "developer"}
	invitation := map[string]any{"email": "new@example.com", "role": "viewer"}
	egress := map[string]any{"type": "room_composite", "room_name": "hall", "outputs": toRTMP()}
	ingress := map[string]any{"input_type": "rtmp", "room_name": "hall", "participant_identity": "obs"}
	password := map[string]any{"current_password": password, "new_password": "another one of theirs"}
	//                                          nobody  owner admin dev view  client server other stranger suspended operator
	return []permission{
		{"GET", "/health", nil, public, false},
		{"GET", "/health/ready", nil, public, false},
		{"GET", "/metrics", nil, public, false},
		{"GET", "/openapi.json", nil, public, false},
		{"GET", "/openapi.yaml", nil, public, false},
		{"GET", "/docs", nil, public, false},
		{"GET", "/v1/status", nil, open, false},
		{"GET", "/", nil, public, false},
		{"GET", "/dashboard", nil, strings.ReplaceAll(public, "200", "303"), false},
		{"GET", "/v1/config", nil, public, false},
		{"POST", "/v1/downloads", map[string]any{"path": "/v1/audit-logs/export"}, "401 201 201 201 201 403 403 403 201 403 403 201", false},
		{"GET", "/v1/downloads/dwn_x?key=x", nil, strings.ReplaceAll(public, "200", "404"), false},
		{"GET", "/v1/plans", nil, "401 200 200 200 200 403 403 403 200 403 403 200", false},
		{"GET", "/v1/overview?org_id={org}", nil, reading, false},
		{"GET", "/v1/regions", nil, "401 200 200 200 200 403 200 200 200 403 403 200", false},
		{"GET", "/v1/clusters", nil, operator, false},
		{"GET", "/v1/operations", nil, operator, false},
		{"POST", "/v1/operations/dead-events/retry", nil, operator, false},

		{"POST", "/v1/organizations", map[string]any{}, "400 400 400 400 400 400 400 400 400 403 403 400", false},
		{"GET", "/v1/organizations", nil, "401 200 200 200 200 403 403 403 200 403 403 200", false},
		{"GET", "/v1/organizations/{org}", nil, reading, false},
		{"PUT", "/v1/organizations/{org}", name, "401 200 200 403 403 403 403 403 404 403 403 200", false},
		{"PATCH", "/v1/organizations/{org}", name, "401 200 200 403 403 403 403 403 404 403 403 200", false},
		{"PATCH", "/v1/organizations/{org}", map[string]any{"plan": "pro"}, operator, false},
		{"DELETE", "/v1/organizations/{org}", nil, "401 204 403 403 403 403 403 403 404 403 403 204", true},
		{"POST", "/v1/organizations/{org}/suspend", nil, operator, false},
		{"POST", "/v1/organizations/{org}/unsuspend", nil, operator, false},

		{"GET", "/v1/organizations/{org}/members", nil, reading, false},
		{"GET", "/v1/organizations/{org}/members/{member}", nil, reading, false},
		{"PATCH", "/v1/organizations/{org}/members/{member}", role, "401 200 200 403 403 403 403 403 404 403 403 200", false},
		{"PATCH", "/v1/organizations/{org}/members/{member}", map[string]any{"role": "owner"}, "401 200 403 403 403 403 403 403 404 403 403 200", false},
		{"DELETE", "/v1/organizations/{org}/members/{member}", nil, "401 204 204 403 403 403 403 403 404 403 403 204", false},
		{"DELETE", "/v1/organizations/{org}/members/{self}", nil, "401 409 204 204 204 403 403 403 404 403 403 404", true},
		{"GET", "/v1/organizations/{org}/invitations", nil, "401 200 200 403 403 403 403 403 404 403 403 200", false},
		{"POST", "/v1/organizations/{org}/invitations", invitation, "401 201 201 403 403 403 403 403 404 403 403 201", false},
		{"POST", "/v1/organizations/{org}/invitations", map[string]any{"email": "new@example.com", "role": "owner"},
			"401 201 403 403 403 403 403 403 404 403 403 201", false},
		{"DELETE", "/v1/organizations/{org}/invitations/{invitation}", nil, "401 204 204 403 403 403 403 403 404 403 403 204", false},
		{"POST", "/v1/invitations/accept", map[string]any{}, noBody, false},

		{"POST", "/v1/auth/login", map[string]any{}, noBody, false},
		{"POST", "/v1/auth/refresh", map[string]any{}, noBody, false},
		{"POST", "/v1/auth/operator", map[string]any{}, noBody, false},
		{"POST", "/v1/auth/password/forgot", map[string]any{}, noBody, false},
		{"POST", "/v1/auth/password/reset", map[string]any{}, noBody, false},
		{"PATCH", "/v1/auth/me", name, "401 200 200 200 200 403 403 403 200 403 403 403", false},
		{"GET", "/v1/auth/sessions", nil, "401 200 200 200 200 403 403 403 200 403 403 403", false},
		{"DELETE", "/v1/auth/sessions/ses_x", nil, "401 404 404 404 404 403 403 403 404 403 403 403", false},
		{"GET", "/v1/auth/permissions", nil, public, false},
		{"POST", "/v1/auth/logout", nil, "401 204 204 204 204 403 403 403 204 403 403 403", true},
		{"GET", "/v1/auth/me", nil, "401 200 200 200 200 403 403 403 200 403 403 403", false},
		{"POST", "/v1/auth/password", password, "401 204 204 204 204 403 403 403 204 403 403 403", true},

		{"POST", "/v1/projects", name, "401 201 201 201 403 403 403 403 201 403 403 400", false},
		{"GET", "/v1/projects", nil, "401 200 200 200 200 403 200 200 200 403 403 200", false},
		{"GET", "/v1/projects/{project}", nil, "401 200 200 200 200 403 200 404 404 403 403 200", false},
		{"PUT", "/v1/projects/{project}", name, "401 200 200 200 403 403 403 403 404 403 403 200", false},
		{"PATCH", "/v1/projects/{project}", name, "401 200 200 200 403 403 403 403 404 403 403 200", false},
		{"PATCH", "/v1/projects/{project}", map[string]any{"limits": map[string]any{"requests_per_minute": 0}}, operator, false},
		{"DELETE", "/v1/projects/{spare}", nil, "401 204 204 403 403 403 403 403 404 403 403 204", false},
		{"POST", "/v1/projects/{project}/regenerate-keys", map[string]any{"grace_period_seconds": 600},
			"401 200 200 403 403 403 200 404 404 403 403 200", true}, // a pair that was replaced makes no other

		{"POST", "/v1/projects/{project}/storage/check", nil, "401 409 409 409 403 403 403 403 404 403 403 409", false},
		{"POST", "/v1/projects/{project}/keys", name, "401 201 201 403 403 403 201 404 404 403 403 201", false},
		{"GET", "/v1/projects/{project}/keys", nil, "401 200 200 200 403 403 200 404 404 403 403 200", false},
		{"GET", "/v1/projects/{project}/keys/{key}", nil, "401 200 200 200 403 403 200 404 404 403 403 200", false},
		{"PATCH", "/v1/projects/{project}/keys/{key}", name, "401 200 200 403 403 403 200 404 404 403 403 200", false},
		{"DELETE", "/v1/projects/{project}/keys/{key}", nil, "401 204 204 403 403 403 204 404 404 403 403 204", false},

		{"GET", "/v1/audit-logs", nil, "401 200 200 403 403 403 403 403 200 403 403 400", false},
		{"GET", "/v1/audit-logs/export", nil, "401 200 200 403 403 403 403 403 200 403 403 400", false},
		{"GET", "/v1/audit-logs/verify", nil, "401 200 200 403 403 403 403 403 200 403 403 400", false},

		{"POST", "/v1/tokens/create", map[string]any{}, "401 400 400 400 403 201 201 201 400 403 403 403", false}, // a person names the project
		{"POST", "/v1/tokens/create?project_id={project}", map[string]any{}, "401 201 201 201 403 201 201 404 404 403 403 403", false},
		{"POST", "/v1/tokens/revoke", map[string]any{"participant_identity": "x"}, "401 400 400 400 403 403 200 200 400 403 403 403", false},
		{"POST", "/v1/tokens/revoke?project_id={project}", map[string]any{"participant_identity": "x"}, "401 200 200 200 403 403 200 404 404 403 403 403", false},
		{"GET", "/v1/tokens/revocations", nil, "401 400 400 400 403 403 200 200 400 403 403 403", false},
		{"GET", "/v1/tokens/revocations?project_id={project}", nil, "401 200 200 200 403 403 200 404 404 403 403 403", false},
		{"DELETE", "/v1/tokens/revocations/{revocation}?project_id={project}", nil, "401 204 204 204 403 403 204 404 404 403 403 403", false},
		{"POST", "/v1/webhooks/livekit", map[string]any{}, "401 401 401 401 401 401 401 401 401 401 401 401", false}, // LiveKit alone

		{"POST", "/v1/webhooks/endpoints", map[string]any{"url": hook}, "401 400 400 400 403 403 201 201 400 403 403 400", false},
		{"POST", "/v1/webhooks/endpoints?project_id={project}", map[string]any{"url": hook}, "401 201 201 201 403 403 201 404 404 403 403 201", false},
		{"POST", "/v1/webhooks/endpoints?org_id={org}", map[string]any{"url": hook}, "401 201 201 403 403 403 403 403 404 403 403 201", false},
		{"GET", "/v1/webhooks/endpoints", nil, "401 400 400 400 403 403 200 200 400 403 403 400", false},
		{"GET", "/v1/webhooks/endpoints?project_id={project}", nil, "401 200 200 200 403 403 200 404 404 403 403 200", false},
		{"GET", "/v1/webhooks/endpoints?org_id={org}", nil, "401 200 200 403 403 403 403 403 404 403 403 200", false},
		{"GET", "/v1/webhooks/endpoints/{endpoint}", nil, "401 200 200 200 403 403 200 404 404 403 403 200", false},
		{"PATCH", "/v1/webhooks/endpoints/{endpoint}", map[string]any{"enabled": true}, "401 200 200 200 403 403 200 404 404 403 403 200", false},
		{"DELETE", "/v1/webhooks/endpoints/{spare endpoint}", nil, "401 204 204 204 403 403 204 404 404 403 403 204", false},
		{"POST", "/v1/webhooks/endpoints/{endpoint}/rotate-secret", nil, "401 200 200 200 403 403 200 404 404 403 403 200", false},
		{"POST", "/v1/webhooks/endpoints/{endpoint}/test", nil, "401 202 202 202 403 403 202 404 404 403 403 202", false},
		{"POST", "/v1/webhooks/endpoints/{endpoint}/recover", map[string]any{"since": time.Now().Add(-time.Hour)}, "401 202 202 202 403 403 202 404 404 403 403 202", false},
		{"GET", "/v1/webhooks/deliveries", nil, "401 400 400 400 403 403 200 200 400 403 403 400", false},
		{"GET", "/v1/webhooks/deliveries?project_id={project}", nil, "401 200 200 200 403 403 200 404 404 403 403 200", false},
		{"GET", "/v1/webhooks/deliveries?org_id={org}", nil, "401 200 200 403 403 403 403 403 404 403 403 200", false},
		{"GET", "/v1/webhooks/deliveries?endpoint_id={endpoint}", nil, "401 200 200 200 403 403 200 404 404 403 403 200", false},
		{"GET", "/v1/webhooks/deliveries/{delivery}", nil, "401 200 200 200 403 403 200 404 404 403 403 200", false},
		{"POST", "/v1/webhooks/deliveries/{delivery}/retry", nil, "401 202 202 202 403 403 202 404 404 403 403 202", false},
		{"POST", "/v1/events/{event}/resend", nil, "401 202 202 202 403 403 202 404 404 403 403 202", false},

		// A person who names no project is asked which.
		{"POST", "/v1/rooms", map[string]any{"room_name": "hall"}, "401 400 400 400 403 403 200 200 400 403 403 400", false},
		{"POST", "/v1/rooms?project_id={project}", map[string]any{"room_name": "hall"}, "401 200 200 200 403 403 200 404 404 403 403 200", false},
		{"GET", "/v1/rooms", nil, "401 400 400 400 400 403 200 200 400 403 403 400", false},
		{"GET", "/v1/rooms?project_id={project}", nil, "401 200 200 200 200 403 200 404 404 403 403 200", false},
		{"GET", "/v1/rooms/hall", nil, "401 400 400 400 400 403 200 200 400 403 403 400", false},
		{"GET", "/v1/rooms/hall?project_id={project}", nil, "401 200 200 200 200 403 200 404 404 403 403 200", false},
		{"PATCH", "/v1/rooms/hall", map[string]any{"metadata": "m"}, "401 400 400 400 403 403 200 200 400 403 403 400", false},
		{"PATCH", "/v1/rooms/hall?project_id={project}", map[string]any{"metadata": "m"}, "401 200 200 200 403 403 200 404 404 403 403 200", false},
		{"DELETE", "/v1/rooms/hall", nil, "401 400 400 400 403 403 204 204 400 403 403 400", false},
		{"DELETE", "/v1/rooms/hall?project_id={project}", nil, "401 204 204 204 403 403 204 404 404 403 403 204", false},
		{"POST", "/v1/rooms/hall/data", map[string]any{"data": "aGk="}, "401 400 400 400 403 403 204 204 400 403 403 400", false},
		{"POST", "/v1/rooms/hall/data?project_id={project}", map[string]any{"data": "aGk="}, "401 204 204 204 403 403 204 404 404 403 403 204", false},
		{"GET", "/v1/rooms/hall/participants", nil, "401 400 400 400 400 403 200 200 400 403 403 400", false},
		{"GET", "/v1/rooms/hall/participants?project_id={project}", nil, "401 200 200 200 200 403 200 404 404 403 403 200", false},
		{"GET", "/v1/rooms/hall/participants/ann", nil, "401 400 400 400 400 403 200 200 400 403 403 400", false},
		{"GET", "/v1/rooms/hall/participants/ann?project_id={project}", nil, "401 200 200 200 200 403 200 404 404 403 403 200", false},
		{"PATCH", "/v1/rooms/hall/participants/ann", map[string]any{"name": "x"}, "401 400 400 400 403 403 200 200 400 403 403 400", false},
		{"PATCH", "/v1/rooms/hall/participants/ann?project_id={project}", map[string]any{"name": "x"}, "401 200 200 200 403 403 200 404 404 403 403 200", false},
		{"DELETE", "/v1/rooms/hall/participants/ann", nil, "401 400 400 400 403 403 204 204 400 403 403 400", false},
		{"DELETE", "/v1/rooms/hall/participants/ann?project_id={project}", nil, "401 204 204 204 403 403 204 404 404 403 403 204", false},
		{"POST", "/v1/rooms/hall/participants/ann/mute", map[string]any{"track_sid": "TR_1", "muted": true}, "401 400 400 400 403 403 200 200 400 403 403 400", false},
		{"POST", "/v1/rooms/hall/participants/ann/mute?project_id={project}", map[string]any{"track_sid": "TR_1", "muted": true}, "401 200 200 200 403 403 200 404 404 403 403 200", false},
		{"POST", "/v1/rooms/hall/participants/ann/move", map[string]any{"destination_room": "hall2"}, "401 400 400 400 403 403 204 204 400 403 403 400", false},
		{"POST", "/v1/rooms/hall/participants/ann/move?project_id={project}", map[string]any{"destination_room": "hall2"}, "401 204 204 204 403 403 204 404 404 403 403 204", false},
		{"POST", "/v1/rooms/hall/participants/ann/forward", map[string]any{"destination_room": "hall2"}, "401 400 400 400 403 403 501 501 400 403 403 400", false},
		{"POST", "/v1/rooms/hall/participants/ann/forward?project_id={project}", map[string]any{"destination_room": "hall2"}, "401 501 501 501 403 403 501 404 404 403 403 501", false},
		{"POST", "/v1/media/egress/start", egress, "401 400 400 400 403 403 201 201 400 403 403 400", false},
		{"POST", "/v1/media/egress/start?project_id={project}", egress, "401 201 201 201 403 403 201 404 404 403 403 201", false},
		{"POST", "/v1/media/egress/stop?project_id={project}", map[string]any{"egress_id": "EG_x"}, "401 404 404 404 403 403 404 404 404 403 403 404", false},
		{"GET", "/v1/media/egress", nil, "401 400 400 400 400 403 200 200 400 403 403 400", false},
		{"GET", "/v1/media/egress?project_id={project}", nil, "401 200 200 200 200 403 200 404 404 403 403 200", false},
		{"GET", "/v1/media/egress/EG_x?project_id={project}", nil, "401 404 404 404 404 403 404 404 404 403 403 404", false},
		{"PATCH", "/v1/media/egress/EG_x?project_id={project}", map[string]any{"layout": "grid"}, "401 404 404 404 403 403 404 404 404 403 403 404", false},
		{"POST", "/v1/media/ingress/create", ingress, "401 400 400 400 403 403 201 201 400 403 403 400", false},
		{"POST", "/v1/media/ingress/create?project_id={project}", ingress, "401 201 201 201 403 403 201 404 404 403 403 201", false},
		{"GET", "/v1/media/ingress", nil, "401 400 400 400 400 403 200 200 400 403 403 400", false},
		{"GET", "/v1/media/ingress?project_id={project}", nil, "401 200 200 200 200 403 200 404 404 403 403 200", false},
		{"GET", "/v1/media/ingress/IN_x?project_id={project}", nil, "401 404 404 404 404 403 404 404 404 403 403 404", false},
		{"PATCH", "/v1/media/ingress/IN_x?project_id={project}", map[string]any{"enabled": false}, "401 404 404 404 403 403 404 404 404 403 403 404", false},
		{"DELETE", "/v1/media/ingress/IN_x?project_id={project}", nil, "401 404 404 404 403 403 404 404 404 403 403 404", false},

		{"GET", "/v1/usage", nil, "401 400 400 400 400 403 200 200 400 403 403 400", false},
		{"GET", "/v1/events", nil, "401 400 400 400 400 403 200 200 400 403 403 400", false},
		{"GET", "/v1/events/stream", nil, "401 400 400 400 400 403 200 200 400 403 403 200", false},
		{"GET", "/v1/events/{project}", nil, "401 404 404 404 404 403 404 404 404 403 403 404", false},
		{"GET", "/v1/usage/sessions", nil, "401 400 400 400 400 403 200 200 400 403 403 400", false},
		{"GET", "/v1/usage/sessions/{project}", nil, "401 400 400 400 400 403 404 404 400 403 403 400", false},
		{"GET", "/v1/usage/explain", nil, "401 400 400 400 400 403 400 400 400 403 403 400", false},
		{"GET", "/v1/usage/quota", nil, "401 400 400 400 400 403 200 200 400 403 403 400", false},
		{"GET", "/v1/usage/export", nil, "401 400 400 400 400 403 200 200 400 403 403 400", false},
		{"POST", "/v1/tokens/validate", map[string]any{"token": "x"}, "401 400 400 400 403 200 200 200 400 403 403 403", false},
		{"POST", "/v1/tokens/validate?project_id={project}", map[string]any{"token": "x"}, "401 200 200 200 403 200 200 404 404 403 403 403", false},
	}
}

func TestEveryRouteAnswersEachKindOfCallerAsTheTableSays(t *testing.T) {
	shared := newWorld(newServer(t))
	for _, row := range permissions() {
		want := strings.Fields(row.want)
		if len(want) != len(callers()) {
			t.Fatalf("%s %s has %d columns, want %d", row.method, row.path, len(want), len(callers()))
		}
		for i, who := range callers() {
			t.Run(fmt.Sprintf("%s %s %v by %s", row.method, row.path, row.body, who), func(t *testing.T) {
				w := shared.in(t)
				if row.fresh && want[i] != "401" && want[i] != "403" {
					w = newWorld(newServer(t))
				}
				status, err := strconv.Atoi(want[i])
				if err != nil {
					t.Fatal(err)
				}
				a := w.s.do(row.method, w.path(row.path, who), row.body, w.as[who]).want(status)
				if strings.HasPrefix(who, "suspended") && status == http.StatusForbidden {
					a.refused(status, "organization_suspended")
				}
			})
		}
	}
}

func TestEveryRouteHasARowInTheTableOfPermissions(t *testing.T) {
	rows := map[string]bool{}
	for _, row := range permissions() {
		path := strings.NewReplacer("{org}", ":id", "{project}", ":id", "{spare}", ":id", "{self}", ":user_id",
			"{member}", ":user_id", "{invitation}", ":invitation_id", "{key}", ":key_id", "/rooms/hall", "/rooms/:room", "/participants/ann", "/participants/:identity", "dwn_x", ":id", "EG_x", ":id", "IN_x", ":id", "ses_x", ":id", "{revocation}", ":id",
			"{endpoint}", ":id", "{spare endpoint}", ":id", "{delivery}", ":id", "{event}", ":id").Replace(row.path)
		path, _, _ = strings.Cut(path, "?")
		rows[row.method+" "+path] = true
	}
	for _, r := range newServer(t).handler.(*gin.Engine).Routes() {
		// What the pages load; and HEAD, which has the handlers of its GET.
		if route := r.Method + " " + r.Path; !rows[route] && r.Path != "/docs/*asset" && r.Path != "/dashboard/*path" && r.Method != http.MethodHead {
			t.Errorf("%s is not in the table", route)
		}
		delete(rows, r.Method+" "+r.Path)
	}
	for row := range rows {
		t.Errorf("%s is in the table and not in the router", row)
	}
}

// world is an installation with somebody of every kind.
type world struct {
	s   *server
	org tenant
	as  map[string]with
	ids map[string]string
}

func newWorld(s *server) *world {
	w := &world{s: s, org: s.tenant("acme"), as: map[string]with{"nobody": both(), "operator": asOperator()}, ids: map[string]string{}}
	w.as["owner"], w.ids["owner"] = w.org.asPerson, w.org.user
	for _, role := range []string{"admin", "developer", "viewer"} {
		joined := w.join(role+"@acme.example", role)
		w.as[role], w.ids[role] = bearer(joined.Session.AccessToken), string(joined.User.ID)
	}
	second := s.newProject(w.org, "second")
	stranger, suspended := s.tenant("other"), s.tenant("suspended")
	s.do(http.MethodPost, "/v1/organizations/"+suspended.org+"/suspend", nil, asOperator()).want(http.StatusOK)
	w.as["client key"], w.as["server key"] = w.org.asKey, w.org.asOwn
	w.as["key of another project"] = asServer(second.PulseAPIKey, second.PulseAPISecret)
	w.as["person of another organization"], w.ids["person of another organization"] = stranger.asPerson, stranger.user
	w.as["suspended person"], w.as["suspended key"] = suspended.asPerson, suspended.asOwn
	return w
}

// in is the world as one subtest sees it.
func (w *world) in(t testing.TB) *world {
	copied := *w
	copied.s = w.s.in(t)
	return &copied
}

// invite asks somebody in as the operator.
func (w *world) invite(email, role string) handlers.Invited {
	w.s.t.Helper()
	return read[handlers.Invited](w.s.do(http.MethodPost, "/v1/organizations/"+w.org.org+"/invitations",
		map[string]any{"email": email, "role": role}, asOperator()).want(http.StatusCreated))
}

// join brings somebody in.
func (w *world) join(email, role string) handlers.SignedUp {
	w.s.t.Helper()
	return read[handlers.SignedUp](w.s.do(http.MethodPost, "/v1/invitations/accept", map[string]any{
		"token": w.invite(email, role).AcceptToken, "name": role, "password": password}).want(http.StatusCreated))
}

// endpoint is an endpoint of the project, the same each time: there may be few.
func (w *world) endpoint() handlers.Endpoint {
	w.s.t.Helper()
	list := read[handlers.List[handlers.Endpoint]](w.s.do(http.MethodGet, "/v1/webhooks/endpoints", nil, w.org.asOwn).want(http.StatusOK))
	if n := len(list.Items); n > 0 {
		return list.Items[n-1]
	}
	return w.s.newEndpoint(w.org, nil).Endpoint
}

// path fills a row's path for a caller, making what it names.
func (w *world) path(path, who string) string {
	fresh := func(name string, id func() string) {
		if strings.Contains(path, name) {
			path = strings.ReplaceAll(path, name, id())
		}
	}
	fresh("{spare}", func() string { return string(w.s.newProject(w.org, "spare").Project.ID) })
	fresh("{member}", func() string {
		return string(w.join(fmt.Sprintf("member%d@acme.example", w.s.engine.writes.Load()), "viewer").User.ID)
	})
	fresh("{invitation}", func() string { return string(w.invite("open@acme.example", "viewer").Invitation.ID) })
	if strings.Contains(path, "{endpoint}") || strings.Contains(path, "{delivery}") || strings.Contains(path, "{event}") {
		made := w.endpoint()
		fresh("{endpoint}", func() string { return string(made.ID) })
		fresh("{delivery}", func() string { return string(w.s.newDelivery(w.org, made).ID) })
		fresh("{event}", func() string { return w.s.newEvent(w.org, "room.started") })
	}
	fresh("{spare endpoint}", func() string { return string(w.s.newEndpoint(w.org, nil).Endpoint.ID) })
	fresh("{revocation}", func() string { return string(w.s.revoke(w.org, "mallory").ID) })
	fresh("{key}", func() string { return string(w.s.newKey(w.org, nil).Key.ID) })
	fresh("{self}", func() string {
		if id := w.ids[who]; id != "" {
			return id
		}
		return "usr_nobody"
	})
	return fill(path, w.org.org, w.org.project)
}
