package data

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
)

// A backup is a tar archive (POSIX.1-2001, ustar where it fits) of two files in
// this order: a reader knows what it has before it reads the database, and an
// operator without Pulse can open it with tar and sqlite3.
const (
	manifestName = "manifest.json"
	databaseName = "pulse.db"
	// manifestFormat is the version of the manifest and of the archive.
	manifestFormat = 1
	// maxManifest bounds the manifest, in bytes: a million audit trails.
	maxManifest = 256 << 20
)

// Manifest describes a backup.
type Manifest struct {
	// Format is 1; a reader refuses a newer one.
	Format int `json:"format"`
	// Version is that of the Pulse that made the backup, and SchemaVersion that of
	// the stored data.
	Version       string    `json:"version"`
	SchemaVersion int64     `json:"schema_version"`
	CreatedAt     time.Time `json:"created_at"`
	Database      FileFacts `json:"database"`
	// Collections is the number of documents in each collection.
	Collections map[string]int64 `json:"collections"`
	// AuditHeads are the ends of the audit trails, in order of the organizations.
	AuditHeads []AuditHead `json:"audit_heads"`
	// Secrets tell which secrets the database needs.
	Secrets []SecretFacts `json:"secrets"`
}

// FileFacts are of the database's file in the archive.
type FileFacts struct {
	Name   string `json:"name"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// AuditHead is the last entry of an organization's audit trail.
type AuditHead struct {
	OrgID models.OrganizationID `json:"org_id"`
	Seq   int64                 `json:"seq"`
	Hash  string                `json:"hash"`
}

// SecretFacts are the fingerprints of a secret's values; see printOf.
type SecretFacts struct {
	Name         string   `json:"name"`
	Salt         []byte   `json:"salt"`
	Fingerprints []string `json:"fingerprints"`
}

// Documents is the number of documents in all collections.
func (m *Manifest) Documents() (n int64) {
	for _, count := range m.Collections {
		n += count
	}
	return n
}

// describe fills in what the database itself says.
func (m *Manifest) describe(ctx context.Context, f *database.File) (err error) {
	if m.Collections, err = f.Counts(ctx); err != nil {
		return err
	}
	missing := f.Missing()
	look := database.NewInspection(f)
	if !slices.Contains(missing, "schema") {
		if m.SchemaVersion, err = look.SchemaVersion(ctx); err != nil {
			return err
		}
	}
	m.AuditHeads = []AuditHead{}
	if !slices.Contains(missing, "audit_logs") {
		err = look.EachChain(ctx, func(head models.AuditEntry) error {
			m.AuditHeads = append(m.AuditHeads, AuditHead{head.OrgID, head.Seq, head.Hash})
			return nil
		})
		if err != nil {
			return err
		}
	}
	m.Secrets = []SecretFacts{}
	if slices.Contains(missing, "fingerprints") {
		return nil
	}
	prints, err := database.NewFingerprints(f).All(ctx)
	for _, p := range prints {
		m.Secrets = append(m.Secrets, SecretFacts{p.Name, p.Salt, p.Prints})
	}
	return err
}

// contradiction names what a database does not have as the manifest says, or "".
func (m *Manifest) contradiction(found *Manifest) string {
	for _, name := range slices.Sorted(maps.Keys(m.Collections)) {
		if m.Collections[name] != found.Collections[name] {
			return fmt.Sprintf("collection %s has %d documents, the manifest says %d", name, found.Collections[name], m.Collections[name])
		}
	}
	switch {
	case len(m.Collections) != len(found.Collections):
		return fmt.Sprintf("it has %d collections, the manifest says %d", len(found.Collections), len(m.Collections))
	case !slices.Equal(m.AuditHeads, found.AuditHeads):
		return "its audit trails do not end as the manifest says"
	case m.SchemaVersion != found.SchemaVersion:
		return fmt.Sprintf("it has schema version %d, the manifest says %d", found.SchemaVersion, m.SchemaVersion)
	}
	return ""
}

// notABackup is the error of a file that is none or is damaged.
func notABackup(file, why string) error {
	return models.NewError(models.KindInvalid, "not_a_backup", fmt.Sprintf("The file %s is not a complete backup of Pulse: %s.", file, why))
}

// pack writes the archive of a manifest and its database to a new file and puts
// it on disk.
func pack(ctx context.Context, m *Manifest, db, into string) (err error) {
	text, err := json.Marshal(m, json.Deterministic(true), jsontext.WithIndent("  "))
	if err != nil {
		return models.Internal(err)
	}
	out, err := os.OpenFile(into, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return models.Unavailable(err)
	}
	defer func() { err = disk(errors.Join(err, out.Close())) }()
	from, err := os.Open(db)
	if err != nil {
		return err
	}
	defer from.Close()
	archive := tar.NewWriter(out)
	for _, part := range []struct {
		name string
		size int64
		from io.Reader
	}{{manifestName, int64(len(text)), bytes.NewReader(text)}, {databaseName, m.Database.Size, from}} {
		header := &tar.Header{Typeflag: tar.TypeReg, Name: part.name, Size: part.size, Mode: 0o600, ModTime: m.CreatedAt}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		if _, err := io.Copy(archive, whileLasts(ctx, part.from)); err != nil {
			return err
		}
	}
	return errors.Join(archive.Close(), out.Sync())
}

// unpack reads an archive, verifies the database in it against the manifest's
// size and SHA-256 and writes it to into, which may be io.Discard.
func unpack(ctx context.Context, file string, into io.Writer) (*Manifest, error) {
	in, err := os.Open(file)
	if err != nil {
		return nil, unreadable(file, err)
	}
	defer in.Close()
	archive := tar.NewReader(whileLasts(ctx, in))
	m, err := readManifest(file, archive)
	if err != nil {
		return nil, err
	}
	header, err := archive.Next()
	if failed := readFailure(file, err); failed != nil {
		return nil, failed
	}
	switch {
	case err != nil || header.Name != databaseName:
		return nil, notABackup(file, "the database is missing")
	case header.Size != m.Database.Size:
		return nil, notABackup(file, fmt.Sprintf("the database has %d bytes, the manifest says %d", header.Size, m.Database.Size))
	}
	hash := sha256.New()
	// A tar reader gives what the header says or an error, so that the size is right.
	if _, err := io.Copy(io.MultiWriter(hash, into), archive); errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, notABackup(file, "it is cut off")
	} else if failed := readFailure(file, err); failed != nil {
		return nil, failed
	} else if err != nil {
		return nil, disk(err)
	}
	if sum := hex.EncodeToString(hash.Sum(nil)); sum != m.Database.SHA256 {
		return nil, notABackup(file, fmt.Sprintf("the database has SHA-256 %s, the manifest says %s", sum, m.Database.SHA256))
	}
	return m, nil
}

// ReadManifest reads what a backup says of itself, without its database.
func ReadManifest(ctx context.Context, file string) (*Manifest, error) {
	in, err := os.Open(file)
	if err != nil {
		return nil, unreadable(file, err)
	}
	defer in.Close()
	return readManifest(file, tar.NewReader(whileLasts(ctx, in)))
}

func readManifest(file string, archive *tar.Reader) (*Manifest, error) {
	header, err := archive.Next()
	if failed := readFailure(file, err); failed != nil {
		return nil, failed
	}
	if err != nil || header.Name != manifestName || header.Size > maxManifest {
		return nil, notABackup(file, "it does not begin with a manifest")
	}
	text, err := io.ReadAll(archive)
	if failed := readFailure(file, err); failed != nil {
		return nil, failed
	}
	if err != nil {
		return nil, notABackup(file, "its manifest is cut off")
	}
	m := &Manifest{}
	if err := json.Unmarshal(text, m); err != nil {
		return nil, notABackup(file, "its manifest cannot be read")
	}
	if m.Format != manifestFormat {
		return nil, notABackup(file, fmt.Sprintf("it has format %d, this version of Pulse reads %d", m.Format, manifestFormat))
	}
	return m, nil
}
