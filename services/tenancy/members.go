package tenancy

import (
	"context"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/audit"
	"pulse-control-plane/services/auth"
	"pulse-control-plane/services/lookup"
	"pulse-control-plane/services/paging"
	"pulse-control-plane/utils/cursor"
	"pulse-control-plane/utils/required"
)

// Members manages the members of organizations and their roles.
type Members struct{ c MembersConfig }

// MembersConfig of NewMembers; every field is required.
type MembersConfig struct {
	Organizations *database.Organizations
	Users         *database.Users
	APIKeys       *database.APIKeys
	// Invitations that a person may not give out any more are revoked.
	Invitations *database.Invitations
	Sessions    *auth.LoginSessions
	KeyAuth     *auth.Keys
	Cursors     *cursor.Codec
	// Changes hears what every write changed.
	Changes *lookup.Changes
	// Trail records every change.
	Trail *audit.Trail
	Now   func() time.Time
}

// NewMembers builds the service. It fails if a required field is missing.
func NewMembers(c MembersConfig) (*Members, error) {
	return &Members{c}, required.Fields(c)
}

// List reads a page of the members of an organization.
func (s *Members) List(ctx context.Context, actor *models.Principal, id models.OrganizationID, p paging.Request) (paging.Page[models.User], error) {
	if err := actor.May(models.ActionMembersRead); err != nil {
		return paging.Page[models.User]{}, err
	}
	org, err := s.c.Organizations.Get(ctx, actor.Tenant(), id)
	if err != nil {
		return paging.Page[models.User]{}, err
	}
	page, err := paging.ByID(s.c.Cursors, actor, "members|"+string(id), p, func(at database.Page) ([]models.User, error) {
		return s.c.Users.List(ctx, actor.Tenant(), id, at)
	}, func(u models.User) string { return string(u.ID) })
	for i := range page.Items {
		page.Items[i].Role = org.RoleOf(&page.Items[i])
	}
	return page, err
}

// Get reads one member of an organization.
func (s *Members) Get(ctx context.Context, actor *models.Principal, id models.OrganizationID, user models.UserID) (models.User, error) {
	if err := actor.May(models.ActionMembersRead); err != nil {
		return models.User{}, err
	}
	_, member, err := s.read(ctx, actor, id, user)
	return member, err
}

// read returns an organization and one of its members. It reads the organization
// first, so that its MembersVersion covers the member, see SetMembers.
func (s *Members) read(ctx context.Context, actor *models.Principal, id models.OrganizationID, user models.UserID) (models.Organization, models.User, error) {
	return s.find(ctx, actor.Tenant(), id, user)
}

func (s *Members) find(ctx context.Context, t models.Tenant, id models.OrganizationID, user models.UserID) (models.Organization, models.User, error) {
	org, err := s.c.Organizations.Get(ctx, t, id)
	if err != nil {
		return models.Organization{}, models.User{}, err
	}
	member, err := s.c.Users.Member(ctx, t, id, user)
	member.Role = org.RoleOf(&member)
	return org, member, err
}

// ChangeRole changes a member's role. Granting and revoking the role owner requires
// the role owner; conflict last_owner for the last owner.
func (s *Members) ChangeRole(ctx context.Context, actor *models.Principal, id models.OrganizationID, user models.UserID, role models.Role) (member models.User, err error) {
	if err := actor.May(models.ActionMembersWrite); err != nil {
		return models.User{}, err
	}
	err = s.c.Trail.Reapply(ctx, string(id), func(ctx context.Context) error {
		member, err = s.changeRole(ctx, actor, id, user, role)
		return err
	})
	s.c.Changes.Publish(models.UserChanged(user))
	if err != nil {
		return member, err
	}
	return member, s.revokeInvitations(ctx, id, user, member.Role)
}

// changeRole changes the role that a member has now; conflict database.ChangedSince.
// The role is in two documents: the organization names its owners, the user has the
// role of those who are none. Every change writes the user as read, so that of two
// changes the second finds what the first made, also if one of them is about the owners.
func (s *Members) changeRole(ctx context.Context, actor *models.Principal, id models.OrganizationID, user models.UserID, role models.Role) (member models.User, err error) {
	org, member, err := s.read(ctx, actor, id, user)
	if err != nil {
		return models.User{}, err
	}
	was := member.Role
	entry, err := s.c.Trail.Begin(ctx, actor, audit.Event{
		OrgID: id, Action: "member.role_changed", Type: "user", ID: string(user), Before: map[string]any{"role": was}, After: map[string]any{"role": role},
	})
	if err != nil {
		return models.User{}, err
	}
	defer entry.End(ctx, &err)
	if was == role {
		return member, nil
	}
	if was == models.RoleOwner || role == models.RoleOwner {
		if err := actor.May(models.ActionOwnersWrite); err != nil {
			return models.User{}, err
		}
	}
	if was == models.RoleOwner && lastOwner(&org, user) {
		return models.User{}, errLastOwner()
	}
	var written models.User
	if role == models.RoleOwner {
		written, err = s.c.Users.Touch(ctx, actor.Tenant(), &member, s.c.Now())
	} else { // until the organization's list of owners changes, this has no effect on an owner
		written, err = s.c.Users.SetRole(ctx, actor.Tenant(), &member, role, s.c.Now())
	}
	if err != nil {
		return models.User{}, err
	}
	switch written.Role = role; {
	case role == models.RoleOwner:
		err = s.addOwner(ctx, &org, user)
	case was == models.RoleOwner:
		err = s.setMembers(ctx, &org, without(org.OwnerIDs, user), org.LeavingIDs)
	}
	return written, err
}

// RemoveInput is a member to remove from an organization.
type RemoveInput struct {
	OrgID  models.OrganizationID
	UserID models.UserID
	// RevokeKeys also deletes the API keys that the person created.
	RevokeKeys bool
}

// Remove removes a member, or lets the caller leave: their login sessions end and
// their email address can be used again. Removing an owner requires the role owner;
// conflict last_owner for the last owner.
func (s *Members) Remove(ctx context.Context, actor *models.Principal, in RemoveInput) (err error) {
	action := models.ActionMembersWrite
	if actor.UserID == in.UserID {
		action = models.ActionMembersLeave
	}
	if err := actor.May(action); err != nil {
		return err
	}
	if in.RevokeKeys {
		if err := actor.May(models.ActionKeysWrite); err != nil {
			return err
		}
	}
	owner := false
	return s.c.Trail.Reapply(ctx, "", func(ctx context.Context) error { return s.remove(ctx, actor, in, &owner) })
}

// remove removes a member with the role they have now, or had as an owner before a
// change came between; conflict database.ChangedSince.
func (s *Members) remove(ctx context.Context, actor *models.Principal, in RemoveInput, owner *bool) (err error) {
	org, member, err := s.read(ctx, actor, in.OrgID, in.UserID)
	if err != nil {
		return err
	}
	if *owner {
		member.Role = models.RoleOwner
	}
	entry, err := s.c.Trail.Begin(ctx, actor, audit.Event{
		OrgID: in.OrgID, Action: "member.removed", Type: "user", ID: string(in.UserID), Before: map[string]any{"email": member.Email, "role": member.Role}, After: map[string]any{"keys_revoked": in.RevokeKeys},
	})
	if err != nil {
		return err
	}
	defer entry.End(ctx, &err)
	if member.Role == models.RoleOwner && !*owner {
		if err := actor.May(models.ActionOwnersWrite); err != nil {
			return err
		}
		if lastOwner(&org, in.UserID) {
			return errLastOwner()
		}
	}
	// From here on the person can't become an owner, so the owners counted now
	// remain after the person is removed.
	if err := s.setMembers(ctx, &org, without(org.OwnerIDs, in.UserID), with(org.LeavingIDs, in.UserID)); err != nil {
		return err
	}
	*owner = member.Role == models.RoleOwner
	if err := s.revokeKeys(ctx, actor, in); err != nil {
		return err
	}
	err = s.c.Users.Remove(ctx, actor.Tenant(), &member, s.c.Now())
	s.c.Changes.Publish(models.UserChanged(in.UserID))
	if err != nil {
		return err
	}
	// For keys created during the first sweep.
	if err := s.revokeKeys(ctx, actor, in); err != nil {
		return err
	}
	if err := s.revokeInvitations(ctx, in.OrgID, in.UserID, ""); err != nil {
		return err
	}
	return s.c.Trail.Reapply(ctx, "", func(ctx context.Context) error {
		org, err := s.c.Organizations.Get(ctx, models.TenantOf(in.OrgID), in.OrgID)
		if err != nil {
			return err
		}
		return s.setMembers(ctx, &org, org.OwnerIDs, without(org.LeavingIDs, in.UserID))
	})
}

// revokeInvitations closes the open invitations a person gave out that somebody
// of their role, or ("") of none, may not give out. Accept checks that too: an
// invitation made while this ran is of no use.
func (s *Members) revokeInvitations(ctx context.Context, org models.OrganizationID, user models.UserID, role models.Role) error {
	now := s.c.Now()
	open, err := s.c.Invitations.List(ctx, org, now, database.Page{Limit: models.MaxPendingInvitations})
	if err != nil {
		return err
	}
	for i := range open {
		if open[i].InvitedBy != user || open[i].MayBeGivenBy(role) {
			continue
		}
		if err := s.c.Invitations.Revoke(ctx, org, open[i].ID, now); err != nil && !models.IsKind(err, models.KindNotFound) {
			return err
		}
	}
	return nil
}

func (s *Members) revokeKeys(ctx context.Context, actor *models.Principal, in RemoveInput) error {
	if !in.RevokeKeys {
		return nil
	}
	return deletion{s.c.Trail, s.c.Changes, actor}.keysBy(ctx, s.c.APIKeys, in.OrgID, in.UserID)
}
