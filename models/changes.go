package models

// Change says what a write has changed, for the caches that remember it. The
// fields that are not set match anything that has the ones that are.
type Change struct {
	// Key is an API key's publishable half; KeyID is its id.
	Key   string
	KeyID KeyID
	// OrgID alone means the organization itself and everything of it.
	OrgID     OrganizationID
	ProjectID ProjectID
	UserID    UserID
	SessionID SessionID
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
