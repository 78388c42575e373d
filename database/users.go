package database

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

const users = "users"

// EmailTakenMessage is what callers read with the conflict email_taken.
const EmailTakenMessage = "An account with this email address exists already."

// usersCollection holds the users. A user belongs to one organization.
func usersCollection() Collection {
	return Collection{
		Name: users,
		Fields: []Field{
			{Name: "email", Kind: String}, {Name: "org_id", Kind: String}, {Name: "role", Kind: String}, {Name: "is_deleted", Kind: Bool}, {Name: "password_version", Kind: Int},
			{Name: "version", Kind: Int}, {Name: "updated_at", Kind: Time},
		},
		Indexes: []Index{
			{Keys: []string{"email"}, Unique: true, ConflictCode: "email_taken", ConflictMessage: EmailTakenMessage},
			{Keys: []string{"org_id"}},
			{Keys: []string{"org_id", "_id"}},
		},
	}
}

// Users is the repository of users.
type Users struct{ engine Engine }

// NewUsers returns the repository over an engine.
func NewUsers(e Engine) *Users { return &Users{e} }

// Insert stores a new user; conflict email_taken.
func (r *Users) Insert(ctx context.Context, u *models.User) error {
	return insertOnce(ctx, r.engine, users, u, string(u.ID))
}

// Get reads one user of a tenant, or not_found.
func (r *Users) Get(ctx context.Context, t models.Tenant, id models.UserID) (models.User, error) {
	filter, err := ofOrganization(t)
	if err != nil {
		return models.User{}, err
	}
	filter = append(filter, bson.E{Key: "_id", Value: string(id)}, alive())
	return one[models.User](ctx, r.engine, users, Query{Filter: filter})
}

// ByEmail reads the user with a folded address, of any organization, or
// not_found: a login does not know its tenant yet.
func (r *Users) ByEmail(ctx context.Context, email string) (models.User, error) {
	return one[models.User](ctx, r.engine, users, Query{
		Filter: bson.D{{Key: "email", Value: email}, alive()},
	})
}

// List reads a page of the users of one organization, as visible to a tenant.
func (r *Users) List(ctx context.Context, t models.Tenant, org models.OrganizationID, p Page) ([]models.User, error) {
	if _, err := ofOrganization(t); err != nil {
		return nil, err
	}
	if own, all := t.Organization(); !all && own != org {
		return nil, models.NotFound()
	}
	return page[models.User](ctx, r.engine, users, bson.D{{Key: "org_id", Value: string(org)}, alive()}, p)
}

// Member reads one user of one organization, as visible to a tenant, or
// not_found.
func (r *Users) Member(ctx context.Context, t models.Tenant, org models.OrganizationID, id models.UserID) (models.User, error) {
	filter, err := r.member(t, org, id)
	if err != nil {
		return models.User{}, err
	}
	return one[models.User](ctx, r.engine, users, Query{Filter: filter})
}

func (r *Users) member(t models.Tenant, org models.OrganizationID, id models.UserID) (bson.D, error) {
	if _, err := ofOrganization(t); err != nil {
		return nil, err
	}
	if own, all := t.Organization(); !all && own != org {
		return nil, models.NotFound()
	}
	return bson.D{{Key: "_id", Value: string(id)}, {Key: "org_id", Value: string(org)}, alive()}, nil
}

// Known reads one user of an organization, a former one too, or not_found.
func (r *Users) Known(ctx context.Context, org models.OrganizationID, id models.UserID) (models.User, error) {
	return one[models.User](ctx, r.engine, users, Query{Filter: bson.D{{Key: "_id", Value: string(id)}, {Key: "org_id", Value: string(org)}}})
}

// Names reads the names of users of an organization, former ones too, by their ids.
func (r *Users) Names(ctx context.Context, org models.OrganizationID, ids []models.UserID) (map[models.UserID]string, error) {
	names := make(map[models.UserID]string, len(ids))
	found, err := many[models.User](ctx, r.engine, users, Query{
		Filter: bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}, {Key: "org_id", Value: string(org)}}, Limit: int64(len(ids)),
	})
	for i := range found {
		names[found[i].ID] = found[i].Name
	}
	return names, err
}

// SetRole sets the role below owner of a user, as they were read, and returns the
// user; conflict ChangedSince.
func (r *Users) SetRole(ctx context.Context, t models.Tenant, read *models.User, role models.Role, now time.Time) (models.User, error) {
	filter, err := r.asRead(t, read)
	if err != nil {
		return models.User{}, err
	}
	return changedAsRead[models.User](ctx, r.engine, users, filter, fields{
		{Key: "role", Value: string(role)}, {Key: "updated_at", Value: now},
	}.update())
}

// Touch raises the version of a user as they were read, so that no other change made
// of what was read is made any more; conflict ChangedSince.
func (r *Users) Touch(ctx context.Context, t models.Tenant, read *models.User, now time.Time) (models.User, error) {
	filter, err := r.asRead(t, read)
	if err != nil {
		return models.User{}, err
	}
	return changedAsRead[models.User](ctx, r.engine, users, filter, fields{{Key: "updated_at", Value: now}}.update())
}

func (r *Users) asRead(t models.Tenant, read *models.User) (bson.D, error) {
	filter, err := r.member(t, read.OrgID, read.ID)
	return asRead(filter, read.Version, read.UpdatedAt), err
}

// SetName renames a person and returns them, or not_found.
func (r *Users) SetName(ctx context.Context, t models.Tenant, id models.UserID, name string, now time.Time) (models.User, error) {
	filter, err := ofOrganization(t)
	if err != nil {
		return models.User{}, err
	}
	return changed[models.User](ctx, r.engine, users, append(filter, bson.E{Key: "_id", Value: string(id)}, alive()),
		fields{{Key: "name", Value: name}, {Key: "updated_at", Value: now}}.update())
}

// SetPassword replaces a password if its version is unchanged, and returns the
// user; otherwise not_found.
func (r *Users) SetPassword(ctx context.Context, t models.Tenant, id models.UserID, version int64, hash string, now time.Time) (models.User, error) {
	filter, err := ofOrganization(t)
	if err != nil {
		return models.User{}, err
	}
	filter = append(filter, bson.E{Key: "_id", Value: string(id)}, bson.E{Key: "password_version", Value: version}, alive())
	return changed[models.User](ctx, r.engine, users, filter, fields{
		{Key: "password_hash", Value: hash}, {Key: "password_version", Value: version + 1}, {Key: "updated_at", Value: now},
	}.update())
}

// Remove marks one user, as they were read, as deleted and frees the address by storing
// it as released; conflict ChangedSince.
func (r *Users) Remove(ctx context.Context, t models.Tenant, read *models.User, now time.Time) error {
	filter, err := r.asRead(t, read)
	if err != nil {
		return err
	}
	_, err = changedAsRead[models.User](ctx, r.engine, users, filter, fields{
		{Key: "is_deleted", Value: true}, {Key: "email", Value: Released(read.Email, string(read.ID))}, {Key: "updated_at", Value: now},
	}.update())
	return err
}

// Discard deletes a person whose sign-up lost its organization.
func (r *Users) Discard(ctx context.Context, org models.OrganizationID, id models.UserID) error {
	_, err := r.engine.Delete(ctx, users, bson.D{{Key: "_id", Value: string(id)}, {Key: "org_id", Value: string(org)}}, 1)
	return err
}

// CountOf counts the present and former users of an organization, up to limit.
func (r *Users) CountOf(ctx context.Context, org models.OrganizationID, limit int64) (int64, error) {
	return r.engine.Count(ctx, users, bson.D{{Key: "org_id", Value: string(org)}}, limit)
}

// ReleaseOf marks every user of an organization as deleted and frees their
// addresses: each is prefixed with its user's id, which no sign-up can use.
func (r *Users) ReleaseOf(ctx context.Context, org models.OrganizationID) error {
	for {
		person, err := one[models.User](ctx, r.engine, users, Query{
			Filter: bson.D{{Key: "org_id", Value: string(org)}, alive()},
		})
		if models.IsKind(err, models.KindNotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if _, err := r.engine.Update(ctx, users, bson.D{{Key: "_id", Value: string(person.ID)}}, fields{
			{Key: "is_deleted", Value: true}, {Key: "email", Value: Released(person.Email, string(person.ID))},
		}.update(), UpdateOptions{}); err != nil {
			return err
		}
	}
}

// Released returns the stored address of a deleted user: readable, unique, and
// not an address for a sign-up.
func Released(email, id string) string { return email + " (released by " + id + ")" }
