package database

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

const apiKeys = "api_keys"

// apiKeysCollection holds every key pair, the projects' first ones included.
func apiKeysCollection() Collection {
	return Collection{
		Name: apiKeys,
		Fields: []Field{
			{"key", String}, {"project_id", String}, {"org_id", String},
			{"created_by", String}, {"is_deleted", Bool}, {"expires_at", Time},
		},
		Indexes: []Index{
			{Keys: []string{"key"}, Unique: true},
			{Keys: []string{"project_id"}},
			{Keys: []string{"org_id"}},
		},
	}
}

// APIKeys is the repository of key pairs.
type APIKeys struct{ engine Engine }

// NewAPIKeys reads and writes key pairs through an engine.
func NewAPIKeys(e Engine) *APIKeys { return &APIKeys{e} }

// Insert stores a new pair.
func (r *APIKeys) Insert(ctx context.Context, k *models.APIKey) error {
	return r.engine.Insert(ctx, apiKeys, k)
}

// ByKey reads the pair with a public key, whatever its tenant: authentication
// knows none yet. not_found if there is none or it was deleted.
func (r *APIKeys) ByKey(ctx context.Context, key string) (models.APIKey, error) {
	return one[models.APIKey](ctx, r.engine, apiKeys, Query{
		Filter: bson.D{{Key: "key", Value: key}, alive()},
	})
}

// ExpireKey ends a project's pair at a time, unless it ends before, and
// answers not_found if there is no such pair.
func (r *APIKeys) ExpireKey(ctx context.Context, project models.ProjectID, key string, at time.Time) (models.APIKey, error) {
	return changed[models.APIKey](ctx, r.engine, apiKeys, bson.D{
		{Key: "project_id", Value: string(project)}, {Key: "key", Value: key}, alive(),
	}, bson.D{{Key: "$min", Value: bson.D{{Key: "expires_at", Value: at}}}})
}

// RevokeOf ends every pair of an organization that a person made.
func (r *APIKeys) RevokeOf(ctx context.Context, org models.OrganizationID, by models.UserID) error {
	_, err := r.engine.Update(ctx, apiKeys, bson.D{
		{Key: "org_id", Value: string(org)}, {Key: "created_by", Value: string(by)}, alive(),
	}, fields{{Key: "is_deleted", Value: true}}.update(), UpdateOptions{Many: true})
	return err
}

// Discard removes a pair nobody was ever given.
func (r *APIKeys) Discard(ctx context.Context, project models.ProjectID, id models.KeyID) error {
	_, err := r.engine.Delete(ctx, apiKeys, bson.D{
		{Key: "_id", Value: string(id)}, {Key: "project_id", Value: string(project)},
	}, 1)
	return err
}
