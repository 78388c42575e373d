package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/utils/apikey"
	"pulse-control-plane/utils/hashing"
	"pulse-control-plane/utils/ids"
	"pulse-control-plane/utils/secret"
)

const (
	// projectsPerOrganization and drawnKeys shape the big database: keys are drawn from so many of its projects, spread
	// evenly.
	projectsPerOrganization = 10
	drawnKeys               = 100_000
	secretCost              = 6 // bcrypt's; the server's own for API secrets
)

// filled gives the folder of a database with so many projects (database file and "keys", a list of drawnKeys of their
// keys), made by an earlier run or now. It is found by the hash of what goes into it, so that documents of another shape are
// another folder.
func filled(ctx context.Context, projects int, progress func(string)) (string, error) {
	sample, err := newTenants(1)
	if err != nil {
		return "", err
	}
	// The server adds by itself what other collections and indexes are new.
	what := fmt.Sprintf("%d %d", projects, drawnKeys)
	for _, c := range sample.collections() {
		what += " " + c.name + " " + shape(reflect.TypeOf(c.documents[0]))
	}
	sum := sha256.Sum256([]byte(what))
	cache := os.Getenv("PULSE_E2E_CACHE")
	if cache == "" {
		if cache, err = os.UserCacheDir(); err != nil {
			return "", err
		}
	}
	dir := filepath.Join(cache, "pulse-control-plane", "bench-"+hex.EncodeToString(sum[:8]))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	progress(fmt.Sprintf("filling a database with %d projects; the next run finds it in the cache", projects))
	making, err := os.MkdirTemp(filepath.Dir(dir), "bench-making-")
	if errors.Is(err, os.ErrNotExist) {
		if err = os.MkdirAll(filepath.Dir(dir), 0o755); err == nil {
			making, err = os.MkdirTemp(filepath.Dir(dir), "bench-making-")
		}
	}
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(making) // nothing, once it is renamed
	if err := fill(ctx, making, projects, progress); err != nil {
		return "", err
	}
	return dir, os.Rename(making, dir)
}

// shape is the fields and types of a document, those inside it included.
func shape(t reflect.Type) string {
	switch {
	case t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice:
		return shape(t.Elem())
	case t.Kind() != reflect.Struct || t == reflect.TypeFor[time.Time]():
		return t.String()
	}
	var b strings.Builder
	for _, field := range reflect.VisibleFields(t) {
		fmt.Fprintf(&b, "%s %q %s;", field.Name, field.Tag, shape(field.Type))
	}
	return b.String()
}

func fill(ctx context.Context, dir string, projects int, progress func(string)) (err error) {
	engine, err := database.Open(ctx, database.Location{Path: filepath.Join(dir, "pulse.db")}, zerolog.Nop())
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engine.Close(ctx)) }()
	list, err := os.Create(filepath.Join(dir, "keys"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, list.Close()) }()
	keys := bufio.NewWriter(list)
	every := max(1, projects/drawnKeys)
	for done := 0; done < projects; {
		batch, err := newTenants(min(database.MaxBatch, projects-done))
		if err != nil {
			return err
		}
		for _, c := range batch.collections() {
			if _, err := engine.InsertMany(ctx, c.name, c.documents); err != nil {
				return err
			}
		}
		for i, k := range batch.keys {
			if (done+i)%every == 0 {
				fmt.Fprintln(keys, k.(*models.APIKey).Key)
			}
		}
		if done += len(batch.keys); done%100_000 == 0 {
			progress(fmt.Sprintf("%d projects", done))
		}
	}
	return keys.Flush()
}

// tenants are organizations with projects and their keys, as a sign-up and POST /v1/projects leave them.
type tenants struct{ organizations, projects, keys []any }

type documents struct {
	name      string
	documents []any
}

func (t *tenants) collections() []documents {
	return []documents{{"organizations", t.organizations}, {"projects", t.projects}, {"api_keys", t.keys}}
}

// newTenants makes tenants with so many projects together. The secrets of a batch share one hash: bcrypt would take an
// hour for a million, and no document is larger or smaller for it.
func newTenants(projects int) (*tenants, error) {
	hasher, err := hashing.NewHasher(secret.New("pepper of the bench"), secretCost)
	if err != nil {
		return nil, err
	}
	_, value, err := apikey.Generate()
	if err != nil {
		return nil, err
	}
	hash, err := hasher.Hash(context.Background(), value)
	if err != nil {
		return nil, err
	}
	out, now := &tenants{}, time.Now().UTC()
	var org models.OrganizationID
	for n := range projects {
		if n%projectsPerOrganization == 0 {
			org = models.OrganizationID(ids.New(models.OrganizationPrefix))
			out.organizations = append(out.organizations, &models.Organization{
				ID: org, Name: "Bench", NameKey: "bench", AdminEmail: string(org) + "@example.com", Plan: models.PlanFree,
				CreatedAt: now, UpdatedAt: now,
			})
		}
		key, _, err := apikey.Generate()
		if err != nil {
			return nil, err
		}
		project := &models.Project{
			ID: models.ProjectID(ids.New(models.ProjectPrefix)), OrgID: org, Name: fmt.Sprintf("Project %d", n),
			NameKey: fmt.Sprintf("project %d", n), Region: "eu-central", PulseAPIKey: key,
			ClientTokens: models.DefaultClientTokens(), CreatedAt: now, UpdatedAt: now,
		}
		out.projects = append(out.projects, project)
		id := models.KeyID(ids.New(models.KeyPrefix))
		out.keys = append(out.keys, &models.APIKey{
			ID: id, Key: key, SecretMark: hasher.Mark(string(id), hash.Hash, value), ProjectID: project.ID, OrgID: org, Name: "default",
			SecretHash: hash.Hash, PepperID: hash.Pepper, SecretHint: apikey.Hint(value), Scopes: []models.Scope{models.ScopeAll}, CreatedAt: now,
		})
	}
	return out, nil
}

// copyFile copies the database, which the server will write to.
func copyFile(to, from string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	_, err = io.Copy(out, in)
	return err
}
