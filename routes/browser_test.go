package routes_test

import (
	"context"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"pulse-control-plane/handlers"
	"pulse-control-plane/services/tenancy"
)

// cookieOf gives the cookie an answer sets, or nil.
func cookieOf(a *answer) *http.Cookie {
	for _, c := range (&http.Response{Header: a.header}).Cookies() {
		if strings.HasSuffix(c.Name, "pulse_refresh") {
			return c
		}
	}
	return nil
}

// sending adds a cookie and the header that goes with it.
func sending(c *http.Cookie) with {
	return func(r *http.Request) {
		r.AddCookie(&http.Cookie{Name: c.Name, Value: c.Value})
		r.Header.Set("X-Pulse-Request", "1")
	}
}

func TestABrowsersRefreshTokenIsInACookieThatNoScriptReads(t *testing.T) {
	for name, strict := range map[string]bool{"pulse_refresh": false, "__Secure-pulse_refresh": true} {
		s := newServer(t, func(o *setup) { o.strict = strict })
		login := s.do(http.MethodPost, "/v1/organizations", map[string]any{
			"name": "Acme", "admin_email": "ada@example.com", "password": password, "cookie": true}).want(http.StatusCreated)
		for range 2 { // a sign-up, then a login
			c := cookieOf(login)
			if c == nil || c.Name != name || !c.HttpOnly || c.Secure != strict || c.SameSite != http.SameSiteStrictMode || c.Path != "/v1/auth" ||
				c.MaxAge != int((30*24*time.Hour).Seconds()) || c.Domain != "" {
				t.Fatalf("the cookie is %+v", c)
			}
			if strings.Contains(string(login.body), "refresh_token") || strings.Contains(string(login.body), c.Value) {
				t.Error("the answer holds the refresh token too")
			}
			login = s.do(http.MethodPost, "/v1/auth/login", map[string]any{"email": "ada@example.com", "password": password, "cookie": true}).want(http.StatusOK)
		}
	}
}

func TestTheCookieRefreshesAndLogsOut(t *testing.T) {
	s := newServer(t)
	s.signUp("ada")
	login := s.do(http.MethodPost, "/v1/auth/login", map[string]any{"email": "ada@example.com", "password": password, "cookie": true}).want(http.StatusOK)
	first := cookieOf(login)
	s.clock.Advance(16 * time.Minute)
	again := s.do(http.MethodPost, "/v1/auth/refresh", nil, sending(first)).want(http.StatusOK)
	next := cookieOf(again)
	if next == nil || next.Value == first.Value || read[handlers.Refreshed](again).Session.RefreshToken != "" {
		t.Fatalf("the next cookie is %+v", next)
	}
	token := read[handlers.Refreshed](again).Session.AccessToken
	// A page whose access token has expired logs out with the cookie alone.
	out := s.do(http.MethodPost, "/v1/auth/logout", nil, sending(next)).want(http.StatusNoContent)
	if c := cookieOf(out); c == nil || c.MaxAge >= 0 || c.Value != "" {
		t.Errorf("the cookie stays: %+v", c)
	}
	s.do(http.MethodGet, "/v1/auth/me", nil, bearer(token)).refused(http.StatusUnauthorized, "invalid_token")
	refused := s.do(http.MethodPost, "/v1/auth/refresh", nil, sending(next)).refused(http.StatusUnauthorized, "invalid_refresh_token")
	if c := cookieOf(refused); c == nil || c.MaxAge >= 0 {
		t.Errorf("a cookie that is no good stays: %+v", c)
	}
}

func TestARepeatedSignUpGetsTheCookieOfTheFirst(t *testing.T) {
	s := newServer(t)
	body := map[string]any{"name": "Acme", "admin_email": "ada@example.com", "password": password, "cookie": true}
	once := header("Idempotency-Key", "sign up")
	s.do(http.MethodPost, "/v1/organizations", body, once).want(http.StatusCreated) // and the answer is lost
	again := s.do(http.MethodPost, "/v1/organizations", body, once).want(http.StatusCreated)
	cookie := cookieOf(again)
	if again.header.Get("Idempotent-Replayed") != "true" || cookie == nil || !cookie.HttpOnly {
		t.Fatalf("got %v", again.header)
	}
	s.do(http.MethodPost, "/v1/auth/refresh", nil, sending(cookie)).want(http.StatusOK)
}

func TestOtherOriginsPagesCanNotUseTheCookie(t *testing.T) {
	s := newServer(t)
	s.signUp("ada")
	credentials := map[string]any{"email": "ada@example.com", "password": password, "cookie": true}
	cookie := cookieOf(s.do(http.MethodPost, "/v1/auth/login", credentials).want(http.StatusOK))
	alone := func(r *http.Request) { r.AddCookie(&http.Cookie{Name: cookie.Name, Value: cookie.Value}) }
	for _, path := range []string{"/v1/auth/refresh", "/v1/auth/logout"} {
		s.do(http.MethodPost, path, nil, alone).refused(http.StatusForbidden, "request_header_required")
		for _, foreign := range []with{header("Sec-Fetch-Site", "cross-site"), header("Sec-Fetch-Site", "same-site"), header("Origin", "https://evil.example")} {
			s.do(http.MethodPost, path, nil, sending(cookie), foreign).refused(http.StatusForbidden, "cross_origin_request")
		}
	}
	a := s.do(http.MethodPost, "/v1/auth/login", credentials, header("Sec-Fetch-Site", "cross-site")).refused(http.StatusForbidden, "cross_origin_request")
	if cookieOf(a) != nil {
		t.Error("another origin's page logged somebody in")
	}
	s.do(http.MethodPost, "/v1/auth/refresh", nil, sending(cookie), header("Sec-Fetch-Site", "same-origin")).want(http.StatusOK)
}

func TestTheOperatorsSessionEndsAfterEightHoursHoweverItIsUsed(t *testing.T) {
	s := newServer(t)
	ada := s.signUp("ada")
	s.do(http.MethodPost, "/v1/auth/operator", map[string]any{"token": "wrong"}).refused(http.StatusUnauthorized, "invalid_credentials")
	login := s.do(http.MethodPost, "/v1/auth/operator", map[string]any{"token": operatorToken, "cookie": true}).want(http.StatusOK)
	cookie, session := cookieOf(login), read[handlers.Refreshed](login).Session
	if cookie.MaxAge != 8*3600 || strings.Contains(string(login.body), operatorToken) {
		t.Errorf("the cookie is %+v", cookie)
	}
	for at := time.Duration(0); at < 8*time.Hour; at += 10 * time.Minute {
		s.do(http.MethodPost, "/v1/organizations/"+ada.org+"/unsuspend", nil, bearer(session.AccessToken)).want(http.StatusOK)
		again := s.do(http.MethodPost, "/v1/auth/refresh", nil, sending(cookie)).want(http.StatusOK)
		cookie, session = cookieOf(again), read[handlers.Refreshed](again).Session
		s.clock.Advance(10 * time.Minute)
	}
	s.clock.Advance(5 * time.Second) // the leeway of clocks
	s.do(http.MethodGet, "/v1/organizations", nil, bearer(session.AccessToken)).refused(http.StatusUnauthorized, "invalid_token")
	s.do(http.MethodPost, "/v1/auth/refresh", nil, sending(cookie)).refused(http.StatusUnauthorized, "invalid_refresh_token")
}

func TestTheOperatorLogsOut(t *testing.T) {
	s := newServer(t)
	session := read[handlers.Refreshed](s.do(http.MethodPost, "/v1/auth/operator", map[string]any{"token": operatorToken}).want(http.StatusOK)).Session
	s.do(http.MethodPost, "/v1/auth/logout", nil, bearer(session.AccessToken)).want(http.StatusNoContent)
	s.clock.Advance(5 * time.Second) // the leeway of clocks
	s.do(http.MethodGet, "/v1/organizations", nil, bearer(session.AccessToken)).refused(http.StatusUnauthorized, "invalid_token")
	s.do(http.MethodPost, "/v1/auth/refresh", map[string]any{"refresh_token": session.RefreshToken}).refused(http.StatusUnauthorized, "invalid_refresh_token")
}

func TestPeopleSeeAndEndTheirOwnLoginsOnly(t *testing.T) {
	s := newServer(t)
	ada, grace := s.signUp("ada"), s.signUp("grace")
	other := read[handlers.LoggedIn](s.do(http.MethodPost, "/v1/auth/login", map[string]any{"email": "ada@example.com", "password": password},
		from("203.0.113.7"), header("User-Agent", "phone/1")).want(http.StatusOK)).Session
	logins := read[handlers.List[handlers.LoginSession]](s.do(http.MethodGet, "/v1/auth/sessions", nil, ada.asPerson).want(http.StatusOK)).Items
	if len(logins) != 2 || logins[0].IP != "203.0.113.7" || logins[0].UserAgent != "phone/1" || logins[0].Current || !logins[1].Current {
		t.Fatalf("%+v", logins)
	}
	s.do(http.MethodDelete, "/v1/auth/sessions/"+string(logins[0].ID), nil, grace.asPerson).refused(http.StatusNotFound, "not_found")
	s.do(http.MethodDelete, "/v1/auth/sessions/"+string(logins[0].ID), nil, ada.asPerson).want(http.StatusNoContent)
	s.do(http.MethodGet, "/v1/auth/me", nil, bearer(other.AccessToken)).refused(http.StatusUnauthorized, "invalid_token")
	if left := read[handlers.List[handlers.LoginSession]](s.do(http.MethodGet, "/v1/auth/sessions", nil, ada.asPerson).want(http.StatusOK)).Items; len(left) != 1 || left[0].ID != logins[1].ID {
		t.Errorf("%+v are left", left)
	}
}

func TestADownloadWorksOnceForAMinuteWithTheRightsOfItsMaker(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	makes := func() string {
		return read[handlers.Download](s.do(http.MethodPost, "/v1/downloads",
			map[string]any{"path": "/v1/usage/export?project_id=" + ada.project + "&format=csv"}, ada.asPerson).want(http.StatusCreated)).URL
	}
	url := makes()
	s.do(http.MethodGet, url+"x", nil).refused(http.StatusNotFound, "not_found")
	if csv := string(s.do(http.MethodGet, url, nil).want(http.StatusOK).body); !strings.HasPrefix(csv, "id,") && !strings.Contains(csv, ",") {
		t.Errorf("it is %q", csv)
	}
	s.do(http.MethodGet, url, nil).refused(http.StatusNotFound, "not_found")

	late := makes()
	s.clock.Advance(time.Minute)
	s.do(http.MethodGet, late, nil).refused(http.StatusNotFound, "not_found")

	grace := s.tenant("grace")
	foreign := read[handlers.Download](s.do(http.MethodPost, "/v1/downloads", map[string]any{"path": "/v1/usage/export?project_id=" + ada.project}, grace.asPerson).want(http.StatusCreated)).URL
	s.do(http.MethodGet, foreign, nil).refused(http.StatusNotFound, "not_found")

	orphan := makes()
	s.do(http.MethodPost, "/v1/auth/logout", nil, ada.asPerson).want(http.StatusNoContent)
	s.do(http.MethodGet, orphan, nil).refused(http.StatusNotFound, "not_found")
}

func TestDownloadsAreOfExportsOnly(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	for _, path := range []string{"/v1/projects", "https://evil.example/v1/usage/export", "//evil.example/v1/usage/export", "v1/usage/export",
		"/v1/usage/export?nonsense=1", "/v1/usage/export?of=facts;format=csv", "/v1/usage/export?format=%zz", "/v1/usage/export?format=csv&format=jsonl", "/v1/usage/../auth/me", "/v1/usage/export%2f", ""} {
		s.do(http.MethodPost, "/v1/downloads", map[string]any{"path": path}, ada.asPerson).refused(http.StatusBadRequest, "invalid_request", "body.path")
	}
}

func TestTheOverviewCountsOpenSessionsAndQuotasNearTheirLimit(t *testing.T) {
	s := newServer(t)
	ada, grace := s.tenant("ada"), s.tenant("grace")
	s.patch(ada.project, map[string]any{"limits": map[string]any{"concurrent_participants": 1}})
	s.joins(ada, "standup", "ann")
	of := func(path string, caller with) []handlers.ProjectOverview {
		return read[handlers.OrganizationOverview](s.do(http.MethodGet, path, nil, caller).want(http.StatusOK)).Items
	}
	got := of("/v1/overview", ada.asPerson)
	if len(got) != 1 || string(got[0].ProjectID) != ada.project || got[0].Participants != 1 || got[0].FirstSessionAt == nil || got[0].LastEventAt == nil ||
		len(got[0].Warnings) != 1 || got[0].Warnings[0].Percent != 100 || len(got[0].HourlyParticipantSeconds) != 24 {
		t.Errorf("%+v", got)
	}
	if got := of("/v1/overview?org_id="+grace.org, asOperator()); len(got) != 1 || got[0].Participants != 0 || got[0].FirstSessionAt != nil {
		t.Errorf("%+v", got)
	}
	s.do(http.MethodGet, "/v1/overview?org_id="+grace.org, nil, ada.asPerson).refused(http.StatusNotFound, "not_found")
	s.do(http.MethodGet, "/v1/overview", nil, asOperator()).refused(http.StatusBadRequest, "invalid_request", "query.org_id")
}

func TestUsageByProjectEqualsTheReportsOfTheProjects(t *testing.T) {
	s := newServer(t)
	ada, grace := s.tenant("ada"), s.tenant("grace")
	s.newProject(ada, "second")
	s.talks(ada, "standup", 10*time.Minute)
	s.talks(grace, "theirs", 20*time.Minute)
	all := read[handlers.OrganizationUsage](s.do(http.MethodGet, "/v1/usage?group_by=project", nil, ada.asPerson).want(http.StatusOK))
	one := read[handlers.UsageReport](s.do(http.MethodGet, "/v1/usage?project_id="+ada.project, nil, ada.asPerson).want(http.StatusOK))
	if len(all.Items) != 2 || all.Totals != one.Totals || all.Totals.ParticipantSeconds == 0 {
		t.Errorf("%+v is not %+v", all, one.Totals)
	}
	s.do(http.MethodGet, "/v1/usage?group_by=project&org_id="+grace.org, nil, ada.asPerson).refused(http.StatusNotFound, "not_found")
	s.do(http.MethodGet, "/v1/usage?org_id="+ada.org, nil, ada.asPerson).refused(http.StatusBadRequest, "invalid_request", "query.org_id")
	s.do(http.MethodGet, "/v1/usage?group_by=project", nil, ada.asOwn).refused(http.StatusForbidden, "person_required")
}

// postbox keeps the mails of an installation.
type postbox struct{ mails []tenancy.Mail }

func (p *postbox) Send(_ context.Context, m tenancy.Mail) error {
	p.mails = append(p.mails, m)
	return nil
}

func TestAForgottenPasswordIsSetAnewOnceWithTheTokenOfTheMail(t *testing.T) {
	box := &postbox{}
	s := newServer(t, func(o *setup) { o.mailer = box })
	ada := s.signUp("ada")
	forgot := func(email string) {
		t.Helper()
		s.do(http.MethodPost, "/v1/auth/password/forgot", map[string]any{"email": email}).want(http.StatusAccepted)
		if err := s.PasswordResets.Send(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	forgot("nobody@example.com")
	if len(box.mails) != 0 {
		t.Fatalf("%+v", box.mails)
	}
	forgot("ADA@example.com")
	forgot("ada@example.com") // in the same minute
	if len(box.mails) != 1 || box.mails[0].To != "ada@example.com" {
		t.Fatalf("%+v", box.mails)
	}
	token := regexp.MustCompile(`usr_\S+`).FindString(box.mails[0].Text)
	reset := func(token, password string) *answer {
		return s.do(http.MethodPost, "/v1/auth/password/reset", map[string]any{"token": token, "password": password})
	}
	reset(token[:len(token)-1]+"x", "another one of theirs").refused(http.StatusBadRequest, "invalid_reset_token", "body.token")
	reset(strings.Replace(token, ".0.", ".1.", 1), "another one of theirs").refused(http.StatusBadRequest, "invalid_reset_token", "body.token")
	reset(token, "another one of theirs").want(http.StatusNoContent)
	reset(token, "a third one of theirs").refused(http.StatusBadRequest, "invalid_reset_token", "body.token")
	s.do(http.MethodGet, "/v1/auth/me", nil, ada.asPerson).refused(http.StatusUnauthorized, "invalid_token")
	s.do(http.MethodPost, "/v1/auth/refresh", map[string]any{"refresh_token": ada.session.RefreshToken}).refused(http.StatusUnauthorized, "invalid_refresh_token")
	s.do(http.MethodPost, "/v1/auth/login", map[string]any{"email": "ada@example.com", "password": password}).refused(http.StatusUnauthorized, "invalid_credentials")
	s.do(http.MethodPost, "/v1/auth/login", map[string]any{"email": "ada@example.com", "password": "another one of theirs"}).want(http.StatusOK)
	trail := s.trailOf(ada.org)
	if e := trail[1]; e.Action != "password.reset" || e.Actor.ID != ada.user || strings.Contains(string(e.After), "another") {
		t.Errorf("%+v", e)
	}
}

func TestTheTokenOfAForgottenPasswordWorksForAnHour(t *testing.T) {
	box := &postbox{}
	s := newServer(t, func(o *setup) { o.mailer = box })
	s.signUp("ada")
	s.do(http.MethodPost, "/v1/auth/password/forgot", map[string]any{"email": "ada@example.com"}).want(http.StatusAccepted)
	if err := s.PasswordResets.Send(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.clock.Advance(time.Hour)
	s.do(http.MethodPost, "/v1/auth/password/reset", map[string]any{"token": regexp.MustCompile(`usr_\S+`).FindString(box.mails[0].Text), "password": "another one of theirs"}).
		refused(http.StatusBadRequest, "invalid_reset_token", "body.token")
}

func TestTheListOfUsageSessionsIsNarrowedByEachOfItsParameters(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	joined := s.clock.Now()
	s.joins(ada, "standup", "ann")
	s.joins(ada, "standup", "bob")
	s.clock.Advance(time.Minute)
	s.leaves(ada, "standup", "ann", joined)
	s.leaves(ada, "standup", "bob", joined)
	later := s.clock.Now().UTC().Format(time.RFC3339)
	s.joins(ada, "retro", "cleo")
	list := func(query string) []handlers.UsageSession {
		return read[handlers.List[handlers.UsageSession]](s.do(http.MethodGet, "/v1/usage/sessions?limit=100&project_id="+ada.project+query, nil, ada.asPerson).want(http.StatusOK)).Items
	}
	all, open, ended, rooms, after, before := list(""), list("&open=true"), list("&open=false"), list("&subject=room"), list("&start="+later), list("&end="+later)
	if len(open) != 1 || open[0].RoomName != "retro" || len(ended) != len(all)-1 || len(after) != 1 || len(before) != len(all)-1 {
		t.Errorf("of %d: %d open, %d ended, %d after, %d before", len(all), len(open), len(ended), len(after), len(before))
	}
	if len(rooms) == 0 || rooms[0].Subject != "room" {
		t.Errorf("rooms: %+v", rooms)
	}
	if by := list("&room_sid=" + open[0].RoomSID); len(by) != 1 || by[0].ID != open[0].ID {
		t.Errorf("by its room: %+v", by)
	}
	if people, agents := list("&kind=standard"), list("&kind=AGENT"); len(people) != len(all) || len(agents) != 0 {
		t.Errorf("%d people and %d agents", len(people), len(agents))
	}
	s.do(http.MethodGet, "/v1/usage/sessions?subject=chair&open=perhaps&start=now&project_id="+ada.project, nil, ada.asPerson).
		refused(http.StatusBadRequest, "invalid_request", "query.subject", "query.open", "query.start")
}

func TestABrowserIsSentToTheDashboardAndAnythingElseGetsLinks(t *testing.T) {
	s := newServer(t)
	a := s.do(http.MethodGet, "/", nil, header("Accept", "text/html,application/xhtml+xml;q=0.9")).want(http.StatusSeeOther)
	if got := a.header.Get("Location"); got != "/dashboard/" {
		t.Errorf("to %q", got)
	}
	if links := read[handlers.Links](s.do(http.MethodGet, "/", nil, header("Accept", "*/*")).want(http.StatusOK)).Links; links.Dashboard == nil {
		t.Errorf("%+v", links)
	}
}

func TestNoInlineScriptOfTheDocsRunsButTheirOwn(t *testing.T) {
	s := newServer(t)
	policy := s.do(http.MethodGet, "/docs", nil).want(http.StatusOK).header.Get("Content-Security-Policy")
	script, _, _ := strings.Cut(policy[strings.Index(policy, "script-src"):], ";")
	if strings.Contains(script, "unsafe-inline") || !strings.Contains(script, "'sha256-") {
		t.Errorf("the policy is %q", policy)
	}
}
