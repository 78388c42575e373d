package models

import "time"

// Throttle is what is counted under a name to slow down guesses, shared by replicas.
type Throttle struct {
	// ID is a hash of what is counted.
	ID string `bson:"_id"`
	// Version counts the changes; each states the version that it read.
	Version int64 `bson:"version"`
	// Failures is how many failed, Last when one did last.
	Failures int       `bson:"failures,omitempty"`
	Last     time.Time `bson:"last"`
	// Until is the end of a delay, or up to when a limit is used up.
	Until time.Time `bson:"until"`
	// Began is when a limit was last begun to be used, and Given how many nanoseconds of
	// Until were given back since.
	Began     time.Time `bson:"began,omitempty"`
	Given     int64     `bson:"given,omitempty"`
	ExpiresAt time.Time `bson:"expires_at"`
}
