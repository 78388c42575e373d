package auth

import (
	"context"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/audit"
	"pulse-control-plane/services/paging"
)

// Logins reads a page of the caller's sessions that have not ended.
func (s *LoginSessions) Logins(ctx context.Context, actor *models.Principal, p paging.Request) (paging.Page[models.Session], error) {
	if err := actor.May(models.ActionAccountRead); err != nil {
		return paging.Page[models.Session]{}, err
	}
	return paging.ByID(s.cursors, actor, "logins|"+string(actor.UserID), p, func(at database.Page) ([]models.Session, error) {
		return s.sessions.Of(ctx, actor.Tenant(), actor.UserID, s.now(), at)
	}, func(l models.Session) string { return string(l.ID) })
}

// EndLogin ends one of the caller's sessions; not_found if it is not theirs or
// has ended.
func (s *LoginSessions) EndLogin(ctx context.Context, actor *models.Principal, id models.SessionID) error {
	if err := actor.May(models.ActionAccountUpdate); err != nil {
		return err
	}
	session, err := s.sessions.Get(ctx, actor.Tenant(), id)
	if err != nil {
		return err
	}
	if session.UserID != actor.UserID {
		return models.NotFound()
	}
	return s.endAudited(ctx, actor, "session.ended", actor.OrgID, id)
}

// Rename changes the caller's name.
func (s *LoginSessions) Rename(ctx context.Context, actor *models.Principal, name string) (out Account, err error) {
	if err := actor.May(models.ActionAccountUpdate); err != nil {
		return Account{}, err
	}
	before, err := s.Me(ctx, actor)
	if err != nil {
		return Account{}, err
	}
	entry, err := s.trail.Begin(ctx, actor, audit.Event{
		OrgID: actor.OrgID, Action: "account.updated", Type: "user", ID: string(actor.UserID),
		Before: map[string]any{"name": before.User.Name}, After: map[string]any{"name": name},
	})
	if err != nil {
		return Account{}, err
	}
	defer entry.End(ctx, &err)
	user, err := s.users.SetName(ctx, actor.Tenant(), actor.UserID, name, s.now())
	user.Role = before.Organization.RoleOf(&user)
	return Account{User: user, Organization: before.Organization}, err
}
