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
	"pulse-control-plane/utils/clip"
	"pulse-control-plane/utils/cursor"
	"pulse-control-plane/utils/hashing"
	"pulse-control-plane/utils/ids"
	"pulse-control-plane/utils/intent"
	"pulse-control-plane/utils/required"
	"pulse-control-plane/utils/secret"
)

const (
	// AccessTokenTTL is how long an access token works.
	AccessTokenTTL = 15 * time.Minute
	// accessLeeway allows for replicas whose clocks differ.
	accessLeeway = 5 * time.Second
	// RefreshTokenTTL is how long a refresh token works, if it is not used.
	RefreshTokenTTL = 30 * 24 * time.Hour

	accessIssuer   = "pulse-control-plane"
	accessAudience = "pulse-api"
)

// LoginSessions begins, authenticates and ends login sessions.
type LoginSessions struct {
	users    *database.Users
	sessions *database.Sessions
	orgs     *database.Organizations
	hasher   *hashing.Hasher
	tokens   tokenKeys
	people   *lookup.Cache[*personSnapshot]
	throttle *loginThrottle
	devices  devices
	trail    *audit.Trail
	changes  *lookup.Changes
	cursors  *cursor.Codec
	now      func() time.Time
	// operator is the operator token and operatorKey what sessions of it hold.
	operator    secret.Value
	operatorKey string
}

// tokenKeys are those of JWT_SECRET: the first signs, all verify.
type tokenKeys struct {
	access []secret.Value
	// refresh are derived from them, for refresh tokens.
	refresh [][]byte
	parser  *jwt.Parser
}

// personSnapshot is a cached login session with its person.
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
	// Changes invalidates snapshots.
	Changes *lookup.Changes
	// Keys of JWT_SECRET: the first signs, all verify.
	Keys []secret.Value
	// CacheSize bounds the cached login sessions.
	CacheSize int
	// Exact says that no other process changes the database.
	Exact bool
	// RequestsPerMinute is a person's limit; 0 is no limit.
	RequestsPerMinute int64
	// Failures counts failed logins, by LoginBackoff.
	Failures Failures
	// Trail records each start and end of a login session and each password change.
	Trail *audit.Trail
	// Cursors are those of the list of one's logins.
	Cursors *cursor.Codec
	Now     func() time.Time
	// Operator is PULSE_ADMIN_TOKEN; without it nobody logs in as the operator.
	Operator secret.Value `optional:"true"`
}

// NewLoginSessions builds the service. It fails if a required field is missing.
func NewLoginSessions(o LoginSessionsConfig) (*LoginSessions, error) {
	if err := required.Fields(o); err != nil {
		return nil, err
	}
	operatorKey := operatorKeyOf(o.Keys, o.Operator)
	load := func(ctx context.Context, key string) (*personSnapshot, error) {
		orgID, id, _ := strings.Cut(key, "|")
		if orgID == "" {
			return loadOperator(ctx, o.Sessions, models.SessionID(id), operatorKey)
		}
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
	throttle, err := newLoginThrottle(o.Failures, o.CacheSize)
	if err != nil {
		return nil, err
	}
	tokens := tokenKeys{access: o.Keys, parser: jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}),
		jwt.WithIssuer(accessIssuer), jwt.WithAudience(accessAudience), jwt.WithExpirationRequired(),
		jwt.WithLeeway(accessLeeway), jwt.WithTimeFunc(o.Now))}
	for _, key := range o.Keys {
		tokens.refresh = append(tokens.refresh, secret.Derive([]byte(key.Reveal()), "refresh tokens"))
	}
	s := &LoginSessions{
		users: o.Users, sessions: o.Sessions, orgs: o.Organizations, hasher: o.Hasher, tokens: tokens,
		people: people, throttle: throttle, devices: newDevices(o.Keys), trail: o.Trail, now: o.Now,
		changes: o.Changes, cursors: o.Cursors, operator: o.Operator, operatorKey: operatorKey,
	}
	_, err = o.Changes.Subscribe(bus.Subscriber[models.Change]{Changed: s.changed, Reset: people.Clear})
	return s, err
}

// Login is a login session with its tokens, which are returned once.
type Login struct {
	AccessToken  string
	ExpiresIn    time.Duration
	RefreshToken string
	// RefreshFor is how long the refresh token works, if it is not used.
	RefreshFor time.Duration
	// Device is the token by which the device is recognized later; "" leaves that
	// which it has.
	Device string
}

// accessClaims are RFC 7519's claims, the login session and its tenant.
type accessClaims struct {
	jwt.RegisteredClaims
	SessionID string `json:"sid"`
	OrgID     string `json:"org"`
}

// Begin starts a login session for a person who was just authenticated. The caller
// writes the audit entry, because it knows the reason.
func (s *LoginSessions) Begin(ctx context.Context, user models.User, origin models.Origin) (Login, error) {
	return s.begin(ctx, user, newSessionID(ctx), origin)
}

func newSessionID(ctx context.Context) models.SessionID {
	return models.SessionID(intent.ID(ctx, models.SessionPrefix))
}

// begin is Begin with a given session id.
func (s *LoginSessions) begin(ctx context.Context, user models.User, id models.SessionID, origin models.Origin) (Login, error) {
	now := s.now()
	refresh := s.tokens.newRefresh(ctx, id)
	session := models.Session{
		ID: id, UserID: user.ID, OrgID: user.OrgID, RefreshHash: secret.Digest(refresh),
		PasswordVersion: user.PasswordVersion, CreatedAt: now, ExpiresAt: now.Add(RefreshTokenTTL),
		IP: origin.IP, UserAgent: shortAgent(origin.UserAgent),
	}
	if err := s.sessions.Insert(ctx, &session); err != nil {
		return Login{}, err
	}
	login, err := s.login(&session, refresh, now)
	login.Device = s.devices.issue(user.Email)
	return login, err
}

// login makes the tokens of a login session.
func (s *LoginSessions) login(session *models.Session, refresh string, now time.Time) (Login, error) {
	lasts, subject := AccessTokenTTL, string(session.UserID)
	if session.OperatorKey != "" {
		// It ends with its session, which no use makes longer.
		lasts, subject = min(lasts, session.ExpiresAt.Sub(now)), operatorSubject
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, accessClaims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: accessIssuer, Audience: jwt.ClaimStrings{accessAudience}, Subject: subject,
			IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now),
			ExpiresAt: jwt.NewNumericDate(now.Add(lasts)),
		},
		SessionID: string(session.ID), OrgID: string(session.OrgID),
	}).SignedString([]byte(s.tokens.access[0].Reveal()))
	if err != nil {
		return Login{}, models.Internal(err)
	}
	return Login{AccessToken: token, ExpiresIn: lasts, RefreshToken: refresh, RefreshFor: session.ExpiresAt.Sub(now)}, nil
}

// Person authenticates an access token. Errors: unauthenticated if it is foreign or
// expired, or its login session, person or organization was deleted; forbidden
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
		claims.Subject != operatorSubject && !ids.Valid(models.OrganizationPrefix, claims.OrgID) {
		return nil, errBadAccessToken()
	}
	p, err := s.person(ctx, models.OrganizationID(claims.OrgID), models.SessionID(claims.SessionID))
	if models.IsKind(err, models.KindNotFound) {
		return nil, errBadAccessToken()
	}
	return p, err
}

// Of answers for a session, as an access token of it would be answered:
// not_found if it has ended, forbidden organization_suspended.
func (s *LoginSessions) Of(ctx context.Context, org models.OrganizationID, id models.SessionID) (*models.Principal, error) {
	return s.person(ctx, org, id)
}

// person reads a login session with its person: not_found if it has ended,
// forbidden organization_suspended.
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

// shortAgent bounds what is kept of a User-Agent.
func shortAgent(agent string) string {
	const most = 256
	return clip.Bytes(agent, most)
}

// sessionKey is the cache key of a login session.
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
	return models.Unauthenticated("invalid_token", "You called with an access token that is invalid or has expired; refresh it or log in again.")
}

func ErrSuspended() *models.Error {
	return models.Forbidden("organization_suspended", "The operator of this installation has suspended this organization.")
}
