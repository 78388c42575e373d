package models

import "time"

// Project is an organization's space of rooms, keys and usage on the shared
// LiveKit cluster.
type Project struct {
	ID    ProjectID      `bson:"_id"`
	OrgID OrganizationID `bson:"org_id"`
	Name  string         `bson:"name"`
	// NameKey is the name folded to lower case, for prefix search.
	NameKey string `bson:"name_key"`
	// Region is free text the operator's clusters give meaning to.
	Region string `bson:"region"`
	// PulseAPIKey is the public half of the project's first key pair, the one
	// regenerate-keys replaces.
	PulseAPIKey string `bson:"pulse_api_key"`
	// LeavingKeys are pairs about to be removed. Kept here, in one document,
	// the rule that a project keeps a usable pair is held by one atomic write;
	// KeysVersion counts changes of it.
	LeavingKeys  []LeavingKey  `bson:"leaving_keys,omitempty"`
	KeysVersion  int64         `bson:"keys_version"`
	ClientTokens ClientTokens  `bson:"client_tokens"`
	Limits       ProjectLimits `bson:"limits"`
	// LimitsChangedAt is when the limits were last changed.
	LimitsChangedAt time.Time  `bson:"limits_changed_at,omitempty"`
	IsDeleted       bool       `bson:"is_deleted"`
	CreatedAt       time.Time  `bson:"created_at"`
	UpdatedAt       time.Time  `bson:"updated_at"`
	DeletedAt       *time.Time `bson:"deleted_at,omitempty"`
}

// LeavingKey is a pair on its way out since a time. It no longer counts as one
// the project can be used with.
type LeavingKey struct {
	ID KeyID     `bson:"id"`
	At time.Time `bson:"at"`
}

// ClientTokens is what a client-grade caller (the key alone) may mint.
type ClientTokens struct {
	Enabled bool `bson:"enabled"`
	// MaxTTLSeconds caps ttl_seconds of client-grade tokens.
	MaxTTLSeconds int64 `bson:"max_ttl_seconds"`
	// Grants is the most a client-grade token carries, and what it gets when
	// it asks for nothing.
	Grants VideoGrants `bson:"grants"`
	// AllowedOrigins, when not empty, are the only browser origins served.
	AllowedOrigins []string `bson:"allowed_origins"`
}

// DefaultClientTokens is the policy of a new project: join, publish,
// subscribe and data, for as long as any token may live, from any origin.
func DefaultClientTokens() ClientTokens {
	return ClientTokens{
		Enabled:        true,
		MaxTTLSeconds:  MaxTokenTTLSeconds,
		Grants:         DefaultGrants(),
		AllowedOrigins: []string{},
	}
}

// ProjectLimits are set by the operator; zero means the plan's or the
// installation's default. All but RequestsPerMinute are quotas (Quotas).
type ProjectLimits struct {
	RequestsPerMinute      int64 `bson:"requests_per_minute"`
	ConcurrentParticipants int64 `bson:"concurrent_participants"`
	ConcurrentAgents       int64 `bson:"concurrent_agents,omitempty"`
	Rooms                  int64 `bson:"rooms,omitempty"`
	ParticipantMinutes     int64 `bson:"participant_minutes_per_month,omitempty"`
	EgressMinutes          int64 `bson:"egress_minutes_per_month,omitempty"`
}

// ClientTokensChange is a partial update of the policy; nil leaves a field as
// it is.
type ClientTokensChange struct {
	Enabled        *bool
	MaxTTLSeconds  *int64
	Grants         *VideoGrants
	AllowedOrigins *[]string
}

// ProjectLimitsChange is a partial update of the limits; nil leaves a field as
// it is.
type ProjectLimitsChange struct {
	RequestsPerMinute      *int64
	ConcurrentParticipants *int64
	ConcurrentAgents       *int64
	Rooms                  *int64
	ParticipantMinutes     *int64
	EgressMinutes          *int64
}
