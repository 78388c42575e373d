package tenancy

import (
	"context"
	"slices"

	"pulse-control-plane/models"
)

// membersRetries bounds the retries of a change of an organization's owners that
// conflicts with another.
const membersRetries = 8

// retry repeats a change while it conflicts with others; conflict
// concurrent_change after the last attempt.
func retry(change func() error) error {
	for range membersRetries {
		if err := change(); !models.HasCode(err, concurrentChange) {
			return err
		}
	}
	return errConcurrentChange()
}

// setMembers writes the owners and the leaving members of an organization;
// conflict concurrent_change if they changed since the read.
func (s *Members) setMembers(ctx context.Context, org *models.Organization, owners, leaving []models.UserID) error {
	_, err := s.c.Organizations.SetMembers(ctx, org.ID, org.MembersVersion, owners, leaving)
	if models.IsKind(err, models.KindNotFound) {
		return errConcurrentChange()
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

const concurrentChange = "concurrent_change"

func errConcurrentChange() *models.Error {
	return models.Conflict(concurrentChange, "This was changed at the same time; read it again and retry.")
}
