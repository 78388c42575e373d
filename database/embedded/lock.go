package embedded

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"

	"pulse-control-plane/models"
)

// lockFile takes the lock that excludes a second process (or a second engine in
// this process) from a database. The kernel releases it when the process ends
// for any reason, so it is never stale. The empty file stays: removing it would
// let two processes lock two files of the same name.
//
// Errors: unavailable with the code "database_in_use" if the lock is held,
// unavailable if the file cannot be created.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, models.Unavailable(err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder, _ := io.ReadAll(io.LimitReader(f, 20))
		cause := errors.Join(err, f.Close())
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, models.Unavailable(cause)
		}
		return nil, models.NewError(models.KindUnavailable, "database_in_use", fmt.Sprintf(
			"Another process holds the embedded database (lock %s, process %s); one at a time may use it.",
			path, strings.TrimSpace(string(holder)))).Because(cause)
	}
	// The process id in the file is information for people; the lock is the
	// kernel's.
	if err := errors.Join(f.Truncate(0), writeAt(f, fmt.Sprintf("%d\n", os.Getpid()))); err != nil {
		return nil, models.Unavailable(errors.Join(err, f.Close()))
	}
	return f, nil
}

func writeAt(f *os.File, text string) error {
	_, err := f.WriteAt([]byte(text), 0)
	return err
}

// Lock takes the lock of the database at path, which need not exist; the errors
// are those of opening it. Closing gives it back.
func Lock(path string) (io.Closer, error) { return lockFile(path + ".lock") }
