package embedded

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"pulse-control-plane/database/engine"
	"pulse-control-plane/models"
)

// EmbeddedOptions tune an embedded engine; the zero value is right for
// production.
type Options struct {
	// Log hears of upkeep that fails; the zero Logger is silent.
	Log zerolog.Logger
	// Clock tells the time by which documents expire; default time.Now.
	Clock func() time.Time
	// SweepEvery is how often expired documents are removed; default one
	// minute, as on MongoDB.
	SweepEvery time.Duration
}

// Embedded is the engine that keeps the documents in one SQLite file. One
// goroutine writes, several connections read; every acknowledged write is on
// disk. It is safe for concurrent use.
type Engine struct {
	path    string
	log     zerolog.Logger
	clock   func() time.Time
	every   time.Duration
	tables  map[string]*table
	declare engine.Declarations

	lock    *os.File
	writer  *writer
	readers *readers

	closing sync.Once
	closed  chan struct{}
	// failed is what went wrong while closing; read once closed is closed.
	failed error
}

var _ engine.Engine = (*Engine)(nil)

// The version of the file's layout, kept in SQLite's user_version. A file of a
// newer layout is refused rather than misread.
const fileLayout = 1

// What the connections are told (https://www.sqlite.org/pragma.html).
const (
	// embeddedPageSize (bytes) is SQLite's default, written out since the
	// checkpointer counts in it.
	pageSize = "page_size=4096"
	// writerCache and readerCache bound each connection's page cache (KiB,
	// hence negative), and with it the memory of a server at work; what is not
	// cached is read from the mapped file.
	writerCache = "cache_size=-32768"
	readerCache = "cache_size=-4096"
	// mappedBytes of the file are read without system calls.
	mappedBytes = "mmap_size=1073741824"
	// The checkpointer moves the log, not the commit that makes it long.
	noCheckpoints = "wal_autocheckpoint=0"
	// busyMilliseconds bound the wait for a lock, which only an outside tool
	// such as a backup can hold.
	busyMilliseconds = "busy_timeout=5000"
)

// OpenEmbedded opens, or makes, the database file at path (never ":memory:")
// and brings it to the schema, as EnsureSchema does. The folder is made if it
// is missing; folder and file belong to the user alone.
//
// Errors: unavailable with the code "database_in_use" when another process has
// it open, unavailable when the disk refuses, internal when the schema or the
// file is wrong, conflict when stored documents violate a new unique index.
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
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, models.Unavailable(err)
	}
	e := &Engine{
		path: path, log: options.Log, clock: options.Clock, every: options.SweepEvery,
		declare: declare, closed: make(chan struct{}),
	}
	if e.lock, err = lockFile(path + ".lock"); err != nil {
		return nil, err
	}
	if err := e.open(ctx); err != nil {
		return nil, errors.Join(err, e.Close(ctx))
	}
	return e, nil
}

func (e *Engine) open(ctx context.Context) error {
	// SQLite would make the file readable by everybody.
	f, err := os.OpenFile(e.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return models.Unavailable(err)
	}
	if err := f.Close(); err != nil {
		return models.Unavailable(err)
	}
	// The journal mode is kept in the file; the page size must precede it.
	// synchronous=FULL syncs the log at each commit: what is acknowledged
	// survives a power failure (https://www.sqlite.org/pragma.html).
	conn, err := openSQLite(e.path, []string{
		busyMilliseconds, pageSize, "journal_mode=WAL", "synchronous=FULL",
		writerCache, mappedBytes, noCheckpoints, "temp_store=MEMORY",
	})
	if err != nil {
		return sqliteFailure(err)
	}
	moving, err := openSQLite(e.path, []string{busyMilliseconds, "synchronous=FULL", readerCache, noCheckpoints})
	if err != nil {
		return sqliteFailure(errors.Join(err, conn.close()))
	}
	e.writer = startWriter(ctx, conn, startCheckpointer(ctx, moving, e.log), e.clock)
	e.readers = newReaders(max(4, 2*runtime.GOMAXPROCS(0)), func() (*sqliteConn, error) {
		return openSQLite(e.path, []string{
			busyMilliseconds, readerCache, mappedBytes, "temp_store=MEMORY", "query_only=ON",
		})
	})
	var tables map[string]*table
	err = e.writer.do(ctx, func(conn *sqliteConn) error {
		var err error
		tables, err = layOut(ctx, conn, e.declare)
		return err
	})
	if err != nil {
		return err
	}
	e.tables = tables
	return nil
}

// table finds a collection's table.
func (e *Engine) table(name string) (*table, error) {
	if t := e.tables[name]; t != nil {
		return t, nil
	}
	_, err := e.declare.Collection(name)
	return nil, err
}

// EnsureSchema makes what is missing of the schema and reports the indexes
// that exist but differ, by their SQL. OpenEmbedded has done so already.
func (e *Engine) EnsureSchema(ctx context.Context) ([]engine.IndexDifference, error) {
	var differences []engine.IndexDifference
	err := e.writer.do(ctx, func(conn *sqliteConn) error {
		var err error
		differences, err = ensureIndexes(ctx, conn, e.tables)
		return err
	})
	if err != nil {
		return nil, err
	}
	return differences, nil
}

// Ping reads, and writes unless a write was acknowledged in the last seconds.
func (e *Engine) Ping(ctx context.Context) error {
	if err := e.read(ctx, func(conn *sqliteConn) error {
		_, err := conn.row(ctx, "SELECT count(*) FROM sqlite_master")
		return err
	}); err != nil {
		return err
	}
	return e.writer.probe(ctx)
}

// Name is "embedded".
func (e *Engine) Name() string { return "embedded" }

// Exclusive is true: the lock file keeps every other process out.
func (e *Engine) Exclusive() bool { return true }

// Close refuses what is asked from now on, finishes what was asked before,
// moves the log into the file and lets go of file and lock. A second call
// waits for the first. When ctx ends before that is done it returns
// unavailable, and the rest goes on behind.
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
			// Last, since it lets the next process in.
			errs = append(errs, e.lock.Close())
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

// errClosed is the cause of what is asked of a closed engine.
var errClosed = errors.New("the embedded database is closed")
