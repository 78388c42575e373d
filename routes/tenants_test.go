package routes_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"pulse-control-plane/handlers"
)

const password = "correct horse battery"

// tenant is an organization with its owner, logged in, and one project.
type tenant struct {
	org, user, email       string
	session                handlers.Session
	project, key, secret   string
	asPerson, asKey, asOwn with
}

// signUp founds an organization; its project is left empty.
func (s *server) signUp(name string) tenant {
	s.t.Helper()
	email := name + "@example.com"
	a := s.do(http.MethodPost, "/v1/organizations",
		map[string]any{"name": name, "admin_email": email, "password": password}, asOperator()).want(http.StatusCreated)
	out := read[handlers.SignedUp](a)
	return tenant{
		org: string(out.Organization.ID), user: string(out.User.ID), email: email, session: out.Session,
		asPerson: bearer(out.Session.AccessToken),
	}
}

// tenant founds an organization with a project.
func (s *server) tenant(name string) tenant {
	s.t.Helper()
	out := s.signUp(name)
	made := s.newProject(out, name+" project")
	out.project, out.key, out.secret = string(made.Project.ID), made.PulseAPIKey, made.PulseAPISecret
	out.asKey, out.asOwn = asKey(out.key), asServer(out.key, out.secret)
	return out
}

func (s *server) newProject(t tenant, name string) handlers.KeyedProject {
	s.t.Helper()
	a := s.do(http.MethodPost, "/v1/projects", map[string]any{"name": name}, t.asPerson).want(http.StatusCreated)
	return read[handlers.KeyedProject](a)
}

// patch changes a project's settings as the operator.
func (s *server) patch(project string, settings map[string]any) {
	s.t.Helper()
	s.do(http.MethodPatch, "/v1/projects/"+project, settings, asOperator()).want(http.StatusOK)
}

// tenantRoute is a route with a tenant's id in its path.
type tenantRoute struct {
	method, path string
	body         any
	// keys is true if a project's key may ask too.
	keys bool
}

// tenantRoutes are all of them.
func tenantRoutes() []tenantRoute {
	name, role := map[string]any{"name": "new"}, map[string]any{"role": "viewer"}
	invitation := map[string]any{"email": "grace@example.com", "role": "viewer"}
	return []tenantRoute{
		{http.MethodGet, "/v1/organizations/{org}", nil, false},
		{http.MethodPut, "/v1/organizations/{org}", name, false},
		{http.MethodPatch, "/v1/organizations/{org}", name, false},
		{http.MethodDelete, "/v1/organizations/{org}", nil, false},
		{http.MethodGet, "/v1/organizations/{org}/members", nil, false},
		{http.MethodGet, "/v1/organizations/{org}/members/{user_id}", nil, false},
		{http.MethodPatch, "/v1/organizations/{org}/members/{user_id}", role, false},
		{http.MethodDelete, "/v1/organizations/{org}/members/{user_id}", nil, false},
		{http.MethodGet, "/v1/organizations/{org}/invitations", nil, false},
		{http.MethodPost, "/v1/organizations/{org}/invitations", invitation, false},
		{http.MethodDelete, "/v1/organizations/{org}/invitations/{invitation_id}", nil, false},
		{http.MethodGet, "/v1/projects/{project}", nil, true},
		{http.MethodPut, "/v1/projects/{project}", name, false},
		{http.MethodPatch, "/v1/projects/{project}", name, false},
		{http.MethodDelete, "/v1/projects/{project}", nil, false},
		{http.MethodPost, "/v1/projects/{project}/regenerate-keys", nil, true},
		{http.MethodGet, "/v1/events?project_id={project}", nil, true},
		{http.MethodGet, "/v1/events/stream?project_id={project}", nil, true},
		{http.MethodGet, "/v1/events/{project}?project_id={project}", nil, true},
		{http.MethodGet, "/v1/usage/sessions/{project}?project_id={project}", nil, true},
		{http.MethodDelete, "/v1/tokens/revocations/{project}?project_id={project}", nil, true},
		{http.MethodPost, "/v1/projects/{project}/storage/check", nil, false},
		{http.MethodGet, "/v1/webhooks/endpoints/{project}", nil, true},
		{http.MethodPatch, "/v1/webhooks/endpoints/{project}", map[string]any{"enabled": true}, true},
		{http.MethodDelete, "/v1/webhooks/endpoints/{project}", nil, true},
		{http.MethodPost, "/v1/webhooks/endpoints/{project}/rotate-secret", nil, true},
		{http.MethodPost, "/v1/webhooks/endpoints/{project}/test", nil, true},
		{http.MethodPost, "/v1/webhooks/endpoints/{project}/recover", map[string]any{"since": "2026-01-31T12:00:00Z"}, true},
		{http.MethodGet, "/v1/webhooks/deliveries/{project}", nil, true},
		{http.MethodPost, "/v1/webhooks/deliveries/{project}/retry", nil, true},
		{http.MethodPost, "/v1/events/{project}/resend", nil, true},
		{http.MethodPost, "/v1/projects/{project}/keys", name, true},
		{http.MethodGet, "/v1/projects/{project}/keys", nil, true},
		{http.MethodGet, "/v1/projects/{project}/keys/{key_id}", nil, true},
		{http.MethodPatch, "/v1/projects/{project}/keys/{key_id}", name, true},
		{http.MethodDelete, "/v1/projects/{project}/keys/{key_id}", nil, true},
	}
}

func TestAnotherTenantsIdIsByteForByteAMissingOne(t *testing.T) {
	s := newServer(t)
	mine, other := s.tenant("mine"), s.tenant("other")
	const missing = "01a2063f-e6cc-7690-9e88-10046bbf09e7"
	same := header("X-Request-Id", "the-same-for-both")

	for _, route := range tenantRoutes() {
		callers := map[string]with{"a person of another organization": mine.asPerson}
		if route.keys {
			callers["a key of another project"] = mine.asOwn
			callers["a key of another project, Basic"] = asBasic(mine.key, mine.secret)
		}
		for who, caller := range callers {
			t.Run(fmt.Sprintf("%s %s by %s", route.method, route.path, who), func(t *testing.T) {
				s := s.in(t)
				theirs := s.do(route.method, fill(route.path, other.org, other.project), route.body, caller, same)
				absent := s.do(route.method, fill(route.path, "org_"+missing, "prj_"+missing), route.body, caller, same)
				theirs.refused(http.StatusNotFound, "not_found")
				if got, want := neutral(theirs, other.org, other.project), neutral(absent, "org_"+missing, "prj_"+missing); got != want {
					t.Errorf("they differ:\n%s\n%s", got, want)
				}
			})
		}
	}
	// All that was refused left no trace.
	got := read[handlers.Project](s.do(http.MethodGet, "/v1/projects/"+other.project, nil, other.asPerson).want(http.StatusOK))
	if got.Name != "other project" || got.PulseAPIKey != other.key || !got.UpdatedAt.Equal(got.CreatedAt) {
		t.Errorf("the other tenant's project was changed: %+v", got)
	}
	s.do(http.MethodGet, "/v1/projects/"+other.project, nil, other.asOwn).want(http.StatusOK)
}

func TestEveryRouteWithAnIdIsInTheTableOfForeignTenants(t *testing.T) {
	doc, err := document()
	if err != nil {
		t.Fatal(err)
	}
	table := map[string]bool{}
	for _, route := range tenantRoutes() {
		path, _, _ := strings.Cut(route.path, "?")
		table[route.method+" "+fill(path, "{id}", "{id}")] = true
	}
	// TestPeopleSeeAndEndTheirOwnLoginsOnly and TestADownloadWorksOnce….
	table["DELETE /v1/auth/sessions/{id}"], table["GET /v1/downloads/{id}"] = true, true
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			// TestARoomOfAnotherTenantIsAMissingOne, TestAnEgressOfAnotherTenantIsAMissingOne and
			// TestAnIngressOfAnotherTenantIsAMissingOne.
			if pathHasID(path) && !strings.HasPrefix(path, "/v1/rooms/") && !strings.HasPrefix(path, "/v1/media/") && !operatorOnly(item.GetOperation(method)) && !table[method+" "+path] {
				t.Errorf("%s %s is not in the table", method, path)
			}
		}
	}
}

// One's own parent and a foreign object under it: the tenant of both has
// to be right.
func TestAForeignObjectUnderOnesOwnParentIsNotFound(t *testing.T) {
	s := newServer(t)
	mine, other := s.tenant("mine"), s.tenant("other")
	type made struct {
		ID string `json:"id"`
	}
	invitation := read[struct{ Invitation made }](s.do(http.MethodPost, "/v1/organizations/"+other.org+"/invitations",
		map[string]any{"email": "grace@example.com", "role": "viewer"}, other.asPerson).want(http.StatusCreated)).Invitation.ID
	key := read[struct{ Key made }](s.do(http.MethodPost, "/v1/projects/"+other.project+"/keys",
		map[string]any{"name": "second"}, other.asPerson).want(http.StatusCreated)).Key.ID
	sibling := string(s.newProject(mine, "sibling").Project.ID)
	const missing = "01a2063f-e6cc-7690-9e88-10046bbf09e7"
	same := header("X-Request-Id", "the-same-for-both")

	tested := map[string]bool{}
	for _, route := range tenantRoutes() {
		theirs, prefix := "", ""
		switch {
		case strings.Contains(route.path, "{user_id}"):
			theirs, prefix = other.user, "usr_"
		case strings.Contains(route.path, "{invitation_id}"):
			theirs, prefix = invitation, "inv_"
		case strings.Contains(route.path, "{key_id}"):
			theirs, prefix = key, "key_"
		default:
			continue
		}
		tested[prefix] = true
		callers := map[string]with{mine.project: mine.asPerson}
		if route.keys {
			callers[sibling] = mine.asPerson // the right organization, the wrong project
		}
		for project, caller := range callers {
			t.Run(route.method+" "+route.path, func(t *testing.T) {
				s := s.in(t)
				ask := func(id string) *answer {
					path := strings.NewReplacer("{user_id}", id, "{invitation_id}", id, "{key_id}", id).Replace(fill(route.path, mine.org, project))
					return s.do(route.method, path, route.body, caller, same)
				}
				got, want := ask(theirs).refused(http.StatusNotFound, "not_found"), ask(prefix+missing)
				if neutral(got, theirs) != neutral(want, prefix+missing) {
					t.Errorf("they differ:\n%s\n%s", got.body, want.body)
				}
			})
		}
	}
	if len(tested) != 3 {
		t.Errorf("only %v were tried", tested)
	}
	s.do(http.MethodGet, "/v1/projects/"+other.project+"/keys/"+key, nil, other.asPerson).want(http.StatusOK)
	s.do(http.MethodGet, "/v1/organizations/"+other.org+"/members/"+other.user, nil, other.asPerson).want(http.StatusOK)
}

func TestAnotherTenantsIdInABodyOrQueryIsAMissingOne(t *testing.T) {
	s := newServer(t)
	mine, other := s.tenant("mine"), s.tenant("other")
	const missing = "org_01a2063f-e6cc-7690-9e88-10046bbf09e7"
	same := header("X-Request-Id", "the-same-for-both")

	theirs := s.do(http.MethodPost, "/v1/projects", map[string]any{"name": "x", "org_id": other.org}, mine.asPerson, same)
	absent := s.do(http.MethodPost, "/v1/projects", map[string]any{"name": "x", "org_id": missing}, mine.asPerson, same)
	theirs.refused(http.StatusNotFound, "not_found")
	if neutral(theirs, other.org, "") != neutral(absent, missing, "") {
		t.Errorf("they differ:\n%s\n%s", theirs.body, absent.body)
	}
	for _, caller := range []with{mine.asPerson, mine.asOwn} {
		theirs = s.do(http.MethodGet, "/v1/projects?org_id="+other.org, nil, caller, same).want(http.StatusOK)
		absent = s.do(http.MethodGet, "/v1/projects?org_id="+missing, nil, caller, same)
		if items := read[handlers.List[handlers.Project]](theirs).Items; len(items) > 0 || neutral(theirs, "", "") != neutral(absent, "", "") {
			t.Errorf("they differ:\n%s\n%s", theirs.body, absent.body)
		}
	}
}

func TestATenantsListsHoldNothingOfAnother(t *testing.T) {
	s := newServer(t)
	mine, other := s.tenant("mine"), s.tenant("other")
	s.newProject(mine, "second")
	for who, tc := range map[string]struct {
		caller with
		want   int
	}{"the person": {mine.asPerson, 2}, "the key": {mine.asOwn, 1}} {
		items := read[handlers.List[handlers.Project]](s.do(http.MethodGet, "/v1/projects", nil, tc.caller).want(http.StatusOK)).Items
		if len(items) != tc.want {
			t.Errorf("%s sees %d projects, want %d", who, len(items), tc.want)
		}
		for _, p := range items {
			if string(p.OrgID) != mine.org {
				t.Errorf("%s sees a project of %s", who, p.OrgID)
			}
		}
	}
	orgs := read[handlers.List[handlers.Organization]](s.do(http.MethodGet, "/v1/organizations", nil, other.asPerson).want(http.StatusOK)).Items
	if len(orgs) != 1 || string(orgs[0].ID) != other.org {
		t.Errorf("a person sees %+v", orgs)
	}
}

// operatorOnly is an operation that no tenant may do, for any id.
func operatorOnly(o *openapi3.Operation) bool {
	for _, requirement := range *o.Security {
		if _, ok := requirement["operator"]; !ok {
			return false
		}
	}
	return true
}
