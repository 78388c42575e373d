package models

import "time"

const (
	// ClockWarning and ClockLimit are how far a replica's clock may differ from the
	// database's before the log says so, and before the replica is not ready.
	ClockWarning = 2 * time.Second
	ClockLimit   = 5 * time.Second
	// ClocksKept is how long a reading of the database's clock is kept.
	ClocksKept = time.Hour
)

// ClockReading is a time that the database wrote for one process.
type ClockReading struct {
	// ID names the process.
	ID string    `bson:"_id"`
	At time.Time `bson:"at"`
}
