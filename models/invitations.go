package models

import "time"

// InvitationTTL is how long an invitation can be accepted.
const InvitationTTL = 7 * 24 * time.Hour

// MaxPendingInvitations bounds what an organization may have open at a time,
// because each may send a mail to a person who did not ask for it.
const MaxPendingInvitations = 200

// Invitation asks one address into an organization, once.
type Invitation struct {
	ID    InvitationID   `bson:"_id"`
	OrgID OrganizationID `bson:"org_id"`
	// Email is lower-cased.
	Email string `bson:"email"`
	Role  Role   `bson:"role"`
	// TokenHash is the hex SHA-256 of the accept token.
	TokenHash string `bson:"token_hash"`
	InvitedBy UserID `bson:"invited_by,omitempty"`
	// PendingKey is set while the invitation can be accepted and is unique: an
	// address has one open invitation into an organization.
	PendingKey string     `bson:"pending_key,omitempty"`
	AcceptedAt *time.Time `bson:"accepted_at,omitempty"`
	// AcceptedBy is the user that accepting it made, or will make.
	AcceptedBy UserID    `bson:"accepted_by,omitempty"`
	CreatedAt  time.Time `bson:"created_at"`
	ExpiresAt  time.Time `bson:"expires_at"`
}

// MayBeGivenBy reports whether a person of that role may give out the invitation.
func (i *Invitation) MayBeGivenBy(inviter Role) bool {
	needed := RuleOf(ActionInvitationsWrite).Person
	if i.Role == RoleOwner {
		needed = RuleOf(ActionOwnersWrite).Person
	}
	return inviter.AtLeast(needed)
}

// PendingKeyOf is the PendingKey of an address in an organization.
func PendingKeyOf(org OrganizationID, email string) string { return string(org) + "|" + email }
