package routes_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"pulse-control-plane/handlers"
	"pulse-control-plane/models"
)

func TestAPersonSignsInRefreshesAndLogsOut(t *testing.T) {
	s := newServer(t)
	s.signUp("ada")
	in := read[handlers.LoggedIn](s.do(http.MethodPost, "/v1/auth/login",
		map[string]any{"email": "ADA@example.com", "password": password}).want(http.StatusOK))
	me := read[handlers.Account](s.do(http.MethodGet, "/v1/auth/me", nil, bearer(in.Session.AccessToken)).want(http.StatusOK))
	if me.User != in.User || me.User.Role != models.RoleOwner || me.Organization.ID != in.User.OrgID {
		t.Errorf("%+v", me)
	}
	s.clock.Advance(16 * time.Minute)
	s.do(http.MethodGet, "/v1/auth/me", nil, bearer(in.Session.AccessToken)).refused(http.StatusUnauthorized, "invalid_token")
	// A page sends its expired token along when it asks for another.
	next := read[handlers.Refreshed](s.do(http.MethodPost, "/v1/auth/refresh",
		map[string]any{"refresh_token": in.Session.RefreshToken}, bearer(in.Session.AccessToken)).want(http.StatusOK)).Session
	s.do(http.MethodPost, "/v1/auth/logout", nil, bearer(next.AccessToken)).want(http.StatusNoContent)
	s.do(http.MethodGet, "/v1/auth/me", nil, bearer(next.AccessToken)).refused(http.StatusUnauthorized, "invalid_token")
	s.do(http.MethodPost, "/v1/auth/refresh", map[string]any{"refresh_token": next.RefreshToken}).
		refused(http.StatusUnauthorized, "invalid_refresh_token")
}

func TestAStolenRefreshTokenEndsTheLoginForThiefAndOwner(t *testing.T) {
	s := newServer(t)
	stolen := s.signUp("ada").session
	refresh := func(token string) *answer {
		return s.do(http.MethodPost, "/v1/auth/refresh", map[string]any{"refresh_token": token})
	}
	owners := read[handlers.Refreshed](refresh(stolen.RefreshToken).want(http.StatusOK)).Session
	s.clock.Advance(11 * time.Second)
	refresh(stolen.RefreshToken).refused(http.StatusUnauthorized, "refresh_token_reused")
	refresh(owners.RefreshToken).refused(http.StatusUnauthorized, "invalid_refresh_token")
	s.do(http.MethodGet, "/v1/auth/me", nil, bearer(owners.AccessToken)).refused(http.StatusUnauthorized, "invalid_token")
}

func TestTheThousandMostCommonPasswordsAreRefusedWhereverOneIsChosen(t *testing.T) {
	s := newServer(t)
	ada := s.signUp("ada")
	invited := read[handlers.Invited](s.do(http.MethodPost, "/v1/organizations/"+ada.org+"/invitations",
		map[string]any{"email": "grace@example.com", "role": "viewer"}, ada.asPerson).want(http.StatusCreated))
	for _, common := range []string{"1234567890", "Password123!", "qwertyuiop"} {
		s.do(http.MethodPost, "/v1/organizations", map[string]any{"name": "x", "admin_email": "x@example.com", "password": common}).
			refused(http.StatusBadRequest, "invalid_request", "body.password")
		s.do(http.MethodPost, "/v1/auth/password", map[string]any{"current_password": password, "new_password": common}, ada.asPerson).
			refused(http.StatusBadRequest, "invalid_request", "body.new_password")
		s.do(http.MethodPost, "/v1/invitations/accept", map[string]any{"token": invited.AcceptToken, "name": "", "password": common}).
			refused(http.StatusBadRequest, "invalid_request", "body.password", "body.name")
	}
}

func TestGuessingAPasswordIsSlowedDownAndSaysForHowLong(t *testing.T) {
	s := newServer(t)
	s.signUp("ada")
	guess := func(email, ip string) *answer {
		return s.do(http.MethodPost, "/v1/auth/login", map[string]any{"email": email, "password": "a wrong password"}, from(ip))
	}
	for _, email := range []string{"ada@example.com", "nobody@example.com"} {
		for i := range 6 {
			guess(email, fmt.Sprintf("192.0.2.%d", i)).refused(http.StatusUnauthorized, "invalid_credentials")
		}
		a := guess(email, "192.0.2.99").refused(http.StatusTooManyRequests, "too_many_attempts")
		if got := a.header.Get("Retry-After"); got != "1" {
			t.Errorf("%s: Retry-After is %q", email, got)
		}
	}
}

func TestNoSecretOfAPersonReachesTheLog(t *testing.T) {
	s := newServer(t)
	ada := s.signUp("ada")
	invited := read[handlers.Invited](s.do(http.MethodPost, "/v1/organizations/"+ada.org+"/invitations",
		map[string]any{"email": "grace@example.com", "role": "viewer"}, ada.asPerson).want(http.StatusCreated))
	grace := read[handlers.SignedUp](s.do(http.MethodPost, "/v1/invitations/accept",
		map[string]any{"token": invited.AcceptToken, "name": "Grace", "password": "a password of hers"}).want(http.StatusCreated))
	s.do(http.MethodPost, "/v1/auth/refresh", map[string]any{"refresh_token": grace.Session.RefreshToken}).want(http.StatusOK)
	s.do(http.MethodPost, "/v1/auth/login", map[string]any{"email": "ada@example.com", "password": "a wrong password"})
	s.do(http.MethodPost, "/v1/auth/password",
		map[string]any{"current_password": password, "new_password": "yet another password"}, ada.asPerson).want(http.StatusNoContent)
	log := s.log.String()
	if !strings.Contains(log, "/v1/invitations/accept") {
		t.Fatal("the log is not of these requests")
	}
	for _, secret := range []string{password, "a password of hers", "a wrong password", "yet another password", invited.AcceptToken,
		grace.Session.AccessToken, strings.Split(grace.Session.RefreshToken, ".")[1]} {
		if strings.Contains(log, secret) {
			t.Errorf("%q is in the log", secret)
		}
	}
}

func TestAPlanSetsTheRequestsAMinuteOfEachProjectUnlessItsOwnLimitDoes(t *testing.T) {
	s := newServer(t, func(o *setup) { o.projectPerMinute = 1000 })
	acme := s.tenant("acme")
	limit := func() string {
		return s.do(http.MethodGet, "/v1/projects", nil, acme.asOwn).want(http.StatusOK).header.Get("X-RateLimit-Limit")
	}
	for _, plan := range []struct{ name, want string }{{"free", "1000"}, {"pro", "10000"}, {"enterprise", "100000"}} {
		s.do(http.MethodPatch, "/v1/organizations/"+acme.org, map[string]any{"plan": plan.name}, asOperator()).want(http.StatusOK)
		if got := limit(); got != plan.want {
			t.Errorf("%s gives %s at once, want %s", plan.name, got, plan.want)
		}
	}
	s.patch(acme.project, map[string]any{"limits": map[string]any{"requests_per_minute": 7}})
	if got := limit(); got != "7" {
		t.Errorf("its own limit gives %s", got)
	}
}

func TestSuspensionTakesEffectAtOnceAndEndsWithUnsuspend(t *testing.T) {
	s := newServer(t)
	acme, other := s.tenant("acme"), s.tenant("other")
	ways := map[string]func(int) *answer{}
	for who, caller := range map[string]with{"person": acme.asPerson, "key": acme.asOwn, "basic": asBasic(acme.key, acme.secret)} {
		ways[who] = func(status int) *answer {
			return s.do(http.MethodGet, "/v1/projects", nil, caller).want(status)
		}
	}
	ways["client"] = func(status int) *answer {
		return s.do(http.MethodPost, "/v1/tokens/validate", map[string]any{"token": "x"}, acme.asKey).want(status)
	}
	for _, ask := range ways {
		ask(http.StatusOK)
	}
	out := read[handlers.Organization](s.do(http.MethodPost, "/v1/organizations/"+acme.org+"/suspend", nil, asOperator()).want(http.StatusOK))
	if out.SuspendedAt == nil {
		t.Error("it does not say since when")
	}
	for _, ask := range ways {
		ask(http.StatusForbidden).refused(http.StatusForbidden, "organization_suspended")
	}
	s.do(http.MethodGet, "/v1/projects", nil, other.asOwn).want(http.StatusOK)
	s.do(http.MethodGet, "/v1/projects/"+acme.project, nil, asOperator()).want(http.StatusOK)
	out = read[handlers.Organization](s.do(http.MethodPost, "/v1/organizations/"+acme.org+"/unsuspend", nil, asOperator()).want(http.StatusOK))
	if out.SuspendedAt != nil {
		t.Error("it still says it is suspended")
	}
	for _, ask := range ways {
		ask(http.StatusOK)
	}
}

func TestThePermissionsServedAreTheTableThatIsEnforced(t *testing.T) {
	s := newServer(t)
	served := read[handlers.Permissions](s.do(http.MethodGet, "/v1/auth/permissions", nil).want(http.StatusOK))
	if len(served.Permissions) != len(models.Actions()) {
		t.Fatalf("%d of %d actions", len(served.Permissions), len(models.Actions()))
	}
	for _, row := range served.Permissions {
		for _, role := range models.Roles() {
			person := models.Principal{Kind: models.CallerPerson, Role: role}
			if may := person.May(row.Action) == nil; may != slices.Contains(row.Roles, role) {
				t.Errorf("%s: %s may %v", row.Action, role, may)
			}
		}
		for kind, says := range map[models.CallerKind]bool{models.CallerOperator: row.Operator,
			models.CallerServerKey: row.ServerKey, models.CallerClientKey: row.ClientKey} {
			caller := models.Principal{Kind: kind, Scopes: []models.Scope{models.ScopeAll}}
			if may := caller.May(row.Action) == nil; may != says {
				t.Errorf("%s: %s may %v", row.Action, kind, may)
			}
		}
	}
}

func TestMembersAreListedNewestFirstAndRemovedWithTheirKeysIfAsked(t *testing.T) {
	s := newServer(t)
	w := newWorld(s)
	path := "/v1/organizations/" + w.org.org + "/members"
	page := read[handlers.List[handlers.User]](s.do(http.MethodGet, path+"?limit=3", nil, w.as["viewer"]).want(http.StatusOK))
	if len(page.Items) != 3 || !page.HasMore || page.Items[0].Role != models.RoleViewer {
		t.Fatalf("%+v", page)
	}
	rest := read[handlers.List[handlers.User]](s.do(http.MethodGet, path+"?limit=3&cursor="+*page.NextCursor, nil, w.as["viewer"]).want(http.StatusOK))
	if len(rest.Items) != 1 || rest.HasMore || rest.Items[0].Role != models.RoleOwner {
		t.Fatalf("%+v", rest)
	}
	theirs := read[handlers.KeyedProject](s.do(http.MethodPost, "/v1/projects", map[string]any{"name": "theirs"}, w.as["developer"]).want(http.StatusCreated))
	key := asServer(theirs.PulseAPIKey, theirs.PulseAPISecret)
	s.do(http.MethodGet, "/v1/projects", nil, key).want(http.StatusOK)
	s.do(http.MethodDelete, path+"/"+w.ids["developer"]+"?revoke_keys=maybe", nil, w.as["admin"]).
		refused(http.StatusBadRequest, "invalid_request", "query.revoke_keys")
	s.do(http.MethodDelete, path+"/"+w.ids["developer"]+"?revoke_keys=true", nil, w.as["admin"]).want(http.StatusNoContent)
	s.do(http.MethodGet, "/v1/projects", nil, key).refused(http.StatusUnauthorized, "invalid_api_key")
	s.do(http.MethodGet, "/v1/projects", nil, w.as["developer"]).refused(http.StatusUnauthorized, "invalid_token")
	s.do(http.MethodGet, "/v1/projects", nil, w.org.asOwn).want(http.StatusOK)
}

func TestTheOperatorCanNotActAsAPerson(t *testing.T) {
	s := newServer(t)
	s.signUp("ada")
	for _, path := range []string{"/v1/auth/logout", "/v1/auth/password"} {
		s.do(http.MethodPost, path, map[string]any{"current_password": password, "new_password": "another password of hers"}, asOperator()).
			refused(http.StatusForbidden, "not_allowed")
	}
	s.do(http.MethodGet, "/v1/auth/me", nil, asOperator()).refused(http.StatusForbidden, "not_allowed")
}
