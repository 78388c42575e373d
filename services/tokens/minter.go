package tokens

import (
	"context"
	"crypto/rand"
	"strings"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/clusters"
	"pulse-control-plane/services/counters"
	"pulse-control-plane/services/livekit"
	"pulse-control-plane/services/quotas"
	"pulse-control-plane/utils/ids"
	"pulse-control-plane/utils/required"
)

// reservedAttributePrefix starts the names of attributes that only Pulse sets.
const reservedAttributePrefix = "pulse."

// Minter mints and validates LiveKit tokens for tenants' rooms.
type Minter struct {
	c MinterConfig
}

// MinterConfig of NewMinter; every field is required.
type MinterConfig struct {
	// Clusters sign the tokens; Placements say which one a room is on.
	Clusters   *clusters.Set
	Placements *clusters.Placements
	Counters   *counters.Counters
	// Revoked identities get no token.
	Revoked *Revocations
	Quotas  *quotas.Limits
	// Projects are read for people, who name one.
	Projects *database.Projects
	// Agents are the agents that projects without a setting of their own may
	// dispatch (AGENTS_DEFAULT).
	Agents []string
	Now    func() time.Time
}

// NewMinter builds the service. It fails if a required field is missing.
func NewMinter(c MinterConfig) (*Minter, error) {
	return &Minter{c: c}, required.Fields(c)
}

// Input is a request for a token. The caller has checked the limits of its fields
// (models.MaxIdentityBytes …); empty fields are not set.
type Input struct {
	// Project is the one a person names; a key's caller may leave it empty.
	Project                            models.ProjectID
	RoomName, Identity, Name, Metadata string
	Attributes                         map[string]string
	// RoomConfig is LiveKit's RoomConfiguration as JSON.
	RoomConfig []byte
	// TTLSeconds is nil for the default.
	TTLSeconds *int64
	Grants     models.VideoGrants
	// ServerWide lists the requested grants, by LiveKit's names, that no tenant may
	// have.
	ServerWide []string
	// Origin is the browser origin of the request, if it had one.
	Origin string
}

// Token is a minted token.
type Token struct {
	ServerURL string
	JWT       string
	ID        models.TokenID
	RoomName  string
	Identity  string
	Name      string
	ExpiresAt time.Time
}

// Create mints a token for a room of the caller's project; a person names the
// project. A client-grade caller gets at most what the project's client_tokens
// allow. forbidden (grant_not_allowed, ttl_not_allowed, room_not_allowed,
// identity_not_allowed, agent_not_allowed, origin_not_allowed,
// client_tokens_disabled, participant_revoked), quota_exceeded, not_found for
// another tenant's project, invalid.
func (s *Minter) Create(ctx context.Context, actor *models.Principal, in *Input) (Token, error) {
	actor, err := inProject(ctx, s.c.Projects, s.c.Quotas, actor, models.ActionTokensCreate, in.Project)
	if err != nil {
		return Token{}, err
	}
	now := s.c.Now()
	token := Token{
		ID: models.TokenID(ids.New(models.TokenPrefix)), RoomName: in.RoomName,
		Identity: in.Identity, Name: in.Name,
	}
	if token.RoomName == "" {
		token.RoomName = "room-" + randomName()
	}
	if token.Identity == "" {
		token.Identity = "participant-" + randomName()
	}
	ttl, grants, err := s.allowed(actor, in, token.RoomName)
	if err != nil {
		return Token{}, err
	}
	token.ExpiresAt = now.Add(time.Duration(ttl) * time.Second).Truncate(time.Second)
	for name := range in.Attributes {
		if strings.HasPrefix(name, reservedAttributePrefix) {
			return Token{}, models.Invalid(models.FieldError{Location: "participant_attributes." + name,
				Message: "starts with pulse., which is reserved"})
		}
	}
	config, err := livekit.RoomConfiguration(in.RoomConfig, livekit.RoomPolicy{
		MaxParticipants: actor.Quotas.ConcurrentParticipants,
		MayDispatch:     func(name string) bool { return s.mayDispatch(actor, name) },
	})
	if err != nil {
		return Token{}, err
	}
	if err := s.c.Revoked.Refuse(ctx, actor.Project.ID, token.Identity, token.RoomName); err != nil {
		return Token{}, err
	}
	// Before a slot is reserved, which would be held for nothing if this failed.
	cluster, err := s.c.Placements.For(ctx, actor.Project, token.RoomName, token.ExpiresAt)
	if err != nil {
		return Token{}, err
	}
	if models.IsSet(grants.RoomJoin) { // a token that can't join uses no quota
		if err := s.c.Quotas.AdmitToken(ctx, actor, quotas.TokenRequest{
			RoomName: token.RoomName, Identity: token.Identity, Agent: models.IsSet(grants.Agent), Until: token.ExpiresAt,
		}); err != nil {
			return Token{}, err
		}
	}
	token.ServerURL = cluster.URL
	token.JWT = cluster.Signer.Sign(&livekit.Mint{
		ID: token.ID, Project: actor.Project.ID, Room: token.RoomName, Identity: token.Identity, Name: token.Name,
		ExpiresAt: token.ExpiresAt, Grants: &grants, IssuedAt: now,
		Metadata: in.Metadata, Attributes: in.Attributes, RoomConfig: config,
	})
	s.c.Counters.Count(actor.Project.ID, models.MeterTokensIssued)
	return token, nil
}

// Check is the content of a token that is for this project and signed by the
// cluster's key; for any other token only Reason is set.
type Check struct {
	Valid bool
	// Reason is empty for a valid token, else malformed, signature_invalid,
	// no_expiry, expired, not_yet_valid or wrong_project.
	Reason   string
	RoomName string
	Identity string
	Grants   models.VideoGrants
	// IssuedAt and ExpiresAt are zero where the token does not say.
	IssuedAt  time.Time
	ExpiresAt time.Time
	TokenID   models.TokenID
}

// Validate checks a token as LiveKit would, with its leeway of a minute, and
// that it is for a room of the caller's project; a person names the project.
func (s *Minter) Validate(ctx context.Context, actor *models.Principal, project models.ProjectID, token string) (Check, error) {
	actor, err := inProject(ctx, s.c.Projects, s.c.Quotas, actor, models.ActionTokensValidate, project)
	if err != nil {
		return Check{}, err
	}
	claims, reason := s.c.Clusters.Parse(token, s.c.Now())
	if claims == nil {
		return Check{Reason: reason}, nil
	}
	owner, room, ok := models.SplitRoom(claims.Video.Room)
	if !ok || owner != actor.Project.ID {
		return Check{Reason: "wrong_project"}, nil
	}
	return Check{
		Valid: reason == "", Reason: reason, RoomName: room, Identity: claims.Subject, Grants: claims.Grants(),
		IssuedAt: claims.Issued(), ExpiresAt: claims.Expires(), TokenID: models.TokenID(claims.ID),
	}, nil
}

// randomName is 12 base32 characters: 60 random bits.
func randomName() string { return strings.ToLower(rand.Text()[:12]) }
