package data

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
)

// Tool works on an embedded database as a whole.
type Tool struct {
	// Path is the database's file.
	Path string
	// Version is that of this program.
	Version string
	Now     func() time.Time
	// reached is called after each step, named by it; tests end the process there.
	reached func(step string)
}

// Backup writes a backup of the database, as it is at one moment, to file, whose
// folder must exist. The server may run meanwhile, in this process or another.
//
// The file appears complete, verified and on disk, or not at all. An earlier
// backup of that name is replaced when the new one is complete; any other file is
// invalid, and a missing database misconfigured. It needs space for two copies of the
// database beside file.
func (t Tool) Backup(ctx context.Context, file string) (m *Manifest, err error) {
	file, err = filepath.Abs(file)
	if err != nil {
		return nil, disk(err)
	}
	if err := t.mayReplace(ctx, file); err != nil {
		return nil, err
	}
	p, err := openPartial(file)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	t.at("begun")
	m = &Manifest{Format: manifestFormat, Version: t.Version, CreatedAt: t.Now().UTC().Truncate(time.Millisecond)}
	if err := database.Snapshot(ctx, t.Path, p.path(databaseName)); err != nil {
		return nil, err
	}
	t.at("copied")
	if err := verify(ctx, p.path(databaseName), m); err != nil {
		return nil, err
	}
	if m.Database, err = factsOf(ctx, p.path(databaseName)); err != nil {
		return nil, err
	}
	t.at("verified")
	if err := pack(ctx, m, p.path(databaseName), p.path("backup")); err != nil {
		return nil, disk(err)
	}
	t.at("packed")
	// What is kept is what was read back, not what was meant to be written.
	if _, err := unpack(ctx, p.path("backup"), discard{}); err != nil {
		return nil, err
	}
	t.at("read back")
	if err := os.Rename(p.path("backup"), file); err != nil {
		return nil, disk(err)
	}
	t.at("renamed")
	return m, syncFolder(filepath.Dir(file))
}

// mayReplace refuses to replace a file that is not a backup or that cannot be read.
func (t Tool) mayReplace(ctx context.Context, file string) error {
	_, err := os.Lstat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return unreadable(file, err)
	}
	if _, err = ReadManifest(ctx, file); err != nil {
		if errors.Is(err, ErrUnreadable) || models.IsKind(err, models.KindUnavailable) {
			return err
		}
		return models.NewError(models.KindInvalid, "file_exists", fmt.Sprintf("%s exists and is not a backup of Pulse; name another file.", file)).Because(err)
	}
	return nil
}

// verify checks the file of a copied database and describes it.
func verify(ctx context.Context, path string, m *Manifest) (err error) {
	f, err := database.OpenFile(ctx, path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close(context.WithoutCancel(ctx))) }()
	fault, err := f.Integrity(ctx)
	if err != nil {
		return err
	}
	if fault != "" {
		return models.Internal(fmt.Errorf("the copy of the database is damaged: %s", fault))
	}
	return m.describe(ctx, f)
}

func (t Tool) at(step string) {
	if t.reached != nil {
		t.reached(step)
	}
}

// discard takes everything.
type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }
