package database

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

const sessions = "sessions"

// sessionsCollection holds the logins of people. A document expires with its
// last refresh token.
func sessionsCollection() Collection {
	at := time.Duration(0)
	return Collection{
		Name: sessions,
		Fields: []Field{
			{"user_id", String}, {"org_id", String}, {"refresh_hash", String},
			{"ended", Bool}, {"expires_at", Time},
		},
		Indexes: []Index{
			{Keys: []string{"user_id"}},
			{Keys: []string{"org_id"}},
			{Keys: []string{"expires_at"}, ExpireAfter: &at},
		},
	}
}

// Sessions is the repository of logins.
type Sessions struct{ engine Engine }

// NewSessions reads and writes logins through an engine.
func NewSessions(e Engine) *Sessions { return &Sessions{e} }

// Insert stores a new login.
func (r *Sessions) Insert(ctx context.Context, s *models.Session) error {
	return r.engine.Insert(ctx, sessions, s)
}

// Get reads one login that has not ended, or not_found.
func (r *Sessions) Get(ctx context.Context, t models.Tenant, id models.SessionID) (models.Session, error) {
	filter, err := ofOrganization(t)
	if err != nil {
		return models.Session{}, err
	}
	filter = append(filter, bson.E{Key: "_id", Value: string(id)}, bson.E{Key: "ended", Value: false})
	return one[models.Session](ctx, r.engine, sessions, Query{Filter: filter})
}

// EndOf ends every login of an organization.
func (r *Sessions) EndOf(ctx context.Context, org models.OrganizationID) error {
	_, err := r.engine.Update(ctx, sessions,
		bson.D{{Key: "org_id", Value: string(org)}, {Key: "ended", Value: false}},
		bson.D{{Key: "$set", Value: bson.D{{Key: "ended", Value: true}}}}, UpdateOptions{Many: true})
	return err
}
