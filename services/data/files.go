package data

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"pulse-control-plane/models"
)

// ErrUnreadable is in the chain of errors about a file that cannot be read.
var ErrUnreadable = errors.New("the file cannot be read")

func unreadable(file string, err error) error {
	why := err
	if failed, ok := errors.AsType[*fs.PathError](err); ok {
		why = failed.Err
	}
	return models.NewError(models.KindInvalid, "unreadable", fmt.Sprintf("The file %s cannot be read: %v.", file, why)).Because(ErrUnreadable)
}

// disk makes an error of the file system a models error.
func disk(err error) error {
	var already *models.Error
	if err == nil || errors.As(err, &already) {
		return err
	}
	return models.Unavailable(err)
}

// partial is a folder beside a file, on the same file system, in which the file
// is prepared until it gets its name. Its name is a function of the file's, so
// that the next run finds what a killed one left. It is locked while in use.
type partial struct {
	dir  string
	lock *os.File
}

// openPartial makes the folder, or takes over and empties what a killed process
// left. unavailable if another process prepares the same file.
func openPartial(file string) (*partial, error) {
	dir := partialOf(file)
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, models.Unavailable(err)
	}
	lock, err := os.Open(dir)
	if err != nil {
		return nil, models.Unavailable(err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		err = errors.Join(err, lock.Close())
		return nil, models.NewError(models.KindUnavailable, "in_progress", fmt.Sprintf("Another process is writing %s.", file)).Because(err)
	}
	p := &partial{dir, lock}
	left, err := os.ReadDir(dir)
	for _, entry := range left {
		err = errors.Join(err, os.RemoveAll(p.path(entry.Name())))
	}
	if err != nil {
		return nil, disk(errors.Join(err, lock.Close()))
	}
	return p, nil
}

func partialOf(file string) string {
	return filepath.Join(filepath.Dir(file), "."+filepath.Base(file)+".partial")
}

func (p *partial) path(name string) string { return filepath.Join(p.dir, name) }

// close removes the folder and what is left in it.
func (p *partial) close() error {
	return disk(errors.Join(os.RemoveAll(p.dir), p.lock.Close()))
}

// syncFolder puts the names in a folder on disk.
func syncFolder(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return disk(err)
	}
	return disk(errors.Join(f.Sync(), f.Close()))
}

// factsOf measures a file.
func factsOf(ctx context.Context, path string) (FileFacts, error) {
	f, err := os.Open(path)
	if err != nil {
		return FileFacts{}, disk(err)
	}
	defer f.Close()
	hash := sha256.New()
	size, err := io.Copy(hash, whileLasts(ctx, f))
	return FileFacts{Name: databaseName, Size: size, SHA256: hex.EncodeToString(hash.Sum(nil))}, disk(err)
}

// whileLasts reads until ctx ends.
func whileLasts(ctx context.Context, r io.Reader) io.Reader { return &bounded{ctx, r} }

type bounded struct {
	ctx  context.Context
	from io.Reader
}

func (b *bounded) Read(into []byte) (int, error) {
	if err := b.ctx.Err(); err != nil {
		return 0, err
	}
	return b.from.Read(into)
}
