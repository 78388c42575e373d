package models

import (
	"iter"
	"time"
)

// DefaultBanSeconds is how long new tokens are refused after a revocation;
// MaxBanSeconds is the longest that may be asked for.
const (
	DefaultBanSeconds = 3600
	MaxBanSeconds     = 30 * 24 * 3600
)

// MaxRevocations bounds the revocations in force of one project.
const MaxRevocations = 100_000

// Revocation takes back every token an identity of a project was given, for
// one room or (RoomName "") all, and refuses new ones for a while.
type Revocation struct {
	// ID is a function of project, identity and room (RevocationKey): a later
	// revocation replaces the earlier.
	ID string `bson:"_id"`
	// PublicID names it in /v1 and sorts by time; another revocation of the same
	// has another.
	PublicID  RevocationID `bson:"public_id,omitempty"`
	ProjectID ProjectID    `bson:"project_id"`
	Identity  string       `bson:"identity"`
	RoomName  string       `bson:"room_name"`
	// RevokedAt is when it was stored, or last extended (database.Revocations.Extend).
	RevokedAt time.Time `bson:"revoked_at"`
	// IssuedUntil is set once it was extended: the RevokedAt from before.
	IssuedUntil time.Time `bson:"issued_until,omitempty"`
	// BannedUntil is when new tokens are given again.
	BannedUntil time.Time `bson:"banned_until"`
	// ExpiresAt is when the last token from before the revocation has ended
	// and the ban too.
	ExpiresAt time.Time `bson:"expires_at"`
}

// RevocationKey is the ID of the revocation of an identity in a room of a
// project, or ("") in all. No room's name has a slash.
func RevocationKey(p ProjectID, room, identity string) string {
	return string(p) + "/" + room + "/" + identity
}

// From is when the revocation was made: it takes back the tokens issued until then.
func (r *Revocation) From() time.Time {
	if !r.IssuedUntil.IsZero() {
		return r.IssuedUntil
	}
	return r.RevokedAt
}

// Banned reports whether new tokens are refused at that time.
func (r *Revocation) Banned(at time.Time) bool { return at.Before(r.BannedUntil) }

// Covers reports whether a participant who joins at that time with a token that
// was issued then has to be evicted. issued is zero where it is not known.
func (r *Revocation) Covers(joined, issued time.Time) bool {
	return r.Banned(joined) || !issued.After(r.From()) && joined.Before(r.ExpiresAt)
}

// TokenIdentities are the identities whose token may have brought in a
// participant of that identity: itself, and what stands before each "#", since
// LiveKit adds "#" and a text of the bearer's choice where it connects with the
// parameter publish.
func TokenIdentities(identity string) iter.Seq[string] {
	return func(yield func(string) bool) {
		if !yield(identity) {
			return
		}
		for i := 1; i < len(identity) && i <= MaxIdentityBytes; i++ {
			if identity[i] == '#' && !yield(identity[:i]) {
				return
			}
		}
	}
}
