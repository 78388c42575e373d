package models

import "time"

// Change says what a write has changed, for the caches that remember it. The
// fields that are not set match anything that has the ones that are.
type Change struct {
	// Key is an API key's publishable half; KeyID is its id.
	Key   string `bson:"key,omitempty"`
	KeyID KeyID  `bson:"key_id,omitempty"`
	// OrgID alone means the organization itself and everything of it.
	OrgID     OrganizationID `bson:"org_id,omitempty"`
	ProjectID ProjectID      `bson:"project_id,omitempty"`
	UserID    UserID         `bson:"user_id,omitempty"`
	SessionID SessionID      `bson:"session_id,omitempty"`
	// Topic, if set, is published to replicas instead; no cache is affected. KeyID
	// is then that of no key, for older binaries.
	Topic Topic `bson:"topic,omitempty"`
}

// Topic is something besides caches that replicas announce to each other.
type Topic string

// The topics: something happened that may have made work, and a revocation was
// stored.
const (
	TopicActivity    Topic = "activity"
	TopicRevocations Topic = "revocations"
)

// ChangesKept is how long stored changes are kept. A replica that could not read
// them for longer drops everything it remembers.
const ChangesKept = time.Hour

// StoredChange is a change as replicas read it.
type StoredChange struct {
	ID string `bson:"_id"`
	// Writer names the process that made the change.
	Writer string    `bson:"writer"`
	Change Change    `bson:"change"`
	At     time.Time `bson:"at"`
}

// OrganizationChanged is a change of an organization, of its plan or members.
func OrganizationChanged(id OrganizationID) Change { return Change{OrgID: id} }

// ProjectChanged is a change of a project or of what all its keys may do.
func ProjectChanged(id ProjectID) Change { return Change{ProjectID: id} }

// KeyChanged is a change of one API key.
func KeyChanged(id KeyID, key string) Change { return Change{KeyID: id, Key: key} }

// UserChanged is a change of a person, or of all their login sessions.
func UserChanged(id UserID) Change { return Change{UserID: id} }

// SessionChanged is a change of one login session.
func SessionChanged(org OrganizationID, id SessionID) Change {
	return Change{OrgID: org, SessionID: id}
}
