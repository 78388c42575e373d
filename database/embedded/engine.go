package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"pulse-control-plane/database/engine"
	"pulse-control-plane/models"
)

// Options configure an embedded engine. The zero value is right for production.
type Options struct {
	// Log receives failures of maintenance and the progress of long upgrades; the
	// zero Logger drops them.
	Log zerolog.Logger
	// Clock returns the time that decides which documents have expired; default
	// time.Now.
	Clock func() time.Time
	// SweepEvery is the interval between two deletions of expired documents;
	// default one minute, as on MongoDB.
	SweepEvery time.Duration
	// Beside opens the file without its lock, beside a server that may have it
	// open, to read and change documents. It creates and changes no file, table,
	// column or index: a file that lacks one is misconfigured. Whatever the server
	// caches of the changed documents must stay right.
	Beside bool
}

// Engine keeps the documents in one SQLite file. One goroutine writes, several
// connections read; every acknowledged write is on disk. It is safe for
// concurrent use.
type Engine struct {
	path    string
	beside  bool
	log     zerolog.Logger
	clock   func() time.Time
	every   time.Duration
	tables  map[string]*table
	declare engine.Declarations

	// readOnly is set by OpenReadOnly; missing is then what the file lacks.
	readOnly bool
	missing  []string

	lock    *os.File
	writer  *writer
	readers *readers

	closing sync.Once
	closed  chan struct{}
	// failed is the error of closing; read it after closed is closed.
	failed error
}

var _ engine.Engine = (*Engine)(nil)

// fileLayout is the version of the file's layout, in SQLite's user_version. A
// file with a newer layout is refused.
const fileLayout = 1

// Pragmas of the connections (https://www.sqlite.org/pragma.html).
const (
	// pageSize (bytes) is SQLite's default; it is explicit because the
	// checkpointer counts pages.
	pageSize = "page_size=4096"
	// writerCache limits the page cache of the writer (KiB, hence negative) and
	// with it the server's memory; other pages are read from the mapped file.
	writerCache = "cache_size=-32768"
	// mappedBytes is how much of the file the writer maps into memory and reads
	// without system calls. Readers do not: their first look at a page of a large
	// file would be a page fault, which costs more than a read.
	mappedBytes = "mmap_size=1073741824"
	// The checkpointer does the checkpoints, not the commits.
	noCheckpoints = "wal_autocheckpoint=0"
	// busyMilliseconds limits the wait for a lock. Only an outside tool, such
	// as a backup, can hold one.
	busyMilliseconds = "busy_timeout=5000"
)

// readerCacheKiB is the page cache of a reader. It holds the pages that the reads
// between two commits share: the upper levels of indexes and the documents of known
// keys.
const readerCacheKiB = 2048

// readerCache limits the page cache of a reader.
var readerCache = fmt.Sprintf("cache_size=-%d", readerCacheKiB)

// Open opens or creates the database file at path (never ":memory:") and brings
// it to the schema, as EnsureSchema does. It creates a missing folder; only the
// user of the process can access folder and file.
//
// Errors: unavailable with the code "database_in_use" if another process has
// the file open, unavailable if the disk fails, internal if the schema is
// invalid, misconfigured if the file is not a database, is of a newer version of
// Pulse or violates a new unique index.
func Open(ctx context.Context, path string, schema []engine.Collection, options Options) (*Engine, error) {
	declare, err := engine.Declare(schema)
	if err != nil {
		return nil, err
	}
	path, err = filepath.Abs(path)
	if err != nil {
		return nil, models.Unavailable(err)
	}
	if options.Clock == nil {
		options.Clock = time.Now
	}
	if options.SweepEvery <= 0 {
		options.SweepEvery = time.Minute
	}
	if options.Beside {
		if _, err := os.Stat(path); err != nil {
			return nil, models.Misconfigured("no_database", fmt.Sprintf("There is no database at %s.", path)).Because(err)
		}
	} else if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, models.Unavailable(err)
	}
	e := &Engine{
		path: path, beside: options.Beside, log: options.Log, clock: options.Clock, every: options.SweepEvery,
		declare: declare, closed: make(chan struct{}),
	}
	if !e.beside {
		if e.lock, err = lockFile(path + ".lock"); err != nil {
			return nil, err
		}
	}
	if err := e.open(ctx); err != nil {
		return nil, notADatabase(path, errors.Join(err, e.Close(ctx)))
	}
	return e, nil
}

func (e *Engine) open(ctx context.Context) error {
	// To close a file releases the POSIX locks that this process has on it, as an
	// engine beside this one may.
	if !e.beside {
		if err := createFile(e.path); err != nil {
			return err
		}
	}
	// The file stores the journal mode; the page size must precede it.
	// With synchronous=NORMAL the syncer, not the commit, syncs the log, before a
	// write is acknowledged.
	conn, err := openSQLite(e.path, []string{
		busyMilliseconds, pageSize, "journal_mode=WAL", "synchronous=NORMAL",
		writerCache, mappedBytes, noCheckpoints, "temp_store=MEMORY",
	})
	if err != nil {
		return sqliteFailure(err)
	}
	moving, err := openSQLite(e.path, []string{busyMilliseconds, "synchronous=FULL", readerCache, noCheckpoints})
	if err != nil {
		return sqliteFailure(errors.Join(err, conn.close()))
	}
	e.writer = startWriter(ctx, e.path, conn, startCheckpointer(ctx, moving, e.log), e.clock)
	e.readers = newReaders(max(4, 2*runtime.GOMAXPROCS(0)), func() (*sqliteConn, error) {
		return openSQLite(e.path, []string{
			busyMilliseconds, readerCache, "temp_store=MEMORY", "query_only=ON",
		})
	})
	return e.layOut(ctx)
}

// createFile creates a missing file that only its owner can read; SQLite would
// create one that everybody can.
func createFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return models.Unavailable(err)
	}
	if err := f.Close(); err != nil {
		return models.Unavailable(err)
	}
	return nil
}

// table returns a collection's table.
func (e *Engine) table(name string) (*table, error) {
	if t := e.tables[name]; t != nil {
		return t, nil
	}
	_, err := e.declare.Collection(name)
	return nil, err
}

// EnsureSchema creates what is missing of the schema and reports, with their
// SQL, the indexes that differ from it. Open has done so already.
func (e *Engine) EnsureSchema(ctx context.Context) ([]engine.IndexDifference, error) {
	var differences []engine.IndexDifference
	err := e.writer.do(ctx, allTables, func(conn *sqliteConn) error {
		var err error
		differences, err = ensureIndexes(ctx, conn, e.tables, e.progress())
		return err
	})
	if err != nil {
		return nil, err
	}
	return differences, nil
}

// Ping reads and, unless a write was acknowledged in the last seconds, writes.
func (e *Engine) Ping(ctx context.Context) error {
	if err := e.read(ctx, noTable, func(conn *sqliteConn) error {
		_, err := conn.row(ctx, "SELECT count(*) FROM sqlite_master")
		return err
	}); err != nil {
		return err
	}
	return e.writer.probe(ctx)
}

// Name is "embedded".
func (e *Engine) Name() string { return "embedded" }

// Exclusive is true: the lock file excludes every other process. It is false of
// an engine beside another.
func (e *Engine) Exclusive() bool { return !e.beside }

// Close refuses new operations, finishes the pending ones, checkpoints the log
// into the file and releases file and lock. A second call waits for the first.
// If ctx ends earlier, Close returns unavailable and completes in the
// background.
func (e *Engine) Close(ctx context.Context) error {
	e.closing.Do(func() {
		go func() {
			defer close(e.closed)
			var errs []error
			if e.readers != nil {
				errs = append(errs, e.readers.close())
			}
			if e.writer != nil {
				errs = append(errs, e.writer.close())
			}
			// Last: it allows the next process to open the file.
			if e.lock != nil {
				errs = append(errs, e.lock.Close())
			}
			if err := errors.Join(errs...); err != nil {
				e.failed = sqliteFailure(err)
			}
		}()
	})
	select {
	case <-e.closed:
		return e.failed
	default:
	}
	select {
	case <-e.closed:
		return e.failed
	case <-ctx.Done():
		return models.Unavailable(ctx.Err())
	}
}

// errClosed is the cause of errors after Close.
var errClosed = errors.New("the embedded database is closed")
