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

// ByID reads one login that has not ended, whatever its tenant: a refresh
// token names a session and no tenant. not_found if there is none.
func (r *Sessions) ByID(ctx context.Context, id models.SessionID) (models.Session, error) {
	return one[models.Session](ctx, r.engine, sessions, Query{
		Filter: bson.D{{Key: "_id", Value: string(id)}, {Key: "ended", Value: false}},
	})
}

// Rotate replaces a login's refresh token by its successor, if the one shown is
// still the current one and has not expired, and returns the login; not_found
// otherwise.
func (r *Sessions) Rotate(ctx context.Context, id models.SessionID, shown, next string, now, expires time.Time) (models.Session, error) {
	return changed[models.Session](ctx, r.engine, sessions, bson.D{
		{Key: "_id", Value: string(id)}, {Key: "refresh_hash", Value: shown}, {Key: "ended", Value: false},
		{Key: "expires_at", Value: bson.D{{Key: "$gt", Value: now}}},
	}, fields{
		{Key: "refresh_hash", Value: next}, {Key: "previous_hash", Value: shown},
		{Key: "rotated_at", Value: now}, {Key: "expires_at", Value: expires},
	}.update())
}

// KeepAfterPassword lets one login of a person outlive the change of their
// password to a version.
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

// End ends one login; that it has ended already, or is not there, is no error.
func (r *Sessions) End(ctx context.Context, id models.SessionID) error {
	_, err := r.engine.Update(ctx, sessions, bson.D{{Key: "_id", Value: string(id)}},
		fields{{Key: "ended", Value: true}}.update(), UpdateOptions{})
	return err
}

// EndOf ends every login of an organization.
func (r *Sessions) EndOf(ctx context.Context, org models.OrganizationID) error {
	_, err := r.engine.Update(ctx, sessions,
		bson.D{{Key: "org_id", Value: string(org)}, {Key: "ended", Value: false}},
		bson.D{{Key: "$set", Value: bson.D{{Key: "ended", Value: true}}}}, UpdateOptions{Many: true})
	return err
}
