package models

import (
	"strings"
	"time"
	"unicode"
)

// User is a person. A person belongs to one organization.
type User struct {
	ID    UserID         `bson:"_id"`
	OrgID OrganizationID `bson:"org_id"`
	// Email is lower-cased; unique over the installation.
	Email string `bson:"email"`
	Name  string `bson:"name"`
	// Role is the person's below ownership, which the organization's document
	// gives; Organization.RoleOf puts the two together.
	Role         Role   `bson:"role"`
	PasswordHash string `bson:"password_hash"`
	// PasswordVersion counts changes of the password. A session of an earlier
	// one has ended, so that one write changes a password and ends sessions.
	PasswordVersion int64 `bson:"password_version"`
	// Version counts changes, so that each is made of what it read; 0 is not stored.
	Version   int64     `bson:"version,omitempty"`
	IsDeleted bool      `bson:"is_deleted"`
	CreatedAt time.Time `bson:"created_at"`
	UpdatedAt time.Time `bson:"updated_at"`
}

// Session is one login of a person. Access tokens name it; its refresh token
// rotates at each use.
type Session struct {
	ID     SessionID      `bson:"_id"`
	UserID UserID         `bson:"user_id"`
	OrgID  OrganizationID `bson:"org_id"`
	// RefreshHash is the hex SHA-256 of the current refresh token.
	RefreshHash string `bson:"refresh_hash"`
	// PreviousHash is that of the token used last, at RotatedAt: a caller that races
	// with that use shows the same token again without being a thief.
	PreviousHash string     `bson:"previous_hash"`
	RotatedAt    *time.Time `bson:"rotated_at,omitempty"`
	// PasswordVersion is the person's when they proved who they are.
	PasswordVersion int64 `bson:"password_version"`
	Ended           bool  `bson:"ended"`
	// IP and UserAgent are those of the login, for its owner to tell logins
	// apart.
	IP        string `bson:"ip,omitempty"`
	UserAgent string `bson:"user_agent,omitempty"`
	// OperatorKey is set for the operator's, who is no person: the keyed hash of
	// the operator token that opened it. Another token ends it.
	OperatorKey string    `bson:"operator_key,omitempty"`
	CreatedAt   time.Time `bson:"created_at"`
	// ExpiresAt is when the current refresh token does.
	ExpiresAt time.Time `bson:"expires_at"`
}

// FoldEmail gives the form in which e-mail addresses are stored and compared:
// trimmed and in lower case.
func FoldEmail(email string) string { return strings.ToLower(strings.TrimSpace(email)) }

// AddressInText gives an e-mail address as it may stand in a mail to somebody
// else, or otherwise for one whose first part has characters that programs for
// mail make links of, such as www.example.com/prize@example.org.
func AddressInText(email, otherwise string) string {
	at := strings.LastIndexByte(email, '@')
	if at <= 0 {
		return otherwise
	}
	for _, r := range email[:at] {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune("._+-'", r) {
			return otherwise
		}
	}
	return email
}
