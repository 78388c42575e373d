package auth

import (
	"context"
	"errors"

	"pulse-control-plane/models"
	"pulse-control-plane/services/audit"
	"pulse-control-plane/utils/hashing"
	"pulse-control-plane/utils/secret"
)

// LoginInput is an email address, a password, and where the request came from.
type LoginInput struct {
	Email    string
	Password secret.Value
	// Device is the token that an earlier login gave this device, if it has one.
	Device string
	Origin models.Origin
}

// Login checks an email address and password. Errors: unauthenticated
// (invalid_credentials) for an unknown address and a wrong password alike, after
// the same work; rate_limited (too_many_attempts), for both alike, after too many
// failures; forbidden organization_suspended only with the right password.
//
// A failed login writes no audit entry: unauthenticated callers could otherwise
// grow a tenant's trail. The throttle and the log protect against guessing.
func (s *LoginSessions) Login(ctx context.Context, in LoginInput) (user models.User, login Login, err error) {
	email := models.FoldEmail(in.Email)
	device := s.devices.read(email, in.Device)
	attempt, err := s.beginAttempt(ctx, email, in.Origin.IP, device)
	if err != nil {
		return models.User{}, Login{}, err
	}
	user, err = s.checkPassword(hashing.WithShare(ctx, attempt.ip), email, in.Password)
	switch {
	case models.HasCode(err, badCredentials):
		return models.User{}, Login{}, err
	case err != nil:
		attempt.undo(ctx)
		return models.User{}, Login{}, err
	}
	attempt.succeed(ctx)
	org, err := s.orgs.Get(ctx, models.TenantOf(user.OrgID), user.OrgID)
	switch {
	case models.IsKind(err, models.KindNotFound):
		return models.User{}, Login{}, errBadCredentials()
	case err != nil:
		return models.User{}, Login{}, err
	case org.Suspended():
		return models.User{}, Login{}, ErrSuspended()
	}
	user.Role = org.RoleOf(&user)
	id := newSessionID(ctx)
	entry, err := s.trail.Begin(ctx, &models.Principal{
		Kind: models.CallerPerson, OrgID: user.OrgID, UserID: user.ID, Role: user.Role, SessionID: id, Origin: in.Origin,
	}, audit.Event{
		OrgID: user.OrgID, Action: "session.created", Type: "session", ID: string(id), After: map[string]any{"user_id": user.ID},
	})
	if err != nil {
		return models.User{}, Login{}, err
	}
	defer entry.End(ctx, &err)
	login, err = s.begin(ctx, user, id, in.Origin)
	if device != "" {
		login.Device = in.Device
	}
	return user, login, err
}

// checkPassword returns the person with an address and password.
func (s *LoginSessions) checkPassword(ctx context.Context, email string, password secret.Value) (models.User, error) {
	user, err := s.users.ByEmail(ctx, email)
	switch {
	case models.IsKind(err, models.KindNotFound):
		err = s.hasher.CompareDummy(ctx, password)
	case err != nil:
		return models.User{}, err
	default:
		err = s.hasher.ComparePassword(ctx, user.PasswordHash, password)
	}
	if err != nil {
		if !errors.Is(err, hashing.ErrMismatch) {
			return models.User{}, err
		}
		return models.User{}, errBadCredentials()
	}
	return user, nil
}

const badCredentials = "invalid_credentials"

func errBadCredentials() *models.Error {
	return models.Unauthenticated(badCredentials, "The email address or the password is wrong.")
}
