package models

import "time"

// EvictionCause is why something has to leave the cluster.
type EvictionCause string

// The causes.
const (
	EvictedByQuota      EvictionCause = "quota"
	EvictedByRevocation EvictionCause = "revocation"
	EvictedByDeletion   EvictionCause = "project_deleted"
)

// Eviction is a session that has to be ended on the LiveKit cluster: a
// participant to be removed, a room to be ended, an egress to be stopped. It
// lasts until the cluster has done so or the session has ended by itself.
type Eviction struct {
	// ID is the session's.
	ID        string        `bson:"_id"`
	ProjectID ProjectID     `bson:"project_id"`
	Subject   Subject       `bson:"subject"`
	RoomName  string        `bson:"room_name"`
	Identity  string        `bson:"identity,omitempty"`
	Cause     EvictionCause `bson:"cause"`
	// Quota is the one that is exceeded.
	Quota Quota `bson:"quota,omitempty"`
	// DueAt is when it is tried (again).
	DueAt    time.Time `bson:"due_at"`
	Attempts int64     `bson:"attempts"`
	// CreatedAt is when it was stored; zero for one of an older binary.
	CreatedAt time.Time `bson:"created_at,omitempty"`
}

// EvictionOf says that a session has to end.
func EvictionOf(s *UsageSession, cause EvictionCause, now time.Time) Eviction {
	return Eviction{ID: s.ID, ProjectID: s.ProjectID, Subject: s.Subject, RoomName: s.RoomName, Identity: s.Identity,
		Cause: cause, DueAt: now, CreatedAt: now}
}
