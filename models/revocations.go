package models

import "time"

// DefaultBanSeconds is how long new tokens are refused after a revocation;
// MaxBanSeconds is the longest that may be asked for.
const (
	DefaultBanSeconds = 3600
	MaxBanSeconds     = 30 * 24 * 3600
)

// Revocation takes back every token an identity of a project was given, for
// one room or (RoomName "") all, and refuses new ones for a while.
type Revocation struct {
	// ID is a function of project, identity and room: a later revocation
	// replaces the earlier.
	ID        string    `bson:"_id"`
	ProjectID ProjectID `bson:"project_id"`
	Identity  string    `bson:"identity"`
	RoomName  string    `bson:"room_name"`
	RevokedAt time.Time `bson:"revoked_at"`
	// BannedUntil is when new tokens may be had again.
	BannedUntil time.Time `bson:"banned_until"`
	// ExpiresAt is when the last token from before the revocation has ended
	// and the ban too.
	ExpiresAt time.Time `bson:"expires_at"`
}

// Banned tells whether new tokens are refused at that time.
func (r *Revocation) Banned(at time.Time) bool { return at.Before(r.BannedUntil) }

// Covers tells whether somebody who joins at that time with a token that was
// issued then has to leave. issued is zero where it is not known.
func (r *Revocation) Covers(joined, issued time.Time) bool {
	return r.Banned(joined) || !issued.After(r.RevokedAt) && joined.Before(r.ExpiresAt)
}
