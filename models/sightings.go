package models

import "time"

// Sighting is when a list of the cluster was last read: of the participants of
// a room (RM_…), or of all rooms, egresses or ingresses. Whatever was open and
// not found gone was there then.
type Sighting struct {
	ID     string    `bson:"_id"`
	SeenAt time.Time `bson:"seen_at"`
}
