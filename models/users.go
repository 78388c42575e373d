package models

import "time"

// User is a person. A person belongs to one organization.
type User struct {
	ID    UserID         `bson:"_id"`
	OrgID OrganizationID `bson:"org_id"`
	// Email is lower-cased; unique over the installation.
	Email        string    `bson:"email"`
	Name         string    `bson:"name"`
	Role         Role      `bson:"role"`
	PasswordHash string    `bson:"password_hash"`
	IsDeleted    bool      `bson:"is_deleted"`
	CreatedAt    time.Time `bson:"created_at"`
	UpdatedAt    time.Time `bson:"updated_at"`
}

// Session is one login of a person. Access tokens name it; its refresh token
// rotates at each use.
type Session struct {
	ID     SessionID      `bson:"_id"`
	UserID UserID         `bson:"user_id"`
	OrgID  OrganizationID `bson:"org_id"`
	// RefreshHash is the hex SHA-256 of the current refresh token.
	RefreshHash string    `bson:"refresh_hash"`
	Ended       bool      `bson:"ended"`
	CreatedAt   time.Time `bson:"created_at"`
	// ExpiresAt is when the current refresh token does.
	ExpiresAt time.Time `bson:"expires_at"`
}
