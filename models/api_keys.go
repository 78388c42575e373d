package models

import "time"

// APIKey is a key pair of a project: a public key, which may be in a browser
// or app, and a secret that makes its bearer server grade.
type APIKey struct {
	ID        KeyID          `bson:"_id"`
	Key       string         `bson:"key"`
	ProjectID ProjectID      `bson:"project_id"`
	OrgID     OrganizationID `bson:"org_id"`
	Name      string         `bson:"name"`
	// SecretHash is bcrypt over HMAC-SHA-256 of the secret with API_KEY_PEPPER.
	SecretHash string `bson:"secret_hash"`
	// SecretHint is the last four characters of the secret.
	SecretHint string  `bson:"secret_hint"`
	Scopes     []Scope `bson:"scopes"`
	CreatedBy  UserID  `bson:"created_by,omitempty"`
	IsDeleted  bool    `bson:"is_deleted"`
	// ExpiresAt is when the pair stops working: a set expiry, or the end of
	// the grace period after it was rotated away.
	ExpiresAt *time.Time `bson:"expires_at,omitempty"`
	CreatedAt time.Time  `bson:"created_at"`
}

// Usable tells whether the pair works at that time.
func (k *APIKey) Usable(at time.Time) bool {
	return !k.IsDeleted && (k.ExpiresAt == nil || at.Before(*k.ExpiresAt))
}
