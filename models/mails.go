package models

import "time"

const (
	// MailsPerAddress is the most mails to one address within MailAddressWindow.
	MailsPerAddress   = 5
	MailAddressWindow = time.Hour
	// MailsPerOrganization is the most mails from one organization within
	// MailOrganizationWindow.
	MailsPerOrganization   = 100
	MailOrganizationWindow = 24 * time.Hour
)

// MailSlot is one mail that counts against a limit.
type MailSlot struct {
	// ID is a function of what is limited and of the slot's number.
	ID string `bson:"_id"`
	// ExpiresAt is when the mail counts no more.
	ExpiresAt time.Time `bson:"expires_at"`
}
