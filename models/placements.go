package models

import "time"

// PlacementKept is how long a room's placement outlives the last token for it. It
// is far longer than a room without new participants lasts.
const PlacementKept = 30 * 24 * time.Hour

// RoomPlacement says which LiveKit cluster a room is on. Every replica goes by it.
type RoomPlacement struct {
	// ID is the room's qualified name.
	ID        string    `bson:"_id"`
	Cluster   string    `bson:"cluster"`
	PlacedAt  time.Time `bson:"placed_at"`
	ExpiresAt time.Time `bson:"expires_at"`
}
