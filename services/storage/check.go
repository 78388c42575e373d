package storage

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"io"
	"net/http"
	"path"
	"time"

	"github.com/rs/zerolog"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/livekit"
	"pulse-control-plane/utils/ids"
	"pulse-control-plane/utils/required"
)

const (
	// checkTimeout bounds a check.
	checkTimeout = 12 * time.Second
	// checkedSize is the size of the object that a check writes, in bytes.
	checkedSize = 64
)

// Step is one request of a check.
type Step struct {
	// Name is write, read or delete.
	Name string
	// Error is why it failed, "" if it did not: a provider's code or a few words,
	// never an address or a credential.
	Error string
}

// Checker tries storages with the providers' own clients.
type Checker struct{ c CheckerConfig }

// CheckerConfig of NewChecker; every field but Log is required.
type CheckerConfig struct {
	Projects *database.Projects
	Vault    *Vault
	// Client reaches what tenants may name (utils/safedial).
	Client *http.Client
	Log    zerolog.Logger
}

// NewChecker builds the checker. It fails if a required field is missing.
func NewChecker(c CheckerConfig) (*Checker, error) { return &Checker{c}, required.Fields(c) }

// bucket is what a check asks of a storage.
type bucket interface {
	put(ctx context.Context, key string, data []byte) error
	get(ctx context.Context, key string) (io.ReadCloser, error)
	remove(ctx context.Context, key string) error
}

// Check writes, reads and deletes a small object in a project's storage, and tells
// how each step went; those behind one that failed are not tried, but what was
// written is deleted. It takes at most 12 seconds. Errors: those of lookups;
// conflict storage_not_configured.
func (s *Checker) Check(ctx context.Context, actor *models.Principal, id models.ProjectID) ([]Step, error) {
	if err := actor.May(models.ActionProjectUpdate); err != nil {
		return nil, err
	}
	project, err := s.c.Projects.Get(ctx, actor.Tenant(), id)
	if err != nil {
		return nil, err
	}
	if project.Storage == nil {
		return nil, models.Conflict("storage_not_configured", "The project has no storage; set storage in its settings first.")
	}
	upload, err := s.c.Vault.Of(&project)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	key := path.Join(upload.Prefix, string(project.ID), "check-"+ids.New("chk_"))
	say := func(name string, err error) Step {
		if err != nil {
			s.c.Log.Info().Err(err).Str("project_id", string(project.ID)).Str("step", name).Msg("storage: a check failed")
		}
		return Step{Name: name, Error: reason(err)}
	}
	to, err := s.open(ctx, upload)
	if err != nil {
		return []Step{say("write", err)}, nil
	}
	data := make([]byte, checkedSize)
	_, _ = rand.Read(data) // documented never to fail
	written := say("write", to.put(ctx, key, data))
	if written.Error != "" {
		return []Step{written}, nil
	}
	read := say("read", readBack(ctx, to, key, data))
	return []Step{written, read, say("delete", to.remove(ctx, key))}, nil
}

var errOtherContent = errors.New("other content")

func readBack(ctx context.Context, from bucket, key string, want []byte) error {
	body, err := from.get(ctx, key)
	if err != nil {
		return err
	}
	defer body.Close()
	got, err := io.ReadAll(io.LimitReader(body, int64(len(want))+1))
	if err == nil && !bytes.Equal(got, want) {
		err = errOtherContent
	}
	return err
}

func (s *Checker) open(ctx context.Context, u *livekit.Upload) (bucket, error) {
	switch u.Kind {
	case models.StorageGCS:
		return openGCS(ctx, u, s.c.Client)
	case models.StorageAzure:
		return openAzure(u, s.c.Client)
	case models.StorageS3, models.StorageLocal:
	}
	return openS3(u, s.c.Client), nil
}
