package database

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

const sessions = "sessions"

// sessionsCollection holds the login sessions. A document expires with its last
// refresh token.
func sessionsCollection() Collection {
	at := time.Duration(0)
	return Collection{
		Name: sessions,
		Fields: []Field{
			{Name: "user_id", Kind: String}, {Name: "org_id", Kind: String}, {Name: "refresh_hash", Kind: String},
			{Name: "ended", Kind: Bool}, {Name: "expires_at", Kind: Time},
		},
		Indexes: []Index{
			{Keys: []string{"org_id"}},
			{Keys: []string{"user_id", "_id"}},
			{Keys: []string{"expires_at"}, ExpireAfter: &at},
		},
	}
}

// Sessions is the repository of login sessions.
type Sessions struct{ engine Engine }

// NewSessions returns the repository over an engine.
func NewSessions(e Engine) *Sessions { return &Sessions{e} }

// Insert stores a new login session.
func (r *Sessions) Insert(ctx context.Context, s *models.Session) error {
	return insertOnce(ctx, r.engine, sessions, s, string(s.ID))
}

// Get reads one active login session, or not_found.
func (r *Sessions) Get(ctx context.Context, t models.Tenant, id models.SessionID) (models.Session, error) {
	filter, err := ofOrganization(t)
	if err != nil {
		return models.Session{}, err
	}
	filter = append(filter, bson.E{Key: "_id", Value: string(id)}, bson.E{Key: "ended", Value: false})
	return one[models.Session](ctx, r.engine, sessions, Query{Filter: filter})
}

// ByID reads one active login session of any tenant, or not_found: a refresh
// token contains a session id and no tenant.
func (r *Sessions) ByID(ctx context.Context, id models.SessionID) (models.Session, error) {
	return one[models.Session](ctx, r.engine, sessions, Query{
		Filter: bson.D{{Key: "_id", Value: string(id)}, {Key: "ended", Value: false}},
	})
}

// Rotate replaces a login session's refresh token, if the presented one is
// current and not expired, and returns the session; otherwise not_found.
func (r *Sessions) Rotate(ctx context.Context, id models.SessionID, shown, next string, now, expires time.Time) (models.Session, error) {
	return changed[models.Session](ctx, r.engine, sessions, bson.D{
		{Key: "_id", Value: string(id)}, {Key: "refresh_hash", Value: shown}, {Key: "ended", Value: false},
		{Key: "expires_at", Value: bson.D{{Key: "$gt", Value: now}}},
	}, fields{
		{Key: "refresh_hash", Value: next}, {Key: "previous_hash", Value: shown},
		{Key: "rotated_at", Value: now}, {Key: "expires_at", Value: expires},
	}.update())
}

// KeepAfterPassword keeps one login session of a user valid after a change of
// the password to a version.
func (r *Sessions) KeepAfterPassword(ctx context.Context, user models.UserID, id models.SessionID, version int64) error {
	_, err := r.engine.Update(ctx, sessions,
		bson.D{{Key: "_id", Value: string(id)}, {Key: "user_id", Value: string(user)}, {Key: "ended", Value: false}},
		fields{{Key: "password_version", Value: version}}.update(), UpdateOptions{})
	return err
}

// Of reads a page of a person's logins that have not ended.
func (r *Sessions) Of(ctx context.Context, t models.Tenant, user models.UserID, now time.Time, p Page) ([]models.Session, error) {
	filter, err := ofOrganization(t)
	if err != nil {
		return nil, err
	}
	return page[models.Session](ctx, r.engine, sessions, append(filter,
		bson.E{Key: "user_id", Value: string(user)}, bson.E{Key: "ended", Value: false},
		bson.E{Key: "expires_at", Value: bson.D{{Key: "$gt", Value: now}}}), p)
}

// EndOthers ends every login of a person but one.
func (r *Sessions) EndOthers(ctx context.Context, user models.UserID, keep models.SessionID) error {
	_, err := r.engine.Update(ctx, sessions, bson.D{
		{Key: "user_id", Value: string(user)}, {Key: "ended", Value: false}, {Key: "_id", Value: bson.D{{Key: "$ne", Value: string(keep)}}},
	}, fields{{Key: "ended", Value: true}}.update(), UpdateOptions{Many: true})
	return err
}

// End ends one login session; a missing or ended one is not an error.
func (r *Sessions) End(ctx context.Context, id models.SessionID) error {
	_, err := r.engine.Update(ctx, sessions, bson.D{{Key: "_id", Value: string(id)}},
		fields{{Key: "ended", Value: true}}.update(), UpdateOptions{})
	return err
}

// EndOf ends every login session of an organization.
func (r *Sessions) EndOf(ctx context.Context, org models.OrganizationID) error {
	_, err := r.engine.Update(ctx, sessions,
		bson.D{{Key: "org_id", Value: string(org)}, {Key: "ended", Value: false}},
		bson.D{{Key: "$set", Value: bson.D{{Key: "ended", Value: true}}}}, UpdateOptions{Many: true})
	return err
}
