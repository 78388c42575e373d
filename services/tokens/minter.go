package tokens

import (
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"time"

	"pulse-control-plane/models"
	"pulse-control-plane/services/livekit"
	"pulse-control-plane/services/metering"
	"pulse-control-plane/services/quotas"
	"pulse-control-plane/utils/ids"
)

// reservedAttributePrefix marks the attributes that only Pulse sets.
const reservedAttributePrefix = "pulse."

// Minter mints and checks LiveKit tokens for the tenants' rooms.
type Minter struct {
	signer   *livekit.Signer
	counters *metering.Counters
	revoked  *Revocations
	quotas   *quotas.Limits
	now      func() time.Time
}

// NewMinter mints tokens for one LiveKit cluster, counts them, and refuses
// them to whom theirs were revoked and beyond the project's quotas.
func NewMinter(cluster livekit.Cluster, counters *metering.Counters, revoked *Revocations, quotas *quotas.Limits, now func() time.Time) *Minter {
	return &Minter{signer: livekit.NewSigner(cluster), counters: counters, revoked: revoked, quotas: quotas, now: now}
}

// Input asks for a token. Its fields were checked for their limits
// (models.MaxIdentityBytes …); empty ones are not set.
type Input struct {
	RoomName, Identity, Name, Metadata string
	Attributes                         map[string]string
	// RoomConfig is LiveKit's RoomConfiguration as JSON.
	RoomConfig []byte
	// TTLSeconds is nil for the default.
	TTLSeconds *int64
	Grants     models.VideoGrants
	// ServerWide lists, by LiveKit's names, grants asked for that no tenant
	// may hold.
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

// Create mints a token for a room of the caller's project. A client-grade
// caller gets at most what the project's client_tokens allow. forbidden
// grant_not_allowed, ttl_not_allowed, origin_not_allowed or
// client_tokens_disabled or participant_revoked; quota_exceeded; invalid for
// what is not well-formed.
func (s *Minter) Create(ctx context.Context, actor *models.Principal, in *Input) (Token, error) {
	if err := actor.May(models.ActionTokensCreate); err != nil {
		return Token{}, err
	}
	if len(in.ServerWide) > 0 {
		return Token{}, GrantNotAllowed("grants.", in.ServerWide)
	}
	ttl, grants := int64(models.DefaultTokenTTLSeconds), in.Grants
	if in.TTLSeconds != nil {
		ttl = *in.TTLSeconds
	}
	if actor.Kind == models.CallerClientKey {
		var err error
		if ttl, grants, err = clientPolicy(&actor.Project.ClientTokens, in, ttl); err != nil {
			return Token{}, err
		}
	} else {
		grants = grants.Within(models.DefaultGrants())
	}
	for name := range in.Attributes {
		if strings.HasPrefix(name, reservedAttributePrefix) {
			return Token{}, models.Invalid(models.FieldError{Location: "participant_attributes." + name,
				Message: "starts with pulse., which is reserved"})
		}
	}
	config, err := livekit.RoomConfiguration(in.RoomConfig)
	if errors.Is(err, livekit.ErrEgressInRoomConfig) {
		return Token{}, GrantNotAllowed("", []string{"room_config.egress"})
	}
	if err != nil {
		return Token{}, err
	}
	now := s.now()
	token := Token{
		ServerURL: s.signer.Cluster.URL, ID: models.TokenID(ids.New(models.TokenPrefix)), RoomName: in.RoomName,
		Identity: in.Identity, Name: in.Name, ExpiresAt: now.Add(time.Duration(ttl) * time.Second).Truncate(time.Second),
	}
	if token.RoomName == "" {
		token.RoomName = "room-" + randomName()
	}
	if token.Identity == "" {
		token.Identity = "participant-" + randomName()
	}
	if err := s.revoked.Refuse(ctx, actor.Project.ID, token.Identity, token.RoomName); err != nil {
		return Token{}, err
	}
	if models.IsSet(grants.RoomJoin) { // a token that opens no room uses nothing
		if err := s.quotas.AdmitToken(ctx, actor, quotas.TokenRequest{
			RoomName: token.RoomName, Identity: token.Identity, Agent: models.IsSet(grants.Agent), Until: token.ExpiresAt,
		}); err != nil {
			return Token{}, err
		}
	}
	token.JWT = s.signer.Sign(&livekit.Mint{
		ID: token.ID, Project: actor.Project.ID, Room: token.RoomName, Identity: token.Identity, Name: token.Name,
		ExpiresAt: token.ExpiresAt, Grants: &grants, IssuedAt: now,
		Metadata: in.Metadata, Attributes: in.Attributes, RoomConfig: config,
	})
	s.counters.Count(actor.Project.ID, models.MeterTokensIssued)
	return token, nil
}

// clientPolicy holds a client-grade request to the project's policy.
func clientPolicy(p *models.ClientTokens, in *Input, ttl int64) (int64, models.VideoGrants, error) {
	grants := in.Grants.Within(p.Grants)
	if !p.Enabled {
		return 0, grants, models.Forbidden("client_tokens_disabled",
			"This project gives tokens to its servers only: send the key's secret too.")
	}
	if in.Origin != "" && len(p.AllowedOrigins) > 0 && !slices.Contains(p.AllowedOrigins, in.Origin) {
		return 0, grants, models.Forbidden("origin_not_allowed", "This project gives no tokens to pages of this origin.")
	}
	if in.TTLSeconds == nil {
		ttl = min(ttl, p.MaxTTLSeconds)
	}
	if ttl > p.MaxTTLSeconds {
		return 0, grants, models.Forbidden("ttl_not_allowed", "ttl_seconds is more than this project allows a key alone.")
	}
	if over := grants.Exceeding(p.Grants); len(over) > 0 {
		return 0, grants, GrantNotAllowed("grants.", over)
	}
	return ttl, grants, nil
}

// GrantNotAllowed refuses grants by name; prefix is where in the request they
// stand.
func GrantNotAllowed(prefix string, names []string) *models.Error {
	e := models.Forbidden("grant_not_allowed", "These grants may not be had: "+strings.Join(names, ", ")+".")
	for _, name := range names {
		e.Fields = append(e.Fields, models.FieldError{Location: prefix + name, Message: "is not allowed"})
	}
	return e
}

// randomName is 12 characters of crypto/rand's base32 text: 60 random bits.
func randomName() string { return strings.ToLower(rand.Text()[:12]) }

// Check is what a token says, if it is this project's and was signed by
// Pulse. Of a token that is neither, only Reason is set.
type Check struct {
	Valid bool
	// Reason is empty for a valid token, else malformed, signature_invalid,
	// expired, not_yet_valid or wrong_project.
	Reason    string
	RoomName  string
	Identity  string
	Grants    models.VideoGrants
	IssuedAt  time.Time
	ExpiresAt time.Time
	TokenID   models.TokenID
}

// Validate checks a token as LiveKit would, without leeway, and that it is for
// a room of the caller's project.
func (s *Minter) Validate(_ context.Context, actor *models.Principal, token string) (Check, error) {
	if err := actor.May(models.ActionTokensValidate); err != nil {
		return Check{}, err
	}
	claims, reason := s.signer.Parse(token, s.now())
	if claims == nil {
		return Check{Reason: reason}, nil
	}
	project, room, ok := models.SplitRoom(claims.Video.Room)
	if !ok || project != actor.Project.ID {
		return Check{Reason: "wrong_project"}, nil
	}
	return Check{
		Valid: reason == "", Reason: reason, RoomName: room, Identity: claims.Subject, Grants: claims.Grants(),
		IssuedAt: claims.Issued(), ExpiresAt: claims.Expires(), TokenID: models.TokenID(claims.ID),
	}, nil
}
