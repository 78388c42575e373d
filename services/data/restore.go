package data

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
)

// Restore puts the database of a backup where the server looks for it. There must
// be none: invalid otherwise, as it is for a file that is not a complete backup;
// misconfigured if the backup is from a newer Pulse. It needs no secrets. The database appears
// complete, verified against the manifest and on disk, or not at all.
func (t Tool) Restore(ctx context.Context, file string) (m *Manifest, err error) {
	path, err := filepath.Abs(t.Path)
	if err != nil {
		return nil, disk(err)
	}
	if _, err := ReadManifest(ctx, file); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, disk(err)
	}
	// A server that starts meanwhile would make an empty database.
	lock, err := database.LockFile(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = disk(errors.Join(err, lock.Close())) }()
	if err := vacant(path); err != nil {
		return nil, err
	}
	p, err := openPartial(path)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	t.at("begun")
	if m, err = extract(ctx, file, p.path(databaseName)); err != nil {
		return nil, err
	}
	t.at("unpacked")
	var found Manifest
	if err := verify(ctx, p.path(databaseName), &found); err != nil {
		return nil, err
	}
	if wrong := m.contradiction(&found); wrong != "" {
		return nil, notABackup(file, wrong)
	}
	t.at("verified")
	if err := vacant(path); err != nil {
		return nil, err
	}
	if err := os.Rename(p.path(databaseName), path); err != nil {
		return nil, disk(err)
	}
	t.at("renamed")
	return m, syncFolder(filepath.Dir(path))
}

// vacant refuses a path where a database is, or what one left: SQLite would take
// an old log for the restored database's.
func vacant(path string) error {
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
		_, err := os.Lstat(path + suffix)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return disk(err)
		default:
			return models.NewError(models.KindInvalid, "database_exists", fmt.Sprintf(
				"There is a database at %s (%s). Restore into another DATA_DIR, or move that database and its -wal and -shm files away first.",
				path, filepath.Base(path+suffix)))
		}
	}
	return nil
}

// extract writes the verified database of a backup to a new file and puts it on
// disk.
func extract(ctx context.Context, file, into string) (m *Manifest, err error) {
	out, err := os.OpenFile(into, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, disk(err)
	}
	m, err = unpack(ctx, file, out)
	return m, disk(errors.Join(err, out.Sync(), out.Close()))
}

// SecretState is whether a secret that a backup needs is at hand.
type SecretState struct {
	Name string
	// Given tells that this configuration has a value.
	Given bool
	// Of is how many values the database knew, and Missing are the positions, from 1,
	// of those that this configuration lacks.
	Of      int
	Missing []int
}

// Needs tells for each secret that the database of a backup was made with whether
// the given ones have each of its values: a database that was backed up while a
// secret was rotated needs the older ones too. A backup of a database that recorded none gives none.
func (m *Manifest) Needs(given Secrets) []SecretState {
	var out []SecretState
	for _, s := range m.Secrets {
		state := SecretState{Name: s.Name, Given: len(given[s.Name]) > 0, Of: len(s.Fingerprints)}
		prints := printsOf(s.Name, given[s.Name], s.Salt)
		for i, p := range s.Fingerprints {
			if !slices.Contains(prints, p) {
				state.Missing = append(state.Missing, i+1)
			}
		}
		out = append(out, state)
	}
	return out
}
