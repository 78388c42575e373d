package models

import (
	"slices"
	"strings"
	"time"
)

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
	LeavingKeys  []LeavingKey `bson:"leaving_keys,omitempty"`
	KeysVersion  int64        `bson:"keys_version"`
	ClientTokens ClientTokens `bson:"client_tokens"`
	// Agents are the names of LiveKit agents the project's tokens may dispatch;
	// nil means the installation's default (AGENTS_DEFAULT).
	Agents []string      `bson:"agents"`
	Limits ProjectLimits `bson:"limits"`
	// Storage is where recordings go; nil is none.
	Storage   *Storage  `bson:"storage,omitempty"`
	Recording Recording `bson:"recording,omitempty"`
	// LimitsChangedAt is when the limits were last changed.
	LimitsChangedAt time.Time `bson:"limits_changed_at,omitempty"`
	// Version counts changes, so that each is made of what it read; 0 is not stored.
	Version   int64      `bson:"version,omitempty"`
	IsDeleted bool       `bson:"is_deleted"`
	CreatedAt time.Time  `bson:"created_at"`
	UpdatedAt time.Time  `bson:"updated_at"`
	DeletedAt *time.Time `bson:"deleted_at,omitempty"`
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
	// AllowedRooms are patterns (MatchesPattern) of the rooms served; nil, as in
	// documents of earlier versions, means all.
	AllowedRooms []string `bson:"allowed_rooms"`
	// Identities says who names the participant; "" means any.
	Identities Identities `bson:"identities"`
	// Agents are the names of LiveKit agents a client-grade token may dispatch,
	// as far as the project may.
	Agents []string `bson:"agents"`
}

// Identities says who names the participant of a client-grade token.
type Identities string

// The values of Identities.
const (
	// IdentitiesAny lets the client name itself.
	IdentitiesAny Identities = "any"
	// IdentitiesGenerated gives each token an identity of its own.
	IdentitiesGenerated Identities = "generated"
)

// DefaultClientTokenTTLSeconds is the max_ttl_seconds of a new project: a token
// is needed only to join.
const DefaultClientTokenTTLSeconds = 900

// AllNames is the pattern and the agent name that stand for all.
const AllNames = "*"

// DefaultClientTokens is the policy of a new project: join, publish,
// subscribe and data in any room, under any identity, from any origin.
func DefaultClientTokens() ClientTokens {
	return ClientTokens{
		Enabled:        true,
		MaxTTLSeconds:  DefaultClientTokenTTLSeconds,
		Grants:         DefaultGrants(),
		AllowedOrigins: []string{},
		AllowedRooms:   []string{AllNames},
		Identities:     IdentitiesAny,
		Agents:         []string{},
	}
}

// Complete fills in what documents of earlier versions lack.
func (c *ClientTokens) Complete() {
	if c.AllowedRooms == nil {
		c.AllowedRooms = []string{AllNames}
	}
	if c.Identities == "" {
		c.Identities = IdentitiesAny
	}
	if c.Agents == nil {
		c.Agents = []string{}
	}
}

// AllowsRoom reports whether one of the patterns matches a room's name.
func (c *ClientTokens) AllowsRoom(name string) bool {
	if c.AllowedRooms == nil {
		return true
	}
	for _, pattern := range c.AllowedRooms {
		if MatchesPattern(pattern, name) {
			return true
		}
	}
	return false
}

// MatchesPattern reports whether a pattern, in which * stands for any characters
// or none, matches a whole name.
func MatchesPattern(pattern, name string) bool {
	first, rest, wild := strings.Cut(pattern, AllNames)
	if !wild {
		return pattern == name
	}
	name, matches := strings.CutPrefix(name, first)
	if !matches {
		return false
	}
	for {
		part, more, wild := strings.Cut(rest, AllNames)
		if !wild { // the end of the pattern is the end of the name
			return strings.HasSuffix(name, part)
		}
		at := strings.Index(name, part)
		if at < 0 {
			return false
		}
		name, rest = name[at+len(part):], more
	}
}

// MayDispatch reports whether a list of agent names allows one. The empty name,
// LiveKit's for workers without one, takes "*".
func MayDispatch(agents []string, name string) bool {
	return slices.Contains(agents, AllNames) || name != "" && slices.Contains(agents, name)
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
	ConcurrentEgresses     int64 `bson:"concurrent_egresses,omitempty"`
	ConcurrentIngresses    int64 `bson:"concurrent_ingresses,omitempty"`
}

// ClientTokensChange is a partial update of the policy; nil leaves a field as
// it is.
type ClientTokensChange struct {
	Enabled        *bool
	MaxTTLSeconds  *int64
	Grants         *VideoGrants
	AllowedOrigins *[]string
	AllowedRooms   *[]string
	Identities     *Identities
	Agents         *[]string
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
	ConcurrentEgresses     *int64
	ConcurrentIngresses    *int64
}
