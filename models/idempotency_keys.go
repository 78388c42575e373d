package models

import "time"

const (
	// MaxIdempotencyKey is the most characters an Idempotency-Key has.
	MaxIdempotencyKey = 255
	// IdempotencyTTL is how long a first answer is kept.
	IdempotencyTTL = 24 * time.Hour
	// IdempotencyLease is how long a first request may take before another may
	// replace it: several times the deadline of a request, so that only a
	// process that died leaves its lease to run out.
	IdempotencyLease = time.Minute
	// MaxIdempotencyBytes is how much one tenant's answers may take that are kept.
	MaxIdempotencyBytes = 16 << 20
)

// IdempotencyKey is a request that a caller may send again.
type IdempotencyKey struct {
	// ID is a hash of the tenant and of the key it chose.
	ID string `bson:"_id"`
	// Fingerprint is a keyed hash of who called, the route and the body: the
	// body may hold a password, which a plain hash would let be guessed.
	Fingerprint string `bson:"fingerprint"`
	// Lock names the attempt that runs, and LockedUntil is when its lease ends.
	Lock        string    `bson:"lock"`
	LockedUntil time.Time `bson:"locked_until"`
	// Seed, sealed, is what the ids and secrets of the request are made of, so that
	// another attempt finds what one before it made.
	Seed        string `bson:"seed,omitempty"`
	Done        bool   `bson:"done"`
	Status      int    `bson:"status,omitempty"`
	ContentType string `bson:"content_type,omitempty"`
	// Answer is the body, sealed: secrets that are shown once are in it.
	Answer    string    `bson:"answer,omitempty"`
	CreatedAt time.Time `bson:"created_at"`
	ExpiresAt time.Time `bson:"expires_at"`
}

// IdempotencyHour is what a tenant stored within one hour.
type IdempotencyHour struct {
	// ID is a function of the tenant and the hour.
	ID    string `bson:"_id"`
	Bytes int64  `bson:"bytes"`
	// ExpiresAt is when the last answer of the hour has expired.
	ExpiresAt time.Time `bson:"expires_at"`
}
