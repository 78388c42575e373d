package models

import "time"

// PasswordResetTTL is how long the link of a password reset works.
const PasswordResetTTL = time.Hour

// PasswordReset is a request for a link to set a new password. It holds an
// address that a person typed: whether it is a person's is found out when the
// mail is sent, so that no answer and no answer's time tells.
type PasswordReset struct {
	ID    string `bson:"_id"`
	Email string `bson:"email"`
	Sent  bool   `bson:"sent"`
	// NextAt is when it may be tried (again).
	NextAt    time.Time `bson:"next_at"`
	CreatedAt time.Time `bson:"created_at"`
	ExpiresAt time.Time `bson:"expires_at"`
}
