package tenancy

import (
	"context"
	"slices"
	"time"

	"pulse-control-plane/models"
	"pulse-control-plane/services/audit"
	"pulse-control-plane/services/auth"
	"pulse-control-plane/utils/clientip"
	"pulse-control-plane/utils/hashing"
	"pulse-control-plane/utils/intent"
	"pulse-control-plane/utils/secret"
)

// AcceptInput accepts an invitation; Origin is where the request came from.
type AcceptInput struct {
	Token    secret.Value
	Name     string
	Password secret.Value
	Origin   models.Origin
}

// Accept creates the invited person as a member and logs them in. Errors: invalid
// (invalid_invitation) for an unknown, used, replaced, revoked or expired token, or
// if the inviter no longer has the right to invite; conflict email_taken if the
// address has an account; forbidden organization_suspended. Only valid tokens write
// audit entries: guessed ones must not grow a tenant's trail.
func (s *Invitations) Accept(ctx context.Context, in AcceptInput) (out SignedUp, err error) {
	now := s.c.Now()
	userID := models.UserID(intent.ID(ctx, models.UserPrefix))
	invitation, err := s.offered(ctx, in.Token, userID, now)
	if err != nil {
		return SignedUp{}, orInvalidInvitation(err)
	}
	org, err := s.c.Organizations.Get(ctx, models.TenantOf(invitation.OrgID), invitation.OrgID)
	switch {
	case err != nil:
		return SignedUp{}, orInvalidInvitation(err)
	case org.Suspended():
		return SignedUp{}, auth.ErrSuspended()
	}
	if invitation.AcceptedBy == userID { // an earlier attempt came as far
		made, err := s.c.Users.Get(ctx, models.TenantOf(org.ID), userID)
		if err == nil {
			return s.welcome(ctx, &invitation, made, in.Origin)
		}
		if !models.IsKind(err, models.KindNotFound) {
			return SignedUp{}, err
		}
	}
	if err := s.vouched(ctx, &invitation); err != nil {
		return SignedUp{}, err
	}
	hash, err := s.c.Hasher.HashPassword(hashing.WithShare(ctx, clientip.BucketOf(in.Origin.IP)), in.Password)
	if err != nil {
		return SignedUp{}, err
	}
	user := models.User{
		ID: userID, OrgID: org.ID, Email: invitation.Email, Name: in.Name,
		Role: invitation.Role, PasswordHash: hash, CreatedAt: now, UpdatedAt: now,
	}
	entry, err := s.c.Trail.Begin(ctx, &models.Principal{
		Kind: models.CallerPerson, OrgID: org.ID, UserID: user.ID, Role: user.Role, Origin: in.Origin,
	}, audit.Event{
		OrgID: org.ID, Action: "invitation.accepted", Type: "invitation", ID: string(invitation.ID),
		After: map[string]any{"user_id": user.ID, "email": user.Email, "name": user.Name, "role": user.Role},
	})
	if err != nil {
		return SignedUp{}, err
	}
	defer entry.End(ctx, &err)
	// Closed first, so that it is accepted at most once: a crash after this costs a
	// new invitation.
	if invitation.AcceptedBy != userID {
		if _, err := s.c.Invitations.Accept(ctx, invitation.ID, userID, now); err != nil {
			return SignedUp{}, orInvalidInvitation(err)
		}
	}
	// Checked again after closing it: a change of the inviter's rights between the
	// two checks found no open invitation to revoke.
	switch err := s.vouched(ctx, &invitation); {
	case models.IsKind(err, models.KindInvalid):
		return SignedUp{}, err
	case err != nil:
		return SignedUp{}, s.reopen(ctx, &invitation, err)
	}
	if err := s.c.Users.Insert(ctx, &user); err != nil {
		// The address may become free, or the database may recover.
		return SignedUp{}, s.reopen(ctx, &invitation, err)
	}
	return s.welcome(ctx, &invitation, user, in.Origin)
}

// welcome completes the acceptance of a person who is stored, and logs them in.
func (s *Invitations) welcome(ctx context.Context, invitation *models.Invitation, user models.User, from models.Origin) (SignedUp, error) {
	// Deleting an organization releases the addresses that it finds; this one may
	// have been added after that and would never be released.
	org, err := s.c.Organizations.Get(ctx, models.TenantOf(user.OrgID), user.OrgID)
	if err != nil {
		if models.IsKind(err, models.KindNotFound) {
			if err := s.c.Users.ReleaseOf(ctx, invitation.OrgID); err != nil {
				return SignedUp{}, err
			}
		}
		return SignedUp{}, orInvalidInvitation(err)
	}
	if invitation.Role == models.RoleOwner {
		if org, err = s.c.Members.join(ctx, org.ID, user.ID); err != nil {
			return SignedUp{}, err
		}
	}
	login, err := s.c.Sessions.Begin(ctx, user, from)
	user.Role = org.RoleOf(&user)
	return SignedUp{Organization: org, User: user, Login: login}, err
}

// offered is the open invitation of a token, or that which an earlier attempt of
// the same acceptance closed.
func (s *Invitations) offered(ctx context.Context, token secret.Value, user models.UserID, now time.Time) (models.Invitation, error) {
	hash := secret.Digest(token.Reveal())
	invitation, err := s.c.Invitations.ByToken(ctx, hash, now)
	if models.IsKind(err, models.KindNotFound) && intent.Resumed(ctx) {
		invitation, err = s.c.Invitations.AcceptedBy(ctx, hash, user)
		invitation.PendingKey = models.PendingKeyOf(invitation.OrgID, invitation.Email) // as it was
	}
	return invitation, err
}

// vouched refuses an invitation whose inviter may not give it out by now:
// removed, or of a lesser role. The operator's need no voucher.
func (s *Invitations) vouched(ctx context.Context, i *models.Invitation) error {
	if i.InvitedBy == "" {
		return nil
	}
	// The organization is read first, as in every change of its members.
	org, inviter, err := s.c.Members.find(ctx, models.TenantOf(i.OrgID), i.OrgID, i.InvitedBy)
	if err != nil {
		return orInvalidInvitation(err)
	}
	if slices.Contains(org.LeavingIDs, i.InvitedBy) || !i.MayBeGivenBy(inviter.Role) {
		return orInvalidInvitation(models.NotFound())
	}
	return nil
}

// reopen undoes the closing of an invitation whose acceptance failed, and gives
// why it did.
func (s *Invitations) reopen(ctx context.Context, i *models.Invitation, failed error) error {
	if again := s.c.Invitations.Reopen(ctx, i.ID, i.PendingKey); again != nil && !models.IsKind(again, models.KindConflict) {
		return again
	}
	return failed
}

// join makes a new member an owner.
func (s *Members) join(ctx context.Context, id models.OrganizationID, user models.UserID) (models.Organization, error) {
	var org models.Organization
	err := s.c.Trail.Reapply(ctx, "", func(ctx context.Context) (err error) {
		if org, err = s.c.Organizations.Get(ctx, models.TenantOf(id), id); err != nil {
			return err
		}
		if _, err := s.c.Users.Member(ctx, models.TenantOf(id), id, user); err != nil {
			return err
		}
		return s.addOwner(ctx, &org, user)
	})
	org.OwnerIDs = with(org.OwnerIDs, user)
	return org, err
}

// orInvalidInvitation turns not_found into invalid_invitation.
func orInvalidInvitation(err error) error {
	if !models.IsKind(err, models.KindNotFound) {
		return err
	}
	refused := models.NewError(models.KindInvalid, "invalid_invitation",
		"This invitation is invalid: it may have been used, replaced or revoked, or it has expired.")
	refused.Fields = []models.FieldError{{Location: "token", Message: "is not an open invitation"}}
	return refused
}
