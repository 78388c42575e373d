package routes_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"pulse-control-plane/handlers"
	"pulse-control-plane/models"
)

func TestSignUpReturnsAnOwnerWithALoginSession(t *testing.T) {
	s := newServer(t)
	out := read[handlers.SignedUp](s.do(http.MethodPost, "/v1/organizations",
		map[string]any{"name": "Acme", "admin_email": "Ada.L@Example.COM", "password": password}).want(http.StatusCreated))
	if out.Organization.Name != "Acme" || out.Organization.AdminEmail != "ada.l@example.com" || out.Organization.Plan != models.PlanFree {
		t.Errorf("organization %+v", out.Organization)
	}
	if out.User.Role != models.RoleOwner || out.User.OrgID != out.Organization.ID || out.User.Name != "ada.l" {
		t.Errorf("user %+v", out.User)
	}
	if out.Session.TokenType != "Bearer" || out.Session.ExpiresIn != 900 {
		t.Errorf("session %+v", out.Session)
	}
	got := read[handlers.Organization](s.do(http.MethodGet, "/v1/organizations/"+string(out.Organization.ID), nil,
		bearer(out.Session.AccessToken)).want(http.StatusOK))
	if got != out.Organization {
		t.Errorf("read %+v, made %+v", got, out.Organization)
	}
}

func TestEmailAddressesAreUniqueRegardlessOfCase(t *testing.T) {
	s := newServer(t)
	body := map[string]any{"name": "Acme", "admin_email": "ada@example.com", "password": password}
	s.do(http.MethodPost, "/v1/organizations", body).want(http.StatusCreated)
	body["admin_email"] = "ADA@Example.com"
	taken := s.do(http.MethodPost, "/v1/organizations", body).refused(http.StatusConflict, "email_taken")
	if detail := taken.problem().Detail; !strings.Contains(detail, "email address") {
		t.Errorf("the person reads %q", detail)
	}
	all := read[handlers.List[handlers.Organization]](s.do(http.MethodGet, "/v1/organizations", nil, asOperator()).want(http.StatusOK))
	if len(all.Items) != 1 {
		t.Errorf("there are %d organizations", len(all.Items))
	}
}

func TestSigningUpIsTheOperatorsWhereItIsClosed(t *testing.T) {
	s := newServer(t, func(o *setup) { o.signUpClosed = true })
	body := map[string]any{"name": "Acme", "admin_email": "ada@example.com", "password": password}
	s.do(http.MethodPost, "/v1/organizations", body).refused(http.StatusForbidden, "signup_disabled")
	s.do(http.MethodPost, "/v1/organizations", body, asOperator()).want(http.StatusCreated)
}

func TestALoginDoesNotTellWhichHalfWasWrong(t *testing.T) {
	s := newServer(t)
	s.signUp("ada")
	login := func(email, word string) *answer {
		return s.do(http.MethodPost, "/v1/auth/login", map[string]any{"email": email, "password": word}, header("X-Request-Id", "same"))
	}
	out := read[handlers.LoggedIn](login("ADA@example.com", password).want(http.StatusOK))
	s.do(http.MethodGet, "/v1/organizations", nil, bearer(out.Session.AccessToken)).want(http.StatusOK)

	wrong := login("ada@example.com", "not the password")
	unknown := login("nobody@example.com", password)
	wrong.refused(http.StatusUnauthorized, "invalid_credentials")
	if neutral(wrong) != neutral(unknown) {
		t.Errorf("they differ:\n%s\n%s", neutral(wrong), neutral(unknown))
	}
}

func TestEveryCharacterOfALongPasswordCounts(t *testing.T) {
	s := newServer(t)
	long := strings.Repeat("ü", 127)
	s.do(http.MethodPost, "/v1/organizations",
		map[string]any{"name": "Acme", "admin_email": "ada@example.com", "password": long + "a"}).want(http.StatusCreated)
	s.do(http.MethodPost, "/v1/auth/login", map[string]any{"email": "ada@example.com", "password": long + "a"}).want(http.StatusOK)
	s.do(http.MethodPost, "/v1/auth/login", map[string]any{"email": "ada@example.com", "password": long + "b"}).
		refused(http.StatusUnauthorized, "invalid_credentials")
}

func TestAnAccessTokenEndsAfterFifteenMinutes(t *testing.T) {
	s := newServer(t)
	ada := s.signUp("ada")
	s.clock.Advance(15*time.Minute - time.Second)
	s.do(http.MethodGet, "/v1/organizations", nil, ada.asPerson).want(http.StatusOK)
	s.clock.Advance(5 * time.Second) // what the clocks of replicas may differ
	s.do(http.MethodGet, "/v1/organizations", nil, ada.asPerson).want(http.StatusOK)
	s.clock.Advance(time.Second)
	s.do(http.MethodGet, "/v1/organizations", nil, ada.asPerson).refused(http.StatusUnauthorized, "invalid_token")
}

func TestAnOrganizationIsRenamedByItsOwner(t *testing.T) {
	s := newServer(t)
	ada := s.signUp("ada")
	path := "/v1/organizations/" + ada.org
	for i, method := range []string{http.MethodPut, http.MethodPatch} {
		s.clock.Advance(time.Second)
		name := fmt.Sprintf("Name %d", i)
		changed := read[handlers.Organization](s.do(method, path, map[string]any{"name": name}, ada.asPerson).want(http.StatusOK))
		got := read[handlers.Organization](s.do(http.MethodGet, path, nil, ada.asPerson).want(http.StatusOK))
		if changed != got || got.Name != name || !got.UpdatedAt.After(got.CreatedAt) {
			t.Errorf("%s: %+v, then %+v", method, changed, got)
		}
	}
	s.do(http.MethodPut, path, map[string]any{}, ada.asPerson).refused(http.StatusBadRequest, "invalid_request", "body.name")
	before := s.do(http.MethodGet, path, nil, ada.asPerson).body
	s.do(http.MethodPatch, path, map[string]any{}, ada.asPerson).want(http.StatusOK)
	if after := read[handlers.Organization](s.do(http.MethodGet, path, nil, ada.asPerson)); after.Name != "Name 1" {
		t.Errorf("an empty change made %+v of %s", after, before)
	}
}

func TestThePlanIsTheOperatorsToChange(t *testing.T) {
	s := newServer(t)
	ada := s.signUp("ada")
	path := "/v1/organizations/" + ada.org
	s.do(http.MethodPatch, path, map[string]any{"plan": "pro"}, ada.asPerson).refused(http.StatusForbidden, "not_allowed")
	s.do(http.MethodPut, path, map[string]any{"name": "x", "plan": "pro"}, ada.asPerson).refused(http.StatusForbidden, "not_allowed")
	s.do(http.MethodPatch, path, map[string]any{"plan": "pro"}, asOperator()).want(http.StatusOK)
	// A person who replaces what is theirs leaves it as it is.
	out := read[handlers.Organization](s.do(http.MethodPut, path, map[string]any{"name": "x"}, ada.asPerson).want(http.StatusOK))
	if out.Plan != models.PlanPro {
		t.Errorf("plan %s", out.Plan)
	}
}

func TestTheOperatorFindsOrganizationsByNameAddressAndPlan(t *testing.T) {
	s := newServer(t)
	for _, name := range []string{"alpha", "alpine", "beta"} {
		s.signUp(name)
	}
	beta := s.signUp("gamma")
	s.do(http.MethodPatch, "/v1/organizations/"+beta.org, map[string]any{"plan": "enterprise", "name": "Ärger"}, asOperator()).want(http.StatusOK)
	for query, want := range map[string]string{
		"":                   "Ärger beta alpine alpha",
		"q=ALP":              "alpine alpha",
		"q=alpine@ex":        "alpine",
		"q=%C3%A4":           "Ärger",
		"q=gamma@":           "Ärger",
		"q=lpha":             "",
		"plan=enterprise":    "Ärger",
		"plan=free&q=alpine": "alpine",
		"plan=pro":           "",
	} {
		var names []string
		for _, o := range read[handlers.List[handlers.Organization]](
			s.do(http.MethodGet, "/v1/organizations?"+query, nil, asOperator()).want(http.StatusOK)).Items {
			names = append(names, o.Name)
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%q finds %q, want %q", query, got, want)
		}
	}
}

func TestClosingAnOrganizationCutsKeysAndSessionsAtOnce(t *testing.T) {
	for name, replica := range map[string]bool{"alone with its database": false, "among replicas": true} {
		t.Run(name, func(t *testing.T) {
			s := newServer(t, func(o *setup) { o.replica = replica })
			ada := s.tenant("ada")
			// Everything is warm in the caches.
			s.do(http.MethodPost, "/v1/tokens/create", nil, ada.asKey).want(http.StatusCreated)
			s.do(http.MethodGet, "/v1/projects/"+ada.project, nil, ada.asOwn).want(http.StatusOK)
			s.do(http.MethodGet, "/v1/organizations", nil, ada.asPerson).want(http.StatusOK)

			s.do(http.MethodDelete, "/v1/organizations/"+ada.org, nil, ada.asPerson).want(http.StatusNoContent)

			s.do(http.MethodPost, "/v1/tokens/create", nil, ada.asKey).refused(http.StatusUnauthorized, "invalid_api_key")
			s.do(http.MethodGet, "/v1/projects/"+ada.project, nil, ada.asOwn).refused(http.StatusUnauthorized, "invalid_api_key")
			s.do(http.MethodGet, "/v1/organizations", nil, ada.asPerson).refused(http.StatusUnauthorized, "invalid_token")
			s.do(http.MethodPost, "/v1/auth/login", map[string]any{"email": ada.email, "password": password}).
				refused(http.StatusUnauthorized, "invalid_credentials")
		})
	}
}

func TestDeletedOrganizationsAndProjectsAreInNoRead(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	kept := s.newProject(ada, "kept")
	s.do(http.MethodDelete, "/v1/projects/"+ada.project, nil, ada.asPerson).want(http.StatusNoContent)
	for _, caller := range []with{ada.asPerson, asOperator()} {
		s.do(http.MethodGet, "/v1/projects/"+ada.project, nil, caller).refused(http.StatusNotFound, "not_found")
		s.do(http.MethodPatch, "/v1/projects/"+ada.project, map[string]any{"name": "x"}, caller).refused(http.StatusNotFound, "not_found")
		s.do(http.MethodDelete, "/v1/projects/"+ada.project, nil, caller).refused(http.StatusNotFound, "not_found")
		s.do(http.MethodPost, "/v1/projects/"+ada.project+"/regenerate-keys", nil, caller).refused(http.StatusNotFound, "not_found")
		for _, query := range []string{"", "?q=ada", "?org_id=" + ada.org} {
			for _, p := range read[handlers.List[handlers.Project]](s.do(http.MethodGet, "/v1/projects"+query, nil, caller).want(http.StatusOK)).Items {
				if p.ID != kept.Project.ID {
					t.Errorf("the list %q still holds %s", query, p.ID)
				}
			}
		}
	}
	s.do(http.MethodPost, "/v1/tokens/create", nil, ada.asKey).refused(http.StatusUnauthorized, "invalid_api_key")

	s.do(http.MethodDelete, "/v1/organizations/"+ada.org, nil, asOperator()).want(http.StatusNoContent)
	s.do(http.MethodGet, "/v1/organizations/"+ada.org, nil, asOperator()).refused(http.StatusNotFound, "not_found")
	s.do(http.MethodDelete, "/v1/organizations/"+ada.org, nil, asOperator()).refused(http.StatusNotFound, "not_found")
	s.do(http.MethodPost, "/v1/projects", map[string]any{"name": "x", "org_id": ada.org}, asOperator()).refused(http.StatusNotFound, "not_found")
	for _, path := range []string{"/v1/organizations", "/v1/organizations?q=ada", "/v1/projects", "/v1/projects?org_id=" + ada.org} {
		if items := read[handlers.List[any]](s.do(http.MethodGet, path, nil, asOperator()).want(http.StatusOK)).Items; len(items) > 0 {
			t.Errorf("%s still lists %v", path, items)
		}
	}
}

func TestTheAddressOfAClosedOrganizationIsFree(t *testing.T) {
	s := newServer(t)
	ada := s.signUp("ada")
	s.do(http.MethodDelete, "/v1/organizations/"+ada.org, nil, ada.asPerson).want(http.StatusNoContent)
	again := s.signUp("ada")
	if again.org == ada.org || again.user == ada.user {
		t.Error("the new organization is the old one")
	}
	s.do(http.MethodGet, "/v1/organizations", nil, ada.asPerson).refused(http.StatusUnauthorized, "invalid_token")
}
