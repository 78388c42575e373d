package composition_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services"
	"pulse-control-plane/services/auth"
	"pulse-control-plane/utils/secret"
)

func TestARefreshTokenIsReplacedAtEachUse(t *testing.T) {
	p := newPeople(t)
	first := p.found().Login
	second, err := p.refresh(first.RefreshToken)
	if err != nil || second.RefreshToken == first.RefreshToken {
		t.Fatalf("%v, the same token: %v", err, second.RefreshToken == first.RefreshToken)
	}
	p.actor(second)
	if _, err := p.refresh(second.RefreshToken); err != nil {
		t.Error(err)
	}
}

func TestAReusedRefreshTokenEndsItsLoginSessionEverywhere(t *testing.T) {
	p := newPeople(t)
	first := p.found().Login
	other, err := p.login(ownersEmail, ownersPassword, anIP)
	if err != nil {
		t.Fatal(err)
	}
	second, err := p.refresh(first.RefreshToken)
	if err != nil {
		t.Fatal(err)
	}
	p.actor(second)
	p.clock.Advance(refreshRace)
	_, err = p.refresh(first.RefreshToken)
	wantCode(t, err, "refresh_token_reused")
	_, err = p.refresh(second.RefreshToken)
	wantCode(t, err, "invalid_refresh_token")
	_, err = p.sessions.Person(t.Context(), second.AccessToken)
	wantCode(t, err, "invalid_token")
	p.actor(other) // another login session of the person continues
}

func TestAnOlderRefreshTokenEndsTheLoginSessionEvenWithinTheRace(t *testing.T) {
	p := newPeople(t)
	first := p.found().Login
	second, err := p.refresh(first.RefreshToken)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.refresh(second.RefreshToken); err != nil {
		t.Fatal(err)
	}
	_, err = p.refresh(first.RefreshToken)
	wantCode(t, err, "refresh_token_reused")
}

func TestRacingTabsGetTheSameSuccessorAndRemainLoggedIn(t *testing.T) {
	p := newPeople(t)
	first := p.found().Login
	const tabs = 32
	logins, errs := make([]auth.Login, tabs), make([]error, tabs)
	var all sync.WaitGroup
	for i := range tabs {
		all.Go(func() { logins[i], errs[i] = p.refresh(first.RefreshToken) })
	}
	all.Wait()
	for i := range tabs {
		if errs[i] != nil || logins[i].RefreshToken != logins[0].RefreshToken {
			t.Fatalf("tab %d: %v, another token: %v", i, errs[i], logins[i].RefreshToken != logins[0].RefreshToken)
		}
		p.actor(logins[i])
	}
	p.clock.Advance(refreshRace - time.Millisecond)
	if late, err := p.refresh(first.RefreshToken); err != nil || late.RefreshToken != logins[0].RefreshToken {
		t.Errorf("the last moment of the race: %v", err)
	}
	p.clock.Advance(time.Hour)
	if _, err := p.refresh(logins[0].RefreshToken); err != nil {
		t.Error(err)
	}
}

func TestAForgedRefreshTokenEndsNoLoginSession(t *testing.T) {
	p := newPeople(t)
	login := p.found().Login
	parts := strings.Split(login.RefreshToken, ".")
	for _, token := range []string{"", "x", parts[0], parts[0] + ".", parts[0] + "." + parts[1],
		parts[0] + "." + strings.Repeat("A", 43) + "." + parts[2], login.RefreshToken + "x", login.RefreshToken + "\n", "ses_" + parts[1]} {
		_, err := p.refresh(token)
		wantCode(t, err, "invalid_refresh_token")
	}
	if _, err := p.refresh(login.RefreshToken); err != nil {
		t.Error(err)
	}
}

func TestARefreshTokenIsValidForThirtyDays(t *testing.T) {
	p := newPeople(t)
	login := p.found().Login
	p.clock.Advance(auth.RefreshTokenTTL - time.Second)
	login, err := p.refresh(login.RefreshToken)
	if err != nil {
		t.Fatal(err)
	}
	p.clock.Advance(auth.RefreshTokenTTL)
	_, err = p.refresh(login.RefreshToken)
	wantCode(t, err, "invalid_refresh_token")
}

func TestRefreshTokensSurviveARotationOfTheSigningSecret(t *testing.T) {
	p := newPeople(t)
	login := p.found().Login
	p.build(nil, "a new secret", "jwt secret of the tests")
	second, err := p.refresh(login.RefreshToken)
	if err != nil {
		t.Fatal(err)
	}
	p.build(nil, "a new secret")
	if _, err := p.refresh(second.RefreshToken); err != nil {
		t.Error(err)
	}
}

func TestOnlyTheHashOfARefreshTokenIsStored(t *testing.T) {
	p := newPeople(t)
	first := p.found().Login
	second, err := p.refresh(first.RefreshToken)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	err = p.engine.Find(t.Context(), "sessions", database.Query{Limit: 10}, func(raw bson.Raw) error {
		seen++
		for _, token := range []string{first.RefreshToken, second.RefreshToken} {
			if strings.Contains(raw.String(), strings.Split(token, ".")[1]) {
				t.Error("a token is kept")
			}
		}
		return nil
	})
	if err != nil || seen != 1 {
		t.Errorf("%d sessions, %v", seen, err)
	}
}

func TestARefreshOfASuspendedOrganizationIsForbidden(t *testing.T) {
	p := newPeople(t)
	org := p.found()
	if _, err := p.organizations.Suspend(t.Context(), operator(), org.Organization.ID); err != nil {
		t.Fatal(err)
	}
	_, err := p.refresh(org.Login.RefreshToken)
	wantCode(t, err, "organization_suspended")
	if _, err := p.organizations.Unsuspend(t.Context(), operator(), org.Organization.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := p.refresh(org.Login.RefreshToken); err != nil {
		t.Error(err)
	}
}

func TestLogoutEndsTheSessionAtOnceAndElsewhereAtTheNextExchange(t *testing.T) {
	p := newPeople(t)
	here := p.process(shared{p.engine}, nil, "jwt secret of the tests")
	elsewhere := p.process(shared{p.engine}, nil, "jwt secret of the tests")
	login := p.found().Login
	for _, replica := range []*services.Services{here, elsewhere} {
		if err := replica.Changes.Exchange(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := replica.LoginSessions.Person(t.Context(), login.AccessToken); err != nil {
			t.Fatal(err)
		}
	}
	if err := here.LoginSessions.Logout(t.Context(), p.actor(login)); err != nil {
		t.Fatal(err)
	}
	_, err := here.LoginSessions.Person(t.Context(), login.AccessToken)
	wantCode(t, err, "invalid_token")
	_, err = here.LoginSessions.Refresh(t.Context(), secret.New(login.RefreshToken), models.Origin{IP: anIP})
	wantCode(t, err, "invalid_refresh_token")
	if err := errors.Join(here.Changes.Exchange(t.Context()), elsewhere.Changes.Exchange(t.Context())); err != nil {
		t.Fatal(err)
	}
	_, err = elsewhere.LoginSessions.Person(t.Context(), login.AccessToken)
	wantCode(t, err, "invalid_token")
	if err := p.sessions.Logout(t.Context(), operator()); !models.IsKind(err, models.KindForbidden) {
		t.Errorf("the operator has no session to end: %v", err)
	}
}
