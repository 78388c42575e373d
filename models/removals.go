package models

import "time"

// RemovalCause is why something has to leave the cluster.
type RemovalCause string

// The causes.
const (
	RemovedByQuota      RemovalCause = "quota"
	RemovedByRevocation RemovalCause = "revocation"
	RemovedByDeletion   RemovalCause = "project_deleted"
)

// Removal is a session that has to be ended on the LiveKit cluster: a
// participant to be removed, a room to be ended, an egress to be stopped. It
// lasts until the cluster has done so or the session has ended by itself.
type Removal struct {
	// ID is the session's.
	ID        string       `bson:"_id"`
	ProjectID ProjectID    `bson:"project_id"`
	Subject   Subject      `bson:"subject"`
	RoomName  string       `bson:"room_name"`
	Identity  string       `bson:"identity,omitempty"`
	Cause     RemovalCause `bson:"cause"`
	// Quota is the one that is exceeded.
	Quota Quota `bson:"quota,omitempty"`
	// DueAt is when it is tried (again).
	DueAt    time.Time `bson:"due_at"`
	Attempts int64     `bson:"attempts"`
}

// RemovalOf says that a session has to end.
func RemovalOf(s *UsageSession, cause RemovalCause, now time.Time) Removal {
	return Removal{ID: s.ID, ProjectID: s.ProjectID, Subject: s.Subject, RoomName: s.RoomName, Identity: s.Identity,
		Cause: cause, DueAt: now}
}
