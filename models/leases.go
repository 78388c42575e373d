package models

import "time"

// Lease lets one of several replicas do a job until it ends or is renewed.
type Lease struct {
	// ID names the job.
	ID string `bson:"_id"`
	// Holder names the process that has it.
	Holder string `bson:"holder"`
	// Term is raised each time the lease is taken or renewed.
	Term int64 `bson:"term,omitempty"`
	// TTLMillis is how long the lease outlives its last renewal.
	TTLMillis int64     `bson:"ttl_ms,omitempty"`
	ExpiresAt time.Time `bson:"expires_at"`
}
