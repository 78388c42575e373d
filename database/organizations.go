package database

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

const organizations = "organizations"

// organizationsCollection holds the tenants.
func organizationsCollection() Collection {
	return Collection{
		Name: organizations,
		Fields: []Field{
			{Name: "admin_email", Kind: String}, {Name: "name_key", Kind: String}, {Name: "plan", Kind: String},
			{Name: "is_deleted", Kind: Bool}, {Name: "created_at", Kind: Time}, {Name: "members_version", Kind: Int},
			{Name: "deletion.pending", Kind: Bool}, {Name: "version", Kind: Int}, {Name: "updated_at", Kind: Time},
		},
		Indexes: []Index{
			{Keys: []string{"admin_email"}, Unique: true, ConflictCode: "email_taken", ConflictMessage: EmailTakenMessage},
			{Keys: []string{"is_deleted"}},
			{Keys: []string{"is_deleted", "_id"}},
			{Keys: []string{"name_key"}},
			{Keys: []string{"plan", "_id"}},
			{Keys: []string{"deletion.pending", "_id"}},
		},
	}
}

// Organizations is the repository of tenants.
type Organizations struct{ engine Engine }

// NewOrganizations returns the repository over an engine.
func NewOrganizations(e Engine) *Organizations { return &Organizations{e} }

// OrganizationFilter narrows a list; empty fields do not.
type OrganizationFilter struct {
	// Prefix is the start of the folded name or e-mail.
	Prefix string
	Plan   models.Plan
}

// OrganizationChange is a partial update; nil fields do not change.
type OrganizationChange struct {
	Name    *string
	NameKey *string
	Plan    *models.Plan
}

// own is the filter of one organization as visible to a tenant: an organization
// is its own tenant.
func (r *Organizations) own(t models.Tenant, id models.OrganizationID) (bson.D, error) {
	org, all := t.Organization()
	if !all && org == "" {
		return nil, models.Internal(errNoTenant)
	}
	if !all && org != id {
		return nil, models.NotFound()
	}
	return bson.D{{Key: "_id", Value: string(id)}, alive()}, nil
}

// Insert stores a new organization; conflict email_taken.
func (r *Organizations) Insert(ctx context.Context, o *models.Organization) error {
	return insertOnce(ctx, r.engine, organizations, o, string(o.ID))
}

// Get reads one organization, or not_found.
func (r *Organizations) Get(ctx context.Context, t models.Tenant, id models.OrganizationID) (models.Organization, error) {
	filter, err := r.own(t, id)
	if err != nil {
		return models.Organization{}, err
	}
	return one[models.Organization](ctx, r.engine, organizations, Query{Filter: filter})
}

// ByAdminEmail reads the organization with a folded address, including deleted
// ones, or not_found.
func (r *Organizations) ByAdminEmail(ctx context.Context, email string) (models.Organization, error) {
	return one[models.Organization](ctx, r.engine, organizations,
		Query{Filter: bson.D{{Key: "admin_email", Value: email}}})
}

// List reads a page of the organizations visible to a tenant.
func (r *Organizations) List(ctx context.Context, t models.Tenant, f OrganizationFilter, p Page) ([]models.Organization, error) {
	filter := bson.D{alive()}
	org, all := t.Organization()
	if !all {
		if org == "" {
			return nil, models.Internal(errNoTenant)
		}
		filter = append(filter, bson.E{Key: "_id", Value: string(org)})
		if p.After != "" {
			// A tenant sees one organization, so there is no second page.
			return []models.Organization{}, nil
		}
	}
	if f.Plan != "" {
		filter = append(filter, bson.E{Key: "plan", Value: string(f.Plan)})
	}
	if f.Prefix != "" {
		filter = append(filter, bson.E{Key: "$or", Value: bson.A{
			bson.D{{Key: "name_key", Value: prefixed(f.Prefix)}},
			bson.D{{Key: "admin_email", Value: prefixed(f.Prefix)}},
		}})
	}
	return page[models.Organization](ctx, r.engine, organizations, filter, p)
}

func (r *Organizations) asRead(t models.Tenant, read *models.Organization) (bson.D, error) {
	filter, err := r.own(t, read.ID)
	return asRead(filter, read.Version, read.UpdatedAt), err
}

// Update changes one organization, as it was read, and returns it; conflict
// ChangedSince.
func (r *Organizations) Update(ctx context.Context, t models.Tenant, read *models.Organization, c OrganizationChange, now time.Time) (models.Organization, error) {
	filter, err := r.asRead(t, read)
	if err != nil {
		return models.Organization{}, err
	}
	set := fields{{Key: "updated_at", Value: now}}
	setIf(&set, "name", c.Name)
	setIf(&set, "name_key", c.NameKey)
	setIf(&set, "plan", c.Plan)
	if c.Plan != nil {
		set = append(set, bson.E{Key: "plan_changed_at", Value: now})
	}
	return changedAsRead[models.Organization](ctx, r.engine, organizations, filter, set.update())
}

// Suspend suspends an organization, as it was read, from a time on, or with nil ends
// the suspension; it returns the organization; conflict ChangedSince.
func (r *Organizations) Suspend(ctx context.Context, t models.Tenant, read *models.Organization, at *time.Time, now time.Time) (models.Organization, error) {
	filter, err := r.asRead(t, read)
	if err != nil {
		return models.Organization{}, err
	}
	update := fields{{Key: "updated_at", Value: now}}
	setIf(&update, "suspended_at", at)
	change := update.update()
	if at == nil {
		change = append(change, bson.E{Key: "$unset", Value: bson.D{{Key: "suspended_at", Value: ""}}})
	}
	return changedAsRead[models.Organization](ctx, r.engine, organizations, filter, change)
}

// SetMembers stores the owners of an organization and the members who are
// leaving, if the version of both is still the same; otherwise not_found.
func (r *Organizations) SetMembers(ctx context.Context, id models.OrganizationID, version int64, owners, leaving []models.UserID) (models.Organization, error) {
	return changed[models.Organization](ctx, r.engine, organizations, bson.D{
		{Key: "_id", Value: string(id)}, {Key: "members_version", Value: version}, alive(),
	}, fields{
		{Key: "owner_ids", Value: owners}, {Key: "leaving_ids", Value: leaving},
		{Key: "members_version", Value: version + 1},
	}.update())
}

// SoftDelete marks an organization, as it was read, as deleted and its deletion as
// pending; conflict ChangedSince. Storing its address as released frees the address; no
// sign-up can use that form.
func (r *Organizations) SoftDelete(ctx context.Context, t models.Tenant, read *models.Organization, by models.OrganizationDeletion, now time.Time) (models.Organization, error) {
	filter, err := r.asRead(t, read)
	if err != nil {
		return models.Organization{}, err
	}
	return changedAsRead[models.Organization](ctx, r.engine, organizations, filter, fields{
		{Key: "is_deleted", Value: true}, {Key: "deleted_at", Value: now}, {Key: "updated_at", Value: now},
		{Key: "admin_email", Value: Released(read.AdminEmail, string(read.ID))}, {Key: "deletion", Value: by},
	}.update())
}

// Leaving reads a page of the organizations whose deletion is pending.
func (r *Organizations) Leaving(ctx context.Context, p Page) ([]models.Organization, error) {
	return page[models.Organization](ctx, r.engine, organizations, bson.D{{Key: "deletion.pending", Value: true}}, p)
}

// Left ends the deletion of an organization.
func (r *Organizations) Left(ctx context.Context, id models.OrganizationID) error {
	_, err := r.engine.Update(ctx, organizations, bson.D{{Key: "_id", Value: string(id)}, {Key: "deletion.pending", Value: true}},
		bson.D{{Key: "$unset", Value: bson.D{{Key: "deletion", Value: ""}}}}, UpdateOptions{})
	return err
}

// Discard deletes an organization whose sign-up failed before it had an owner, if
// the version of its members is still the same: a sign-up that goes on raises it
// last.
func (r *Organizations) Discard(ctx context.Context, id models.OrganizationID, version int64) error {
	_, err := r.engine.Delete(ctx, organizations, bson.D{{Key: "_id", Value: string(id)}, {Key: "members_version", Value: version}}, 1)
	return err
}

// Exists reports whether an organization is stored, deleted or not.
func (r *Organizations) Exists(ctx context.Context, id models.OrganizationID) (bool, error) {
	n, err := r.engine.Count(ctx, organizations, bson.D{{Key: "_id", Value: string(id)}}, 1)
	return n > 0, err
}
