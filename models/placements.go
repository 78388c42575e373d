package models

import "time"

// A room's placement outlives the last token for it by PlacementSpare, and the last
// join by PlacementJoined, which is longer than a room goes on without another. A
// key that anybody may hold can name any number of rooms, so a name alone is not
// remembered for longer than its token works.
const (
	PlacementSpare  = time.Hour
	PlacementJoined = 7 * 24 * time.Hour
)

// RoomPlacement says which LiveKit cluster a room is on. Every replica goes by it.
type RoomPlacement struct {
	// ID is the room's qualified name.
	ID        string    `bson:"_id"`
	Cluster   string    `bson:"cluster"`
	PlacedAt  time.Time `bson:"placed_at"`
	ExpiresAt time.Time `bson:"expires_at"`
}
