package auth

import (
	"context"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/audit"
	"pulse-control-plane/services/lookup"
	"pulse-control-plane/utils/bus"
	"pulse-control-plane/utils/hashing"
	"pulse-control-plane/utils/ids"
	"pulse-control-plane/utils/required"
	"pulse-control-plane/utils/secret"
)

const (
	// AccessTokenTTL is how long an access token works.
	AccessTokenTTL = 15 * time.Minute
	// RefreshTokenTTL is how long a refresh token works, if it is not used.
	RefreshTokenTTL = 30 * 24 * time.Hour

	accessIssuer   = "pulse-control-plane"
	accessAudience = "pulse-api"
)

// LoginSessions logs people in and tells whose an access token is.
type LoginSessions struct {
	users    *database.Users
	sessions *database.Sessions
	orgs     *database.Organizations
	hasher   *hashing.Hasher
	tokens   tokenKeys
	people   *lookup.Cache[*personSnapshot]
	throttle *loginThrottle
	trail    *audit.Trail
	changes  *lookup.Changes
	now      func() time.Time
}

// tokenKeys are those of JWT_SECRET: the first signs, all verify.
type tokenKeys struct {
	access []secret.Value
	// refresh are derived from them, for refresh tokens.
	refresh [][]byte
	parser  *jwt.Parser
}

// personSnapshot is whose a session is, as it was read.
type personSnapshot struct {
	principal models.Principal
	suspended bool
}

// LoginSessionsConfig of NewLoginSessions; every field is required.
type LoginSessionsConfig struct {
	Users         *database.Users
	Sessions      *database.Sessions
	Organizations *database.Organizations
	Hasher        *hashing.Hasher
	// Changes drop what is remembered of what changed.
	Changes *lookup.Changes
	// Keys of JWT_SECRET: the first signs, all verify.
	Keys []secret.Value
	// CacheSize bounds the sessions remembered.
	CacheSize int
	// Exact tells that no other process changes the database.
	Exact bool
	// RequestsPerMinute is a person's limit; 0 is no limit.
	RequestsPerMinute int64
	// Trail records every session that begins or ends and every changed password.
	Trail *audit.Trail
	Now   func() time.Time
}

// NewLoginSessions builds the authentication of people. It fails if a required
// field is missing.
func NewLoginSessions(o LoginSessionsConfig) (*LoginSessions, error) {
	if err := required.Fields(o); err != nil {
		return nil, err
	}
	load := func(ctx context.Context, key string) (*personSnapshot, error) {
		orgID, id, _ := strings.Cut(key, "|")
		tenant := models.TenantOf(models.OrganizationID(orgID))
		session, err := o.Sessions.Get(ctx, tenant, models.SessionID(id))
		if err != nil {
			return nil, err
		}
		user, err := o.Users.Get(ctx, tenant, session.UserID)
		if err != nil {
			return nil, err
		}
		if session.PasswordVersion != user.PasswordVersion {
			return nil, models.NotFound()
		}
		org, err := o.Organizations.Get(ctx, tenant, session.OrgID)
		if err != nil {
			return nil, err
		}
		return &personSnapshot{suspended: org.Suspended(), principal: models.Principal{
			Kind: models.CallerPerson, OrgID: session.OrgID, UserID: user.ID, Role: org.RoleOf(&user),
			SessionID: session.ID, RateKey: string(user.ID), RequestsPerMinute: o.RequestsPerMinute,
		}}, nil
	}
	people, err := lookup.New(lookup.Config[*personSnapshot]{Size: o.CacheSize, Exact: o.Exact, Now: o.Now, Load: load})
	if err != nil {
		return nil, err
	}
	throttle, err := newLoginThrottle(o.CacheSize, o.Now)
	if err != nil {
		return nil, err
	}
	tokens := tokenKeys{access: o.Keys, parser: jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}),
		jwt.WithIssuer(accessIssuer), jwt.WithAudience(accessAudience), jwt.WithExpirationRequired(), jwt.WithTimeFunc(o.Now))}
	for _, key := range o.Keys {
		tokens.refresh = append(tokens.refresh, secret.Derive([]byte(key.Reveal()), "refresh tokens"))
	}
	s := &LoginSessions{
		users: o.Users, sessions: o.Sessions, orgs: o.Organizations, hasher: o.Hasher, tokens: tokens,
		people: people, throttle: throttle, trail: o.Trail, now: o.Now,
		changes: o.Changes,
	}
	_, err = o.Changes.Subscribe(bus.Subscriber[models.Change]{Changed: s.changed, Reset: people.Clear})
	return s, err
}

// Login is a session as it is handed to a person, this once.
type Login struct {
	AccessToken  string
	ExpiresIn    time.Duration
	RefreshToken string
}

// accessClaims of an access token: RFC 7519's, the session and its tenant.
type accessClaims struct {
	jwt.RegisteredClaims
	SessionID string `json:"sid"`
	OrgID     string `json:"org"`
}

// Begin opens a session for a person who has just proved who they are.
// The entry of the audit trail is the caller's: what led to the session says
// more than that there is one.
func (s *LoginSessions) Begin(ctx context.Context, user models.User) (Login, error) {
	return s.begin(ctx, user, newSessionID())
}

func newSessionID() models.SessionID { return models.SessionID(ids.New(models.SessionPrefix)) }

// begin is Begin for a session whose id is known already.
func (s *LoginSessions) begin(ctx context.Context, user models.User, id models.SessionID) (Login, error) {
	now := s.now()
	refresh := s.tokens.newRefresh(id)
	session := models.Session{
		ID: id, UserID: user.ID, OrgID: user.OrgID, RefreshHash: secret.Digest(refresh),
		PasswordVersion: user.PasswordVersion, CreatedAt: now, ExpiresAt: now.Add(RefreshTokenTTL),
	}
	if err := s.sessions.Insert(ctx, &session); err != nil {
		return Login{}, err
	}
	return s.login(&session, refresh, now)
}

// login makes what a person is handed of a session and its refresh token.
func (s *LoginSessions) login(session *models.Session, refresh string, now time.Time) (Login, error) {
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, accessClaims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: accessIssuer, Audience: jwt.ClaimStrings{accessAudience}, Subject: string(session.UserID),
			IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now),
			ExpiresAt: jwt.NewNumericDate(now.Add(AccessTokenTTL)),
		},
		SessionID: string(session.ID), OrgID: string(session.OrgID),
	}).SignedString([]byte(s.tokens.access[0].Reveal()))
	if err != nil {
		return Login{}, models.Internal(err)
	}
	return Login{AccessToken: token, ExpiresIn: AccessTokenTTL, RefreshToken: refresh}, nil
}

// Person answers for an access token. unauthenticated if it is not ours, has
// expired, or its session, person or organization is gone; forbidden
// organization_suspended.
func (s *LoginSessions) Person(ctx context.Context, token string) (*models.Principal, error) {
	var claims accessClaims
	verified := false
	for _, key := range s.tokens.access {
		claims = accessClaims{}
		if _, err := s.tokens.parser.ParseWithClaims(token, &claims, func(*jwt.Token) (any, error) {
			return []byte(key.Reveal()), nil
		}); err == nil {
			verified = true
			break
		}
	}
	if !verified || !ids.Valid(models.SessionPrefix, claims.SessionID) ||
		!ids.Valid(models.OrganizationPrefix, claims.OrgID) {
		return nil, errBadAccessToken()
	}
	p, err := s.person(ctx, models.OrganizationID(claims.OrgID), models.SessionID(claims.SessionID))
	if models.IsKind(err, models.KindNotFound) {
		return nil, errBadAccessToken()
	}
	return p, err
}

// person answers for a session: not_found if it has ended, forbidden
// organization_suspended.
func (s *LoginSessions) person(ctx context.Context, org models.OrganizationID, id models.SessionID) (*models.Principal, error) {
	p, err := s.people.Get(ctx, sessionKey(org, id))
	if err != nil {
		return nil, err
	}
	if p.suspended {
		return nil, ErrSuspended()
	}
	return &p.principal, nil
}

// sessionKey names a session in the directory.
func sessionKey(org models.OrganizationID, id models.SessionID) string {
	return string(org) + "|" + string(id)
}

// changed drops the snapshots that a change affects.
func (s *LoginSessions) changed(c models.Change) {
	switch {
	case c.SessionID != "":
		s.people.Drop(sessionKey(c.OrgID, c.SessionID))
	case c.UserID != "":
		s.people.DropWhere(func(p *personSnapshot) bool { return p.principal.UserID == c.UserID })
	case c.OrgID != "":
		s.people.DropWhere(func(p *personSnapshot) bool { return p.principal.OrgID == c.OrgID })
	}
}

func errBadAccessToken() *models.Error {
	return models.Unauthenticated("invalid_token", "The access token is not valid or has expired.")
}

func ErrSuspended() *models.Error {
	return models.Forbidden("organization_suspended", "The operator of this installation has suspended this organization.")
}
