package models

// Typed ids. Each is a prefix and a UUIDv7 (RFC 9562) in its canonical text
// form, so that ids sort by creation; utils/ids makes and checks them.
type (
	// OrganizationID names a tenant: "org_…".
	OrganizationID string
	// ProjectID names a project of an organization: "prj_…".
	ProjectID string
	// UserID names a person: "usr_…".
	UserID string
	// KeyID names an API key: "key_…". The public key string itself is
	// APIKey.PublicKey.
	KeyID string
	// SessionID names a login of a person: "ses_…". Every refresh token and
	// access token of one login carries it.
	SessionID string
	// InvitationID names an invitation into an organization: "inv_…".
	InvitationID string
	// TokenID names a minted LiveKit token (its jti): "tok_…".
	TokenID string
	// RevocationID names a revocation of tokens: "rev_…".
	RevocationID string
)

// Prefixes of the ids, as they stand in /v1.
const (
	OrganizationPrefix = "org_"
	ProjectPrefix      = "prj_"
	UserPrefix         = "usr_"
	KeyPrefix          = "key_"
	SessionPrefix      = "ses_"
	InvitationPrefix   = "inv_"
	TokenPrefix        = "tok_"
	RevocationPrefix   = "rev_"
	EventPrefix        = "evt_"
	RequestPrefix      = "req_"
)
