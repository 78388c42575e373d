package tenancy

import (
	"cmp"
	"context"
	"strings"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/audit"
	"pulse-control-plane/services/auth"
	"pulse-control-plane/services/lookup"
	"pulse-control-plane/services/paging"
	"pulse-control-plane/services/quotas"
	"pulse-control-plane/utils/clientip"
	"pulse-control-plane/utils/cursor"
	"pulse-control-plane/utils/hashing"
	"pulse-control-plane/utils/intent"
	"pulse-control-plane/utils/required"
	"pulse-control-plane/utils/secret"
)

// signUpRepairAge is the age after which an organization without members, left by a
// sign-up that died between its two writes, no longer blocks its email address.
const signUpRepairAge = time.Minute

// Organizations manages organizations: sign-up, reads, updates, suspension,
// deletion.
type Organizations struct{ c OrganizationsConfig }

// OrganizationsConfig of NewOrganizations; every field is required.
type OrganizationsConfig struct {
	Organizations *database.Organizations
	Users         *database.Users
	Projects      *database.Projects
	Logins        *database.Sessions
	Sessions      *auth.LoginSessions
	KeyAuth       *auth.Keys
	Hasher        *hashing.Hasher
	Cursors       *cursor.Codec
	// Changes is told what every write changed.
	Changes *lookup.Changes
	// Trail records every change.
	Trail *audit.Trail
	// Quotas follow the plan.
	Quotas *quotas.Limits
	// SignUp allows sign-up without credentials; otherwise only the operator may
	// create organizations.
	SignUp bool
	Now    func() time.Time
}

// NewOrganizations builds the service. It fails if a required field is missing.
func NewOrganizations(c OrganizationsConfig) (*Organizations, error) {
	return &Organizations{c}, required.Fields(c)
}

// SignUpInput is an organization to be created.
type SignUpInput struct {
	Name, AdminEmail string
	Password         secret.Value
}

// SignedUp is a new organization with its owner, logged in.
type SignedUp struct {
	Organization models.Organization
	User         models.User
	Login        auth.Login
}

// SignUp founds an organization and its owner. forbidden signup_disabled when
// only the operator may, not_allowed for a key; conflict already_signed_in for a
// person, email_taken.
func (s *Organizations) SignUp(ctx context.Context, actor *models.Principal, in SignUpInput) (out SignedUp, err error) {
	switch actor.Kind {
	case models.CallerNobody, models.CallerOperator:
	case models.CallerPerson:
		return SignedUp{}, models.Conflict("already_signed_in", "You are signed in; sign out to create another organization.")
	default:
		return SignedUp{}, actor.Refused("not_allowed", "no credential, or the operator's token")
	}
	if actor.Kind != models.CallerOperator && !s.c.SignUp {
		return SignedUp{}, models.Forbidden("signup_disabled", "Sign-up is disabled: only the operator of this installation creates organizations.")
	}
	now, email := s.c.Now(), models.FoldEmail(in.AdminEmail)
	hash, err := s.c.Hasher.HashPassword(hashing.WithShare(ctx, clientip.BucketOf(actor.Origin.IP)), in.Password)
	if err != nil {
		return SignedUp{}, err
	}
	org := models.Organization{
		ID: models.OrganizationID(intent.ID(ctx, models.OrganizationPrefix)), Name: in.Name, NameKey: foldName(in.Name),
		AdminEmail: email, Plan: models.PlanFree, CreatedAt: now, UpdatedAt: now,
	}
	// Before the entry in the trail: anybody may ask, and a trail of an
	// organization that never is would be read by nobody.
	if err := s.addressFree(ctx, email, org.ID, now); err != nil {
		return SignedUp{}, err
	}
	ownerID := models.UserID(intent.ID(ctx, models.UserPrefix))
	org.OwnerIDs = []models.UserID{ownerID}
	name, _, _ := strings.Cut(email, "@")
	owner := models.User{
		ID: ownerID, OrgID: org.ID, Email: email, Name: name,
		Role: models.RoleOwner, PasswordHash: hash, CreatedAt: now, UpdatedAt: now,
	}
	founder := *actor
	if founder.Kind == models.CallerNobody { // the caller who signs up is the owner
		founder.Kind, founder.UserID = models.CallerPerson, owner.ID
	}
	entry, err := s.c.Trail.Begin(ctx, &founder, audit.Event{
		OrgID: org.ID, Action: "organization.created", Type: "organization", ID: string(org.ID),
		After: map[string]any{"name": org.Name, "admin_email": email, "owner_id": owner.ID},
	})
	if err != nil {
		return SignedUp{}, err
	}
	defer entry.End(ctx, &err)
	if err := s.insertRepairing(ctx, &org, now); err != nil {
		return SignedUp{}, err
	}
	if err := s.c.Users.Insert(ctx, &owner); err != nil {
		if models.IsKind(err, models.KindConflict) {
			if err := s.c.Organizations.Discard(ctx, org.ID, org.MembersVersion); err != nil {
				return SignedUp{}, err
			}
		}
		return SignedUp{}, err
	}
	if err := s.settle(ctx, &org, &owner); err != nil {
		return SignedUp{}, err
	}
	login, err := s.c.Sessions.Begin(ctx, owner, actor.Origin)
	return SignedUp{Organization: org, User: owner, Login: login}, err
}

// addressFree answers conflict email_taken for an address that a person has, or
// an organization that is whole, unless that is own: an earlier attempt of the
// same sign-up.
func (s *Organizations) addressFree(ctx context.Context, email string, own models.OrganizationID, now time.Time) error {
	taken := emailTaken()
	switch user, err := s.c.Users.ByEmail(ctx, email); {
	case err == nil && user.OrgID == own:
		return nil
	case err == nil:
		lost, err := s.lost(ctx, &user, now)
		if err == nil && !lost {
			err = taken
		}
		if err != nil {
			return err
		}
		if err := s.c.Users.Discard(ctx, user.OrgID, user.ID); err != nil {
			return err
		}
	case !models.IsKind(err, models.KindNotFound):
		return err
	}
	holder, err := s.c.Organizations.ByAdminEmail(ctx, email)
	switch {
	case models.IsKind(err, models.KindNotFound):
		return nil
	case err != nil:
		return err
	case holder.ID == own, s.abandoned(ctx, &holder, now):
		return nil
	}
	return taken
}

func emailTaken() *models.Error {
	return models.Conflict("email_taken", database.EmailTakenMessage)
}

// settle ends a sign-up. From then on no other one with the address can discard
// its organization; if one has, the owner is deleted: conflict email_taken, as for an
// owner who has left since.
func (s *Organizations) settle(ctx context.Context, org *models.Organization, owner *models.User) error {
	if org.MembersVersion == 0 {
		settled, err := s.c.Organizations.SetMembers(ctx, org.ID, 0, org.OwnerIDs, nil)
		if models.IsKind(err, models.KindNotFound) {
			settled, err = s.c.Organizations.Get(ctx, models.TenantOf(org.ID), org.ID) // another attempt of the same sign-up may have come first
		}
		if models.IsKind(err, models.KindNotFound) {
			return cmp.Or(s.c.Users.Discard(ctx, org.ID, owner.ID), error(emailTaken()))
		}
		if err != nil {
			return err
		}
		*org = settled
	}
	if !intent.Resumed(ctx) {
		return nil
	}
	// After a minute another sign-up may have taken its owner for a lost one.
	known, err := s.c.Users.Known(ctx, org.ID, owner.ID)
	switch {
	case models.IsKind(err, models.KindNotFound):
		return cmp.Or(s.c.Organizations.Discard(ctx, org.ID, org.MembersVersion), error(emailTaken()))
	case err == nil && known.IsDeleted: // they left: the organization is others' now
		return emailTaken()
	}
	return err
}

// lost tells a person whose sign-up died after another one had discarded its
// organization.
func (s *Organizations) lost(ctx context.Context, user *models.User, now time.Time) (bool, error) {
	if now.Sub(user.CreatedAt) < signUpRepairAge {
		return false, nil
	}
	exists, err := s.c.Organizations.Exists(ctx, user.OrgID)
	return !exists && err == nil, err
}

// abandoned tells an organization that never got its owner.
func (s *Organizations) abandoned(ctx context.Context, org *models.Organization, now time.Time) bool {
	if now.Sub(org.CreatedAt) < signUpRepairAge || org.MembersVersion > 0 {
		return false
	}
	people, err := s.c.Users.CountOf(ctx, org.ID, 1)
	return err == nil && people == 0
}

// insertRepairing inserts an organization. If an incomplete sign-up holds its email
// address, it deletes that first.
func (s *Organizations) insertRepairing(ctx context.Context, org *models.Organization, now time.Time) error {
	err := s.c.Organizations.Insert(ctx, org)
	if !models.HasCode(err, "email_taken") {
		return err
	}
	holder, lookErr := s.c.Organizations.ByAdminEmail(ctx, org.AdminEmail)
	if lookErr != nil || !s.abandoned(ctx, &holder, now) {
		return err
	}
	if discardErr := s.c.Organizations.Discard(ctx, holder.ID, holder.MembersVersion); discardErr != nil {
		return discardErr
	}
	return s.c.Organizations.Insert(ctx, org)
}

// Get reads one organization: a person's own, any for the operator.
func (s *Organizations) Get(ctx context.Context, actor *models.Principal, id models.OrganizationID) (models.Organization, error) {
	if err := actor.May(models.ActionOrganizationRead); err != nil {
		return models.Organization{}, err
	}
	return s.c.Organizations.Get(ctx, actor.Tenant(), id)
}

// OrganizationQuery filters List; Query is a prefix of the name or email address.
type OrganizationQuery struct {
	Query string
	Plan  models.Plan
}

// List reads a page of the organizations that the caller may see.
func (s *Organizations) List(ctx context.Context, actor *models.Principal, q OrganizationQuery, p paging.Request) (paging.Page[models.Organization], error) {
	if err := actor.May(models.ActionOrganizationRead); err != nil {
		return paging.Page[models.Organization]{}, err
	}
	return paging.ByID(s.c.Cursors, actor, "organizations", p, func(at database.Page) ([]models.Organization, error) {
		return s.c.Organizations.List(ctx, actor.Tenant(), database.OrganizationFilter{Prefix: foldName(q.Query), Plan: q.Plan}, at)
	}, func(o models.Organization) string { return string(o.ID) })
}

// OrganizationChange is a partial update; nil keeps a field.
type OrganizationChange struct {
	Name *string
	// Plan may be changed by the operator only.
	Plan *models.Plan
}

// Update changes an organization.
func (s *Organizations) Update(ctx context.Context, actor *models.Principal, id models.OrganizationID, c OrganizationChange) (org models.Organization, err error) {
	if err := actor.May(models.ActionOrganizationUpdate); err != nil {
		return models.Organization{}, err
	}
	if c.Plan != nil {
		if err := actor.May(models.ActionPlanChange); err != nil {
			return models.Organization{}, err
		}
	}
	return s.change(ctx, actor, id, func(org *models.Organization) organizationWrite {
		var fields audit.Changes
		audit.Changed(&fields, "name", org.Name, c.Name)
		audit.Changed(&fields, "plan", org.Plan, c.Plan)
		return organizationWrite{"organization.updated", fields.Before, fields.After, func() (models.Organization, error) {
			return s.c.Organizations.Update(ctx, actor.Tenant(), org, database.OrganizationChange{
				Name: c.Name, NameKey: foldNameIf(c.Name), Plan: c.Plan,
			}, s.c.Now())
		}}
	})
}

// organizationWrite is a change of an organization as it was read: its entry in the
// trail and its write, which fails with the conflict database.ChangedSince.
type organizationWrite struct {
	action        string
	before, after map[string]any
	write         func() (models.Organization, error)
}

// change makes a change of an organization, again if another comes between its read
// and its write.
func (s *Organizations) change(ctx context.Context, actor *models.Principal, id models.OrganizationID, of func(*models.Organization) organizationWrite) (org models.Organization, err error) {
	err = s.c.Trail.Reapply(ctx, string(id), func(ctx context.Context) (err error) {
		read, err := s.c.Organizations.Get(ctx, actor.Tenant(), id)
		if err != nil {
			return err
		}
		c := of(&read)
		entry, err := s.c.Trail.Begin(ctx, actor, audit.Event{OrgID: id, Action: c.action, Type: "organization", ID: string(id), Before: c.before, After: c.after})
		if err != nil {
			return err
		}
		defer entry.End(ctx, &err)
		org, err = c.write()
		s.c.Changes.Publish(models.OrganizationChanged(id))
		return err
	})
	return org, err
}

// Suspend refuses requests of an organization's people and keys, at once in this
// process and within freshFor in others, until Unsuspend.
func (s *Organizations) Suspend(ctx context.Context, actor *models.Principal, id models.OrganizationID) (models.Organization, error) {
	now := s.c.Now()
	return s.suspend(ctx, actor, id, &now)
}

// Unsuspend ends a suspension.
func (s *Organizations) Unsuspend(ctx context.Context, actor *models.Principal, id models.OrganizationID) (models.Organization, error) {
	return s.suspend(ctx, actor, id, nil)
}

func (s *Organizations) suspend(ctx context.Context, actor *models.Principal, id models.OrganizationID, at *time.Time) (org models.Organization, err error) {
	if err := actor.May(models.ActionSuspensionChange); err != nil {
		return models.Organization{}, err
	}
	action := "organization.suspended"
	if at == nil {
		action = "organization.unsuspended"
	}
	return s.change(ctx, actor, id, func(org *models.Organization) organizationWrite {
		return organizationWrite{action, map[string]any{"suspended_at": org.SuspendedAt}, map[string]any{"suspended_at": at}, func() (models.Organization, error) {
			return s.c.Organizations.Suspend(ctx, actor.Tenant(), org, at, s.c.Now())
		}}
	})
}

// foldName is the form of a name that searches compare.
func foldName(name string) string { return strings.ToLower(strings.TrimSpace(name)) }

func foldNameIf(name *string) *string {
	if name == nil {
		return nil
	}
	folded := foldName(*name)
	return &folded
}
