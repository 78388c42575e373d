package models

import "time"

// DownloadID names a download.
type DownloadID string

// DownloadPrefix is that of downloads' ids.
const DownloadPrefix = "dwn_"

// DownloadTTL is how long a download can be fetched.
const DownloadTTL = time.Minute

// Download lets a browser fetch one export without a credential, once. What it
// may read is decided when it is fetched, by the rights of the login session
// that asked for it.
type Download struct {
	ID DownloadID `bson:"_id"`
	// KeyHash is the hex SHA-256 of the key in its URL.
	KeyHash string `bson:"key_hash"`
	// Path is the export's, with its query.
	Path string `bson:"path"`
	// OrgID is empty for the operator, and SessionID for one without a session.
	OrgID     OrganizationID `bson:"org_id"`
	SessionID SessionID      `bson:"session_id"`
	Used      bool           `bson:"used"`
	ExpiresAt time.Time      `bson:"expires_at"`
}
