package tenancy

import (
	"context"
	"slices"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
)

// setMembers writes the owners and the leaving members of an organization;
// conflict database.ChangedSince if they changed since the read.
func (s *Members) setMembers(ctx context.Context, org *models.Organization, owners, leaving []models.UserID) error {
	_, err := s.c.Organizations.SetMembers(ctx, org.ID, org.MembersVersion, owners, leaving)
	if models.IsKind(err, models.KindNotFound) {
		return database.ErrChangedSince()
	}
	return err
}

// addOwner adds a person, read after the organization, to its owners.
func (s *Members) addOwner(ctx context.Context, org *models.Organization, user models.UserID) error {
	switch {
	case slices.Contains(org.LeavingIDs, user):
		return models.Conflict("member_leaving", "This person is being removed from the organization.")
	case len(org.OwnerIDs) >= models.MaxOwners:
		return models.Conflict("too_many_owners", "An organization has at most 100 owners.")
	}
	return s.setMembers(ctx, org, with(org.OwnerIDs, user), org.LeavingIDs)
}

// lastOwner reports whether a person is the only owner.
func lastOwner(org *models.Organization, user models.UserID) bool {
	return len(without(org.OwnerIDs, user)) == 0
}

func without(users []models.UserID, user models.UserID) []models.UserID {
	return slices.DeleteFunc(slices.Clone(users), func(u models.UserID) bool { return u == user })
}

func with(users []models.UserID, user models.UserID) []models.UserID {
	return append(without(users, user), user)
}

func errLastOwner() *models.Error {
	return models.Conflict("last_owner", "This is the last owner of the organization; give another member the role owner first.")
}
