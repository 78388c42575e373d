package downloads

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/utils/ids"
	"pulse-control-plane/utils/required"
	"pulse-control-plane/utils/secret"
)

// Sessions tell whose a login session is.
type Sessions interface {
	// Of answers for a session that has not ended, or not_found.
	Of(ctx context.Context, org models.OrganizationID, id models.SessionID) (*models.Principal, error)
}

// Service makes and opens downloads.
type Service struct{ c Config }

// Config of New; every field is required.
type Config struct {
	Store    *database.Downloads
	Sessions Sessions
	Now      func() time.Time
}

// New builds the service. It fails if a required field is missing.
func New(c Config) (*Service, error) { return &Service{c}, required.Fields(c) }

// Made is a new download; its key is known this once.
type Made struct {
	ID        models.DownloadID
	Key       secret.Value
	ExpiresAt time.Time
}

// Create makes a download of a path for a person or the operator.
func (s *Service) Create(ctx context.Context, actor *models.Principal, path string) (Made, error) {
	var random [32]byte
	rand.Read(random[:]) //nolint:errcheck // documented never to fail
	key := base64.RawURLEncoding.EncodeToString(random[:])
	d := models.Download{
		ID: models.DownloadID(ids.New(models.DownloadPrefix)), KeyHash: secret.Digest(key), Path: path,
		OrgID: actor.OrgID, SessionID: actor.SessionID, ExpiresAt: s.c.Now().Add(models.DownloadTTL),
	}
	return Made{ID: d.ID, Key: secret.New(key), ExpiresAt: d.ExpiresAt}, s.c.Store.Insert(ctx, &d)
}

// Open gives the path of a download and who asked for it, as they are now;
// not_found if it was fetched, has expired, or they are no longer logged in.
// Only with use does it count as fetched.
func (s *Service) Open(ctx context.Context, id models.DownloadID, key secret.Value, use bool) (*models.Principal, string, error) {
	find := s.c.Store.Get
	if use {
		find = s.c.Store.Take
	}
	d, err := find(ctx, id, secret.Digest(key.Reveal()), s.c.Now())
	if err != nil {
		return nil, "", err
	}
	if d.OrgID == "" && d.SessionID == "" {
		return &models.Principal{Kind: models.CallerOperator}, d.Path, nil
	}
	actor, err := s.c.Sessions.Of(ctx, d.OrgID, d.SessionID)
	return actor, d.Path, err
}

// Again gives who asked for a download that is being fetched, as they are now;
// not_found if they are no longer logged in.
func (s *Service) Again(ctx context.Context, actor *models.Principal) (*models.Principal, error) {
	if actor.OrgID == "" && actor.SessionID == "" {
		return actor, nil
	}
	return s.c.Sessions.Of(ctx, actor.OrgID, actor.SessionID)
}
