package models

import "time"

// Lease lets one of several replicas do a job until it ends or is renewed.
type Lease struct {
	// ID names the job.
	ID string `bson:"_id"`
	// Holder names the process that has it.
	Holder    string    `bson:"holder"`
	ExpiresAt time.Time `bson:"expires_at"`
}
