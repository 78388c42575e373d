package composition_test

import (
	"testing"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/auth"
	"pulse-control-plane/utils/secret"
)

const newPassword = "another password of the tests"

func TestChangingThePasswordEndsTheOtherSessionsAndKeepsThisOne(t *testing.T) {
	p := newPeople(t)
	mine := p.found().Login
	other, err := p.login(ownersEmail, ownersPassword, anIP)
	if err != nil {
		t.Fatal(err)
	}
	p.actor(other)
	if err := p.sessions.ChangePassword(t.Context(), p.actor(mine), auth.PasswordChange{
		Current: secret.New(ownersPassword), New: secret.New(newPassword), IP: anIP}); err != nil {
		t.Fatal(err)
	}
	p.actor(mine)
	if _, err := p.refresh(mine.RefreshToken); err != nil {
		t.Error(err)
	}
	_, err = p.sessions.Person(t.Context(), other.AccessToken)
	wantCode(t, err, "invalid_token")
	_, err = p.refresh(other.RefreshToken)
	wantCode(t, err, "invalid_refresh_token")
	_, err = p.login(ownersEmail, ownersPassword, anIP)
	wantCode(t, err, "invalid_credentials")
	if _, err := p.login(ownersEmail, newPassword, anIP); err != nil {
		t.Error(err)
	}
}

func TestAConcurrentLoginWithTheOldPasswordDoesNotLast(t *testing.T) {
	p := newPeople(t)
	mine := p.found()
	user, err := database.NewUsers(p.engine).ByEmail(t.Context(), ownersEmail)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.sessions.ChangePassword(t.Context(), p.actor(mine.Login), auth.PasswordChange{
		Current: secret.New(ownersPassword), New: secret.New(newPassword), IP: anIP}); err != nil {
		t.Fatal(err)
	}
	late, err := p.sessions.Begin(t.Context(), user, models.Origin{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = p.sessions.Person(t.Context(), late.AccessToken)
	wantCode(t, err, "invalid_token")
}

func TestAWrongCurrentPasswordIsRefusedAndThrottled(t *testing.T) {
	p := newPeople(t)
	actor := p.actor(p.found().Login)
	change := auth.PasswordChange{Current: secret.New("wrong password"), New: secret.New(newPassword), IP: anIP}
	for range freeAccountFailures + 1 {
		if err := p.sessions.ChangePassword(t.Context(), actor, change); !models.IsKind(err, models.KindInvalid) {
			t.Fatalf("got %v", err)
		}
	}
	change.Current = secret.New(ownersPassword)
	wantCode(t, p.sessions.ChangePassword(t.Context(), actor, change), "too_many_attempts")
}

func TestPasswordsBeyondBcryptsLengthAreNotTruncated(t *testing.T) {
	p := newPeople(t)
	actor := p.actor(p.found().Login)
	long := "0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"
	if err := p.sessions.ChangePassword(t.Context(), actor, auth.PasswordChange{
		Current: secret.New(ownersPassword), New: secret.New(long + "a"), IP: anIP}); err != nil {
		t.Fatal(err)
	}
	_, err := p.login(ownersEmail, long+"b", anIP)
	wantCode(t, err, "invalid_credentials")
	if _, err := p.login(ownersEmail, long+"a", anIP); err != nil {
		t.Error(err)
	}
}

func TestMeReturnsTheCallerAndTheirOrganization(t *testing.T) {
	p := newPeople(t)
	org := p.found()
	me, err := p.sessions.Me(t.Context(), p.actor(org.Login))
	if err != nil || me.User.ID != org.User.ID || me.User.Role != models.RoleOwner || me.Organization.ID != org.Organization.ID {
		t.Errorf("%+v, %v", me, err)
	}
}
