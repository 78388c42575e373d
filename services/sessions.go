package services

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/utils/hashing"
	"pulse-control-plane/utils/ids"
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

// Sessions logs people in and tells whose an access token is.
type Sessions struct {
	users    *database.Users
	sessions *database.Sessions
	hasher   *hashing.Hasher
	// keys sign and verify access tokens: the first signs, all verify.
	keys   []secret.Value
	people *directory[*models.Principal]
	parser *jwt.Parser
	now    func() time.Time
}

// SessionOptions of NewSessions.
type SessionOptions struct {
	// Keys of JWT_SECRET: the first signs, all verify.
	Keys []secret.Value
	// CacheSize bounds the sessions remembered.
	CacheSize int
	// Exact tells that no other process changes the database.
	Exact bool
	// RequestsPerMinute is a person's limit; 0 is no limit.
	RequestsPerMinute int64
	Now               func() time.Time
}

// NewSessions builds the authentication of people.
func NewSessions(users *database.Users, sessions *database.Sessions, orgs *database.Organizations,
	hasher *hashing.Hasher, o SessionOptions) (*Sessions, error) {
	load := func(ctx context.Context, key string) (*models.Principal, error) {
		org, id, _ := strings.Cut(key, "|")
		tenant := models.TenantOf(models.OrganizationID(org))
		session, err := sessions.Get(ctx, tenant, models.SessionID(id))
		if err != nil {
			return nil, err
		}
		user, err := users.Get(ctx, tenant, session.UserID)
		if err != nil {
			return nil, err
		}
		if _, err := orgs.Get(ctx, tenant, session.OrgID); err != nil {
			return nil, err
		}
		return &models.Principal{
			Kind: models.CallerPerson, OrgID: session.OrgID, UserID: user.ID, Role: user.Role,
			SessionID: session.ID, RateKey: string(user.ID), RequestsPerMinute: o.RequestsPerMinute,
		}, nil
	}
	people, err := newDirectory(o.CacheSize, o.Exact, o.Now, load)
	if err != nil {
		return nil, err
	}
	return &Sessions{
		users: users, sessions: sessions, hasher: hasher, keys: o.Keys, people: people, now: o.Now,
		parser: jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}), jwt.WithIssuer(accessIssuer),
			jwt.WithAudience(accessAudience), jwt.WithExpirationRequired(), jwt.WithTimeFunc(o.Now)),
	}, nil
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

// Login checks an address and password. unauthenticated (invalid_credentials)
// for an unknown address and a wrong password alike, after the same work.
func (s *Sessions) Login(ctx context.Context, email string, password secret.Value) (models.User, Login, error) {
	user, err := s.users.ByEmail(ctx, FoldEmail(email))
	if models.IsKind(err, models.KindNotFound) {
		if err := s.hasher.CompareDummy(ctx, password); models.IsKind(err, models.KindUnavailable) {
			return models.User{}, Login{}, err
		}
		return models.User{}, Login{}, errBadCredentials()
	}
	if err != nil {
		return models.User{}, Login{}, err
	}
	if err := s.hasher.ComparePassword(ctx, user.PasswordHash, password); err != nil {
		if models.IsKind(err, models.KindUnavailable) {
			return models.User{}, Login{}, err
		}
		return models.User{}, Login{}, errBadCredentials()
	}
	login, err := s.Begin(ctx, user)
	return user, login, err
}

// Begin opens a session for a person who has just proved who they are.
func (s *Sessions) Begin(ctx context.Context, user models.User) (Login, error) {
	now := s.now()
	id := models.SessionID(ids.New(models.SessionPrefix))
	refresh, hash := newRefreshToken(id)
	session := models.Session{
		ID: id, UserID: user.ID, OrgID: user.OrgID, RefreshHash: hash,
		CreatedAt: now, ExpiresAt: now.Add(RefreshTokenTTL),
	}
	if err := s.sessions.Insert(ctx, &session); err != nil {
		return Login{}, err
	}
	access, err := s.access(session, now)
	if err != nil {
		return Login{}, err
	}
	return Login{AccessToken: access, ExpiresIn: AccessTokenTTL, RefreshToken: refresh}, nil
}

func (s *Sessions) access(session models.Session, now time.Time) (string, error) {
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, accessClaims{
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: accessIssuer, Audience: jwt.ClaimStrings{accessAudience}, Subject: string(session.UserID),
			IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now),
			ExpiresAt: jwt.NewNumericDate(now.Add(AccessTokenTTL)),
		},
		SessionID: string(session.ID), OrgID: string(session.OrgID),
	}).SignedString([]byte(s.keys[0].Reveal()))
	if err != nil {
		return "", models.Internal(err)
	}
	return token, nil
}

// newRefreshToken makes an opaque token of 256 random bits that names its
// session, and the hash that is kept of it.
func newRefreshToken(id models.SessionID) (token, hash string) {
	var random [32]byte
	rand.Read(random[:]) //nolint:errcheck // documented never to fail
	token = string(id) + "." + base64.RawURLEncoding.EncodeToString(random[:])
	return token, hashRefreshToken(token)
}

func hashRefreshToken(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// Person answers for an access token. unauthenticated if it is not ours, has
// expired, or its session, person or organization is gone.
func (s *Sessions) Person(ctx context.Context, token string) (*models.Principal, error) {
	var claims accessClaims
	verified := false
	for _, key := range s.keys {
		claims = accessClaims{}
		if _, err := s.parser.ParseWithClaims(token, &claims, func(*jwt.Token) (any, error) {
			return []byte(key.Reveal()), nil
		}); err == nil {
			verified = true
			break
		}
	}
	if !verified || !ids.Valid(models.SessionPrefix, claims.SessionID) {
		return nil, errBadAccessToken()
	}
	p, err := s.people.get(ctx, claims.OrgID+"|"+claims.SessionID)
	if models.IsKind(err, models.KindNotFound) {
		return nil, errBadAccessToken()
	}
	return p, err
}

// ForgetOrganization makes the next request of everybody in it ask the
// database.
func (s *Sessions) ForgetOrganization(id models.OrganizationID) {
	s.people.dropWhere(func(p *models.Principal) bool { return p.OrgID == id })
}

// FoldEmail is the form in which addresses are compared and kept.
func FoldEmail(email string) string { return strings.ToLower(strings.TrimSpace(email)) }

func errBadCredentials() *models.Error {
	return models.Unauthenticated("invalid_credentials", "The e-mail address or the password is wrong.")
}

func errBadAccessToken() *models.Error {
	return models.Unauthenticated("invalid_token", "The access token is not valid or has expired.")
}
