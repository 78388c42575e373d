package database

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

const apiKeys = "api_keys"

// apiKeysCollection holds every API key, including the first one of each
// project.
func apiKeysCollection() Collection {
	return Collection{
		Name: apiKeys,
		Fields: []Field{
			{Name: "key", Kind: String}, {Name: "project_id", Kind: String}, {Name: "org_id", Kind: String},
			{Name: "created_by", Kind: String}, {Name: "is_deleted", Kind: Bool}, {Name: "expires_at", Kind: Time}, {Name: "last_used_at", Kind: Time},
			{Name: "rotated_at", Kind: Time}, {Name: "pepper_id", Kind: String}, {Name: "rehashed_at", Kind: Time},
			{Name: "version", Kind: Int},
		},
		Indexes: []Index{
			{Keys: []string{"key"}, Unique: true},
			{Keys: []string{"project_id", "_id"}},
			{Keys: []string{"org_id"}},
			{Keys: []string{"is_deleted", "expires_at"}},
		},
	}
}

// APIKeys is the repository of API keys.
type APIKeys struct{ engine Engine }

// NewAPIKeys returns the repository over an engine.
func NewAPIKeys(e Engine) *APIKeys { return &APIKeys{e} }

// Insert stores a new API key.
func (r *APIKeys) Insert(ctx context.Context, k *models.APIKey) error {
	return insertOnce(ctx, r.engine, apiKeys, k, string(k.ID))
}

// ByKey reads the API key with a publishable key, of any tenant: authentication
// does not know the tenant yet. not_found if it is missing or deleted.
func (r *APIKeys) ByKey(ctx context.Context, key string) (models.APIKey, error) {
	return one[models.APIKey](ctx, r.engine, apiKeys, Query{
		Filter: bson.D{{Key: "key", Value: key}, alive()},
	})
}

// Rotate makes a replaced API key, as it was read, expire at end, unless it expires
// earlier; conflict ChangedSince.
func (r *APIKeys) Rotate(ctx context.Context, read *models.APIKey, now, end time.Time) (models.APIKey, error) {
	return changedAsRead[models.APIKey](ctx, r.engine, apiKeys, asRead(bson.D{
		{Key: "project_id", Value: string(read.ProjectID)}, {Key: "_id", Value: string(read.ID)}, alive(),
	}, read.Version, time.Time{}), bson.D{
		{Key: "$min", Value: bson.D{{Key: "expires_at", Value: end}}},
		{Key: "$set", Value: bson.D{{Key: "rotated_at", Value: now}}},
	})
}

// own is the filter of one API key of a project, as visible to a tenant.
func (r *APIKeys) own(t models.Tenant, project models.ProjectID, id models.KeyID) (bson.D, error) {
	filter, err := r.of(t, project)
	return append(filter, bson.E{Key: "_id", Value: string(id)}), err
}

// of is the filter of a project's API keys, as visible to a tenant.
func (r *APIKeys) of(t models.Tenant, project models.ProjectID) (bson.D, error) {
	if held := t.Project(); held != "" && held != project {
		return nil, models.NotFound()
	}
	filter, err := ofOrganization(t)
	return append(filter, bson.E{Key: "project_id", Value: string(project)}, alive()), err
}

// Get reads one API key of a project, or not_found.
func (r *APIKeys) Get(ctx context.Context, t models.Tenant, project models.ProjectID, id models.KeyID) (models.APIKey, error) {
	filter, err := r.own(t, project, id)
	if err != nil {
		return models.APIKey{}, err
	}
	return one[models.APIKey](ctx, r.engine, apiKeys, Query{Filter: filter})
}

// List reads a page of a project's API keys.
func (r *APIKeys) List(ctx context.Context, t models.Tenant, project models.ProjectID, p Page) ([]models.APIKey, error) {
	filter, err := r.of(t, project)
	if err != nil {
		return nil, err
	}
	return page[models.APIKey](ctx, r.engine, apiKeys, filter, p)
}

// Usable reads up to limit API keys of a project that are valid at a time.
func (r *APIKeys) Usable(ctx context.Context, t models.Tenant, project models.ProjectID, at time.Time, limit int64) ([]models.APIKey, error) {
	filter, err := r.of(t, project)
	if err != nil {
		return nil, err
	}
	return many[models.APIKey](ctx, r.engine, apiKeys, Query{
		Filter: append(filter, bson.E{Key: "$or", Value: bson.A{
			bson.D{{Key: "expires_at", Value: bson.D{{Key: "$exists", Value: false}}}},
			bson.D{{Key: "expires_at", Value: bson.D{{Key: "$gt", Value: at}}}},
		}}), Limit: limit,
	})
}

// APIKeyChange is a partial update; nil fields do not change.
type APIKeyChange struct {
	Name       *string
	Scopes     *[]models.Scope
	AllowedIPs *[]string
	// NoExpiry removes ExpiresAt.
	ExpiresAt *time.Time
	NoExpiry  bool
}

// Ends reports whether the expiry changes.
func (c APIKeyChange) Ends() bool { return c.ExpiresAt != nil || c.NoExpiry }

// Of returns an API key after the change.
func (c APIKeyChange) Of(k models.APIKey) models.APIKey {
	if c.Name != nil {
		k.Name = *c.Name
	}
	if c.Scopes != nil {
		k.Scopes = *c.Scopes
	}
	if c.AllowedIPs != nil {
		k.AllowedIPs = *c.AllowedIPs
	}
	if c.Ends() {
		k.ExpiresAt = c.ExpiresAt
	}
	return k
}

func (r *APIKeys) asRead(t models.Tenant, read *models.APIKey) (bson.D, error) {
	filter, err := r.own(t, read.ProjectID, read.ID)
	return asRead(filter, read.Version, time.Time{}), err
}

// Update changes one API key of a project, as it was read, and returns it; conflict
// ChangedSince, also for a new expiry of a key that a replica of an earlier version
// replaced since.
func (r *APIKeys) Update(ctx context.Context, t models.Tenant, read *models.APIKey, c APIKeyChange) (models.APIKey, error) {
	filter, err := r.asRead(t, read)
	if err != nil {
		return models.APIKey{}, err
	}
	if c.Ends() {
		filter = append(filter, bson.E{Key: "rotated_at", Value: bson.D{{Key: "$exists", Value: false}}})
	}
	// MongoDB refuses an empty $set, so it includes a field that does not
	// change.
	set := fields{{Key: "is_deleted", Value: false}}
	setIf(&set, "name", c.Name)
	setIf(&set, "scopes", c.Scopes)
	setIf(&set, "allowed_ips", c.AllowedIPs)
	setIf(&set, "expires_at", c.ExpiresAt)
	update := set.update()
	if c.NoExpiry {
		update = append(update, bson.E{Key: "$unset", Value: bson.D{{Key: "expires_at", Value: ""}}})
	}
	return changedAsRead[models.APIKey](ctx, r.engine, apiKeys, filter, update)
}

// Remove deletes one API key of a project, as it was read; conflict ChangedSince.
func (r *APIKeys) Remove(ctx context.Context, t models.Tenant, read *models.APIKey) error {
	filter, err := r.asRead(t, read)
	if err != nil {
		return err
	}
	_, err = changedAsRead[models.APIKey](ctx, r.engine, apiKeys, filter, fields{{Key: "is_deleted", Value: true}}.update())
	return err
}

// Known reads one API key of a project, deleted or not, or not_found.
func (r *APIKeys) Known(ctx context.Context, project models.ProjectID, id models.KeyID) (models.APIKey, error) {
	return one[models.APIKey](ctx, r.engine, apiKeys, Query{Filter: bson.D{{Key: "_id", Value: string(id)}, {Key: "project_id", Value: string(project)}}})
}

// Names reads the names of API keys of an organization, deleted ones too, by their
// ids.
func (r *APIKeys) Names(ctx context.Context, org models.OrganizationID, ids []models.KeyID) (map[models.KeyID]string, error) {
	names := make(map[models.KeyID]string, len(ids))
	found, err := many[models.APIKey](ctx, r.engine, apiKeys, Query{
		Filter: bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}, {Key: "org_id", Value: string(org)}}, Limit: int64(len(ids)),
	})
	for i := range found {
		names[found[i].ID] = found[i].Name
	}
	return names, err
}

// Used records the use of an API key at a time, unless a use less than
// models.KeyUseInterval earlier is recorded.
func (r *APIKeys) Used(ctx context.Context, id models.KeyID, at time.Time) error {
	_, err := r.engine.Update(ctx, apiKeys, bson.D{
		{Key: "_id", Value: string(id)},
		{Key: "$or", Value: bson.A{
			bson.D{{Key: "last_used_at", Value: bson.D{{Key: "$exists", Value: false}}}},
			bson.D{{Key: "last_used_at", Value: bson.D{{Key: "$lte", Value: at.Add(-models.KeyUseInterval)}}}},
		}},
	}, fields{{Key: "last_used_at", Value: at}}.update(), UpdateOptions{})
	return err
}

// Mark stores what recognizes the secret of an API key.
func (r *APIKeys) Mark(ctx context.Context, id models.KeyID, mark string) error {
	_, err := r.engine.Update(ctx, apiKeys, bson.D{{Key: "_id", Value: string(id)}},
		fields{{Key: "secret_mark", Value: mark}}.update(), UpdateOptions{})
	return err
}

// Rehash replaces the hash of an API key's secret, as it was read, and its mark, by
// those with another pepper: SecretHash, SecretMark and PepperID of fresh. It reports
// false if the key was rehashed since, or less than models.RehashInterval ago.
func (r *APIKeys) Rehash(ctx context.Context, read, fresh *models.APIKey, now time.Time) (bool, error) {
	filter := bson.D{
		{Key: "_id", Value: string(read.ID)}, {Key: "pepper_id", Value: read.PepperID},
		{Key: "$or", Value: bson.A{
			bson.D{{Key: "rehashed_at", Value: bson.D{{Key: "$exists", Value: false}}}},
			bson.D{{Key: "rehashed_at", Value: bson.D{{Key: "$lte", Value: now.Add(-models.RehashInterval)}}}},
		}},
	}
	if read.PepperID == "" {
		filter[1].Value = bson.D{{Key: "$exists", Value: false}}
	}
	matched, err := r.engine.Update(ctx, apiKeys, filter,
		fields{{Key: "secret_hash", Value: fresh.SecretHash}, {Key: "secret_mark", Value: fresh.SecretMark},
			{Key: "pepper_id", Value: fresh.PepperID}, {Key: "rehashed_at", Value: now}}.update(), UpdateOptions{})
	return matched > 0, err
}

// Peppered counts the API keys of all tenants that are not deleted whose hashes
// name a pepper; those that name none for "".
func (r *APIKeys) Peppered(ctx context.Context, pepper string) (int64, error) {
	var named any = pepper
	if pepper == "" {
		named = bson.D{{Key: "$exists", Value: false}}
	}
	return r.engine.Count(ctx, apiKeys, bson.D{alive(), {Key: "pepper_id", Value: named}}, 0)
}

// NotDeleted counts the API keys of all tenants that are not deleted.
func (r *APIKeys) NotDeleted(ctx context.Context) (int64, error) {
	return r.engine.Count(ctx, apiKeys, bson.D{alive()}, 0)
}

// CreatedBy reads up to limit API keys of an organization that a user created.
func (r *APIKeys) CreatedBy(ctx context.Context, org models.OrganizationID, by models.UserID, limit int64) ([]models.APIKey, error) {
	return many[models.APIKey](ctx, r.engine, apiKeys, Query{
		Filter: bson.D{{Key: "org_id", Value: string(org)}, {Key: "created_by", Value: string(by)}, alive()}, Limit: limit,
	})
}

// Discard deletes an API key that was never shown to anybody.
func (r *APIKeys) Discard(ctx context.Context, project models.ProjectID, id models.KeyID) error {
	_, err := r.engine.Delete(ctx, apiKeys, bson.D{
		{Key: "_id", Value: string(id)}, {Key: "project_id", Value: string(project)},
	}, 1)
	return err
}

// Expiring reads up to limit keys of all tenants that expire in (after, until], the
// first to expire first.
func (r *APIKeys) Expiring(ctx context.Context, after, until time.Time, limit int64) ([]models.APIKey, error) {
	return many[models.APIKey](ctx, r.engine, apiKeys, Query{
		Filter: bson.D{alive(), {Key: "expires_at", Value: bson.D{{Key: "$gt", Value: after}, {Key: "$lte", Value: until}}}},
		Sort:   bson.D{{Key: "expires_at", Value: 1}}, Limit: limit,
	})
}
