package database

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

const passwordResets = "password_resets"

// passwordResetsCollection holds the mails that are to be sent to people who
// forgot their password.
func passwordResetsCollection() Collection {
	at := time.Duration(0)
	return Collection{
		Name:   passwordResets,
		Fields: []Field{{Name: "sent", Kind: Bool}, {Name: "next_at", Kind: Time}, {Name: "expires_at", Kind: Time}},
		Indexes: []Index{
			{Keys: []string{"sent", "next_at"}},
			{Keys: []string{"expires_at"}, ExpireAfter: &at},
		},
	}
}

// PasswordResets is the repository of password resets.
type PasswordResets struct{ engine Engine }

// NewPasswordResets returns the repository over an engine.
func NewPasswordResets(e Engine) *PasswordResets { return &PasswordResets{e} }

// Insert stores a new password reset; one with the same id already is no error.
func (r *PasswordResets) Insert(ctx context.Context, p *models.PasswordReset) error {
	err := r.engine.Insert(ctx, passwordResets, p)
	if models.IsKind(err, models.KindConflict) {
		return nil
	}
	return err
}

// Claim takes a password reset that waits to be sent until a time; not_found if
// none does.
func (r *PasswordResets) Claim(ctx context.Context, now, until time.Time) (models.PasswordReset, error) {
	return changed[models.PasswordReset](ctx, r.engine, passwordResets, bson.D{
		{Key: "sent", Value: false}, {Key: "next_at", Value: bson.D{{Key: "$lte", Value: now}}},
		{Key: "expires_at", Value: bson.D{{Key: "$gt", Value: now}}},
	}, fields{{Key: "next_at", Value: until}}.update())
}

// Done marks a password reset as sent.
func (r *PasswordResets) Done(ctx context.Context, id string) error {
	_, err := r.engine.Update(ctx, passwordResets, bson.D{{Key: "_id", Value: id}}, fields{{Key: "sent", Value: true}}.update(), UpdateOptions{})
	return err
}
