package auth

import (
	"context"
	"errors"

	"pulse-control-plane/models"
	"pulse-control-plane/services/audit"
	"pulse-control-plane/utils/hashing"
	"pulse-control-plane/utils/secret"
)

// Account is a person and their organization.
type Account struct {
	User         models.User
	Organization models.Organization
}

// Me reads the caller's account.
func (s *LoginSessions) Me(ctx context.Context, actor *models.Principal) (Account, error) {
	if err := actor.May(models.ActionAccountRead); err != nil {
		return Account{}, err
	}
	org, err := s.orgs.Get(ctx, actor.Tenant(), actor.OrgID)
	if err != nil {
		return Account{}, err
	}
	user, err := s.users.Get(ctx, actor.Tenant(), actor.UserID)
	user.Role = org.RoleOf(&user)
	return Account{User: user, Organization: org}, err
}

// PasswordChange replaces the caller's password; IP is where the request came from.
type PasswordChange struct {
	Current, New secret.Value
	IP           string
}

// ChangePassword replaces the caller's password and ends their other login
// sessions. Errors: invalid for a wrong current password, rate_limited as Login,
// conflict concurrent_change for two changes at the same time.
func (s *LoginSessions) ChangePassword(ctx context.Context, actor *models.Principal, c PasswordChange) (err error) {
	if err := actor.May(models.ActionAccountUpdate); err != nil {
		return err
	}
	user, err := s.users.Get(ctx, actor.Tenant(), actor.UserID)
	if err != nil {
		return err
	}
	// A stolen access token must not be a way to guess the password.
	// It has its own allowance: strangers' guesses are no business of a session.
	attempt, err := s.throttle.begin(ctx, user.Email, c.IP, "session "+string(actor.SessionID))
	if err != nil {
		return err
	}
	ctx = hashing.WithShare(ctx, attempt.ip)
	if err := s.hasher.ComparePassword(ctx, user.PasswordHash, c.Current); err != nil {
		if !errors.Is(err, hashing.ErrMismatch) {
			attempt.undo(ctx)
			return err
		}
		return models.Invalid(models.FieldError{Location: "current_password", Message: "is not the current password"})
	}
	attempt.succeed(ctx)
	if c.New.Equal(c.Current) {
		return models.Invalid(models.FieldError{Location: "new_password", Message: "must not be the current password"})
	}
	hash, err := s.hasher.HashPassword(ctx, c.New)
	if err != nil {
		return err
	}
	entry, err := s.trail.Begin(ctx, actor, audit.Event{
		OrgID: user.OrgID, Action: "password.changed", Type: "user", ID: string(user.ID),
		Before: map[string]any{"password": c.Current}, After: map[string]any{"password": c.New}, // redacted by their type
	})
	if err != nil {
		return err
	}
	defer entry.End(ctx, &err)
	// This write ends every login session of the person; the current one is then
	// renewed. A crash in between costs a login, but no stolen session survives.
	user, err = s.users.SetPassword(ctx, actor.Tenant(), user.ID, user.PasswordVersion, hash, s.now())
	if models.IsKind(err, models.KindNotFound) {
		return models.Conflict("concurrent_change", "The password was changed at the same time.")
	}
	if err != nil {
		return err
	}
	err = errors.Join(s.sessions.KeepAfterPassword(ctx, user.ID, actor.SessionID, user.PasswordVersion),
		s.sessions.EndOthers(ctx, user.ID, actor.SessionID)) // of an old password already; so that none is listed
	s.changes.Publish(models.UserChanged(user.ID))
	return err
}
