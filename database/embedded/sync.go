package embedded

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"sync/atomic"

	"github.com/rs/zerolog"

	"pulse-control-plane/models"
)

// syncer puts committed transactions on disk while the writer runs the next one.
//
// With synchronous=FULL SQLite syncs the log inside of each commit, and the writer
// waits for the disk. With synchronous=NORMAL a commit writes to the log and does
// not sync it (https://www.sqlite.org/pragma.html#pragma_synchronous); the syncer
// does, and acknowledges the operations after that. Nothing is answered that a
// power failure could take back: a read, also one that finds nothing, waits for the
// sync of the last transaction that it may have seen. The log is valid up to its
// first frame that is not on disk, so a transaction survives only with all before it.
type syncer struct {
	// path is of the log; log is opened once SQLite has created it.
	path string
	log  *os.File
	// sync puts a file's data on disk.
	sync func(*os.File) error
	// result is called with the outcome of each sync.
	result  func(error)
	report  zerolog.Logger
	commits chan *commit
	// latest is the last transaction that was, or is being, committed.
	latest atomic.Pointer[commit]
	// broken is true once a sync failed: the kernel may have dropped what it could
	// not write, and a later sync would succeed without it
	// (https://wiki.postgresql.org/wiki/Fsync_Errors). Until a restart reads the log
	// again, writes fail, reads of the failed transaction's tables fail, and nothing
	// of the log is copied into the file.
	broken atomic.Bool
	done   chan struct{}
}

// commit is one transaction.
type commit struct {
	batch []*write
	// in is which tables it may have changed.
	in tableSet
	// durable is closed when the transaction is on disk, or failed.
	durable chan struct{}
	// lost is set before durable is closed: the transaction is visible and perhaps
	// not on disk.
	lost bool
}

// errNotSynced is the cause of errors after a failed sync.
var errNotSynced = errors.New("the log of the database could not be synced; restart when the disk is well")

// startSyncer starts the syncer of the log at path.
func startSyncer(path string, result func(error), report zerolog.Logger) *syncer {
	s := &syncer{path: path, sync: syncData, result: result, report: report, commits: make(chan *commit, 1), done: make(chan struct{})}
	go s.loop()
	return s
}

func (s *syncer) loop() {
	defer close(s.done)
	for c := range s.commits {
		err := s.put()
		s.result(err)
		c.lost = err != nil
		c.acknowledge(err)
	}
	if s.log != nil {
		_ = s.log.Close() // it was only synced
	}
}

// put puts the log on disk.
func (s *syncer) put() error {
	if s.broken.Load() {
		return models.Unavailable(errNotSynced)
	}
	err := s.open()
	if err == nil && s.log != nil {
		err = s.sync(s.log)
	}
	if err != nil {
		s.broken.Store(true)
		s.report.Error().Err(err).Msg("sync of the write-ahead log failed; writes are refused until a restart")
		return models.Unavailable(errors.Join(errNotSynced, err))
	}
	return nil
}

// open opens the log. There is none before the first write, nor of a database
// that is only read.
func (s *syncer) open() error {
	if s.log != nil {
		return nil
	}
	log, err := os.OpenFile(s.path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		s.log = log
	}
	return err
}

// acknowledge answers the operations of a transaction; err fails all of them.
func (c *commit) acknowledge(err error) {
	for _, op := range c.batch {
		if err != nil {
			op.err = sqliteFailure(err)
		}
		close(op.done)
	}
	close(c.durable)
}

// wait returns once every transaction that is visible by now and may have changed
// one of some tables is on disk; unavailable if ctx ends first or the sync failed. Only the last can be
// visible and not on disk, because the writer commits when the one before is.
func (s *syncer) wait(ctx context.Context, of tableSet) error {
	c := s.latest.Load()
	if c == nil || c.in&of == 0 {
		return nil
	}
	select {
	case <-c.durable:
	default:
		select {
		case <-c.durable:
		case <-ctx.Done():
			return models.Unavailable(ctx.Err())
		}
	}
	if c.lost {
		return models.Unavailable(errNotSynced)
	}
	return nil
}

// close syncs what was committed and ends the goroutine.
func (s *syncer) close() {
	close(s.commits)
	<-s.done
}
