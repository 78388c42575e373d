package testkit

import (
	"compress/gzip"
	"context"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"pulse-control-plane/database"
	"pulse-control-plane/database/embedded"
)

const (
	// sharedMemory is a file system in memory (tmpfs) of every Linux system, where a
	// sync costs nothing.
	sharedMemory = "/dev/shm"
	// roomInMemory is how many bytes must be free there; containers may have 64 MiB.
	roomInMemory = 512 << 20
	// folderPrefix begins the names of folders there.
	folderPrefix = "pulse-test-"
	// forgotten is the age at which a folder is one of a killed test.
	forgotten = 2 * time.Hour
)

// Open opens an embedded database with the collections of Pulse, and closes it at
// the end of the test. The file is in memory if the system has room: what the tests
// of rules show does not depend on the disk, and the tests of durability, in
// database/embedded, use one. Benchmarks use the disk too.
func Open(t testing.TB, o embedded.Options) *embedded.Engine {
	t.Helper()
	content, err := emptyDatabase()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(folder(t), "pulse.db")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	e, err := embedded.Open(t.Context(), path, database.Schema(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
	return e
}

// emptyDatabase is the file of a database without documents. It is made once for a
// process, because laying out the collections takes longer than most tests.
var emptyDatabase = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", folderPrefix)
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "pulse.db")
	e, err := database.Open(context.Background(), database.Location{Path: path}, zerolog.Nop())
	if err != nil {
		return nil, err
	}
	if err := e.Close(context.Background()); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

// folder is a folder of the test's own, in memory if there is room.
func folder(t testing.TB) string {
	t.Helper()
	if _, measured := t.(*testing.B); measured || !inMemory() {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp(sharedMemory, folderPrefix)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// Unzipped writes what a gzip file holds to a new file and returns its path.
func Unzipped(t testing.TB, source string) string {
	t.Helper()
	f := Must[*os.File](t)(os.Open(source))
	defer f.Close()
	data := Must[[]byte](t)(io.ReadAll(Must[*gzip.Reader](t)(gzip.NewReader(f))))
	path := filepath.Join(t.TempDir(), "pulse.db")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// inMemory reports whether folders can be made in memory; the first call deletes those
// of tests that were killed.
var inMemory = sync.OnceValue(func() bool {
	var free syscall.Statfs_t
	if err := syscall.Statfs(sharedMemory, &free); err != nil || free.Bavail*uint64(free.Bsize) < roomInMemory {
		return false
	}
	left, err := filepath.Glob(filepath.Join(sharedMemory, folderPrefix+"*"))
	if err != nil {
		return false
	}
	for _, dir := range left {
		if info, err := os.Stat(dir); err == nil && time.Since(info.ModTime()) > forgotten {
			_ = os.RemoveAll(dir)
		}
	}
	dir, err := os.MkdirTemp(sharedMemory, folderPrefix)
	return err == nil && os.RemoveAll(dir) == nil
})
