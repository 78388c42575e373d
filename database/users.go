package database

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

const users = "users"

// usersCollection holds the people. A person belongs to one organization.
func usersCollection() Collection {
	return Collection{
		Name: users,
		Fields: []Field{
			{"email", String}, {"org_id", String}, {"role", String}, {"is_deleted", Bool}, {"password_version", Int},
		},
		Indexes: []Index{
			{Keys: []string{"email"}, Unique: true, ConflictCode: "email_taken"},
			{Keys: []string{"org_id"}},
		},
	}
}

// Users is the repository of people.
type Users struct{ engine Engine }

// NewUsers reads and writes people through an engine.
func NewUsers(e Engine) *Users { return &Users{e} }

// Insert stores a new person; conflict email_taken.
func (r *Users) Insert(ctx context.Context, u *models.User) error {
	return r.engine.Insert(ctx, users, u)
}

// Get reads one person of a tenant, or not_found.
func (r *Users) Get(ctx context.Context, t models.Tenant, id models.UserID) (models.User, error) {
	filter, err := ofOrganization(t)
	if err != nil {
		return models.User{}, err
	}
	filter = append(filter, bson.E{Key: "_id", Value: string(id)}, alive())
	return one[models.User](ctx, r.engine, users, Query{Filter: filter})
}

// ByEmail reads the person with a folded address, whatever their organization:
// a login knows no tenant yet. not_found if there is none.
func (r *Users) ByEmail(ctx context.Context, email string) (models.User, error) {
	return one[models.User](ctx, r.engine, users, Query{
		Filter: bson.D{{Key: "email", Value: email}, alive()},
	})
}

// List reads a page of the people of one organization, as a tenant may see it.
func (r *Users) List(ctx context.Context, t models.Tenant, org models.OrganizationID, p Page) ([]models.User, error) {
	if _, err := ofOrganization(t); err != nil {
		return nil, err
	}
	if own, all := t.Organization(); !all && own != org {
		return nil, models.NotFound()
	}
	return page[models.User](ctx, r.engine, users, bson.D{{Key: "org_id", Value: string(org)}, alive()}, p)
}

// Member reads one person of one organization, as a tenant may see it, or
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

// SetRole changes a person's role below ownership and returns the person, or
// not_found.
func (r *Users) SetRole(ctx context.Context, t models.Tenant, org models.OrganizationID, id models.UserID, role models.Role, now time.Time) (models.User, error) {
	filter, err := r.member(t, org, id)
	if err != nil {
		return models.User{}, err
	}
	return changed[models.User](ctx, r.engine, users, filter, fields{
		{Key: "role", Value: string(role)}, {Key: "updated_at", Value: now},
	}.update())
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

// SetPassword changes a password, if it is still of the version that was
// checked, and returns the person; not_found otherwise.
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

// Remove hides one person and sets their address free under released; not_found
// if they are not there.
func (r *Users) Remove(ctx context.Context, t models.Tenant, org models.OrganizationID, id models.UserID, released string, now time.Time) error {
	filter, err := r.member(t, org, id)
	if err != nil {
		return err
	}
	_, err = changed[models.User](ctx, r.engine, users, filter, fields{
		{Key: "is_deleted", Value: true}, {Key: "email", Value: released}, {Key: "updated_at", Value: now},
	}.update())
	return err
}

// CountOf counts the people an organization has or had, up to limit.
func (r *Users) CountOf(ctx context.Context, org models.OrganizationID, limit int64) (int64, error) {
	return r.engine.Count(ctx, users, bson.D{{Key: "org_id", Value: string(org)}}, limit)
}

// ReleaseOf hides everybody of an organization and sets their addresses free:
// each moves under its person's id, which no sign-up can ask for.
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

// Released is what the address of a deleted holder becomes: still readable,
// unique, and not an address anybody can sign up with.
func Released(email, id string) string { return email + " (released by " + id + ")" }
