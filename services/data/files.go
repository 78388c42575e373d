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

// readFailure is the error of a read of a file that failed or was interrupted; nil
// if what was read is at fault.
func readFailure(file string, err error) error {
	if failed, ok := errors.AsType[*fs.PathError](err); ok && failed.Op == "read" {
		return unreadable(file, err)
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return models.Unavailable(err)
	}
	return nil
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
	var lock *os.File
	err := errGone
	for try := 0; errors.Is(err, errGone) && try < folderTries; try++ {
		if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return nil, models.Unavailable(err)
		}
		lock, err = lockFolder(dir)
	}
	if errors.Is(err, errLocked) || errors.Is(err, errGone) {
		return nil, models.NewError(models.KindUnavailable, "in_progress", fmt.Sprintf("Another process is writing %s.", file)).Because(err)
	}
	if err != nil {
		return nil, models.Unavailable(err)
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

// folderTries bounds the folders that other processes remove while this one takes
// them.
const folderTries = 20

var (
	// errLocked says that another process uses a folder, errGone that it is no longer
	// the one of its name.
	errLocked = errors.New("the folder is locked")
	errGone   = errors.New("the folder was removed")
)

// lockFolder takes the lock of a folder, which ends when the file is closed. Only
// the holder may remove the folder: another process may have done so, and made one
// of the same name, between the opening of it and the lock.
func lockFolder(dir string) (lock *os.File, err error) {
	lock, err = os.OpenFile(dir, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errGone
	}
	if err != nil {
		return nil, err
	}
	if err = syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); errors.Is(err, syscall.EWOULDBLOCK) {
		err = errLocked
	}
	if err == nil {
		err = stillNamed(lock, dir)
	}
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return lock, nil
}

// stillNamed returns errGone if an open folder no longer has the name.
func stillNamed(open *os.File, dir string) error {
	held, err := open.Stat()
	if err != nil {
		return err
	}
	named, err := os.Lstat(dir)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(held, named) {
		return errGone
	}
	return err
}

// removeLeft removes the folders that a pattern of names matches, of this user, and
// that no process uses any more.
func removeLeft(pattern string) error {
	left, err := filepath.Glob(pattern)
	if err != nil {
		return disk(err)
	}
	for _, dir := range left {
		info, err := os.Lstat(dir)
		if err != nil || !info.IsDir() {
			continue
		}
		if owner, ok := info.Sys().(*syscall.Stat_t); !ok || int(owner.Uid) != os.Geteuid() {
			continue
		}
		lock, err := lockFolder(dir)
		if errors.Is(err, errLocked) || errors.Is(err, errGone) {
			continue
		}
		if err == nil {
			err = errors.Join(os.RemoveAll(dir), lock.Close())
		}
		if err != nil {
			return disk(err)
		}
	}
	return nil
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
