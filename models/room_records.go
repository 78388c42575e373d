package models

import "time"

// RoomKept is how long what Pulse keeps of a room outlives its last change.
const RoomKept = 30 * 24 * time.Hour

// Room is what Pulse keeps of a room that was created through it: LiveKit does not
// give tags back.
type Room struct {
	// ID is the room's qualified name, SID LiveKit's id of this opening of it.
	ID   string            `bson:"_id"`
	SID  string            `bson:"sid"`
	Tags map[string]string `bson:"tags,omitempty"`
	// Intent marks the request that opens, or opened, the room, if it had an
	// Idempotency-Key; SID is empty until it did.
	Intent    string    `bson:"intent,omitempty"`
	ExpiresAt time.Time `bson:"expires_at"`
}
