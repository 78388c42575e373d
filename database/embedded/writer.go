package embedded

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"pulse-control-plane/models"
)

const (
	// batchedWrites and batchedFor limit how many operations share a
	// transaction and for how long it accepts more, and so how long the first
	// waits for the last.
	batchedWrites = 256
	batchedFor    = 20 * time.Millisecond
	// commitGrace is how long a caller with an ended context waits for a write
	// that has begun, before it is told that the result is unknown.
	commitGrace = time.Second
	// lookAtLog is after how many transactions the writer looks how long the log is.
	lookAtLog = 8
	// probeEvery limits how often Ping writes.
	probeEvery = 5 * time.Second
)

// writer is the only goroutine that writes. Waiting operations share one
// transaction (group commit): one disk sync for all, and the syncer acknowledges
// each only after it. Operations that come during a sync are run meanwhile and
// committed after it.
type writer struct {
	conn   *sqliteConn
	moves  *checkpointer
	syncer *syncer
	clock  func() time.Time
	queue  chan *write
	done   chan struct{}
	// guard prevents closing the queue during a send.
	guard  sync.RWMutex
	closed bool
	// committed is the clock's time of the last commit on disk, in Unix
	// nanoseconds; zero after a failed commit.
	committed atomic.Int64
	// finishAt is the length of the log, in frames, at which the writer does
	// the checkpoint itself; used by its goroutine only.
	finishAt int64
	// changes is how many rows the connection had changed by the last transaction;
	// used by its goroutine only.
	changes int64
	failed  error
}

// write is one queued operation.
type write struct {
	ctx context.Context
	run func(*sqliteConn) error
	// in is which tables it may change.
	in tableSet
	// state decides the race between a caller that gives up and the writer that
	// begins.
	state atomic.Int32
	err   error
	done  chan struct{}
}

const (
	writeWaiting = iota
	writeBegun
	writeGivenUp
)

// startWriter takes ownership of a connection to the file at path and a
// checkpointer. The writer ends with close, not with ctx: queued operations still
// need an answer.
func startWriter(ctx context.Context, path string, conn *sqliteConn, moves *checkpointer, clock func() time.Time) *writer {
	w := &writer{
		conn: conn, moves: moves, clock: clock,
		queue: make(chan *write, 4*batchedWrites), done: make(chan struct{}), finishAt: fullFrames,
	}
	w.syncer = startSyncer(path+"-wal", w.finished, moves.log)
	go w.loop(context.WithoutCancel(ctx))
	return w
}

// do runs an operation on some tables in a transaction and returns when it is on disk or has
// failed. If run returns an error it must leave no change: it changes one row
// or opens a savepoint. It runs on the writer's goroutine, possibly after do
// has returned because ctx ended.
func (w *writer) do(ctx context.Context, in tableSet, run func(*sqliteConn) error) error {
	op := &write{ctx: ctx, run: run, in: in, done: make(chan struct{})}
	if err := w.send(op); err != nil {
		return err
	}
	select {
	case <-op.done:
		return op.err
	case <-ctx.Done():
	}
	if op.state.CompareAndSwap(writeWaiting, writeGivenUp) {
		return models.Unavailable(ctx.Err())
	}
	grace := time.NewTimer(commitGrace)
	defer grace.Stop()
	select {
	case <-op.done:
		return op.err
	case <-grace.C:
		return models.Unavailable(ctx.Err())
	}
}

func (w *writer) send(op *write) error {
	if err := op.ctx.Err(); err != nil {
		return models.Unavailable(err)
	}
	w.guard.RLock()
	defer w.guard.RUnlock()
	if w.closed {
		return models.Unavailable(errClosed)
	}
	select {
	case w.queue <- op:
		return nil
	case <-op.ctx.Done():
		return models.Unavailable(op.ctx.Err())
	}
}

// loop runs operations until the queue is closed and empty, then closes the
// connection.
func (w *writer) loop(ctx context.Context) {
	defer close(w.done)
	for n := 1; ; n++ {
		op, more := <-w.queue
		if !more {
			break
		}
		w.transact(ctx, op)
		if n%lookAtLog == 0 && !w.syncer.broken.Load() {
			w.keepLogShort(ctx)
		}
	}
	w.syncer.close()
	if w.syncer.broken.Load() {
		// SQLite would copy the log into the file when the last connection closes.
		w.failed = w.moves.abandon()
		return
	}
	err := w.moves.close()
	_, truncate := w.conn.row(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
	w.failed = errors.Join(err, truncate, w.conn.close())
}

// transact runs the first operation and all that are queued meanwhile in one
// transaction, commits it when the one before is on disk, and passes it to the
// syncer, which acknowledges them.
func (w *writer) transact(ctx context.Context, first *write) {
	began := time.Now()
	before := w.syncer.latest.Load()
	c := &commit{batch: append(make([]*write, 0, 16), first), durable: make(chan struct{})}
	var err error
	if w.syncer.broken.Load() {
		err = models.Unavailable(errNotSynced)
	} else {
		_, err = w.conn.exec(ctx, "BEGIN IMMEDIATE")
	}
	for i := 0; err == nil && i < len(c.batch); i++ {
		c.in |= c.batch[i].in
		err = c.batch[i].begin(w.conn)
		if i+1 == len(c.batch) && len(c.batch) < batchedWrites && time.Since(began) < batchedFor {
			if next := w.waiting(before); next != nil {
				c.batch = append(c.batch, next)
			}
		}
	}
	if before != nil {
		<-before.durable
		if err == nil && before.lost {
			err = models.Unavailable(errNotSynced)
		}
	}
	changed := false
	if err == nil {
		changed, err = w.changed(ctx, c.in)
	}
	if err == nil {
		if changed {
			w.syncer.latest.Store(c) // before anybody can see it
		}
		_, err = w.conn.exec(ctx, "COMMIT")
	}
	switch {
	case err == nil && changed:
		w.syncer.commits <- c
		return
	case err == nil:
		c.acknowledge(nil)
		return
	}
	w.finished(err)
	// The rollback fails if SQLite has rolled back already.
	_, _ = w.conn.exec(ctx, "ROLLBACK")
	c.acknowledge(err)
}

// changed reports whether the transaction on some tables has written anything.
func (w *writer) changed(ctx context.Context, in tableSet) (bool, error) {
	row, err := w.conn.row(ctx, "SELECT total_changes()")
	if err != nil {
		return false, err
	}
	before := w.changes
	w.changes, _ = row[0].(int64)
	// Statements that change the schema are not counted.
	return in == allTables || w.changes != before, nil
}

// finished notes when the last transaction was on disk, or that it failed.
func (w *writer) finished(err error) {
	if err != nil {
		w.committed.Store(0)
		return
	}
	w.committed.Store(w.clock().UnixNano())
}

// waiting returns a queued operation, or nil if there is none. While the transaction
// before is being synced it waits for one; otherwise it only yields, so that callers
// just acknowledged can queue again.
func (w *writer) waiting(before *commit) *write {
	if before != nil {
		select {
		case op := <-w.queue: // nil once the queue is closed
			return op
		case <-before.durable:
		}
	}
	for range 2 {
		select {
		case op, ok := <-w.queue:
			if ok {
				return op
			}
			return nil
		default:
			runtime.Gosched()
		}
	}
	return nil
}

// begin runs the operation unless its caller gave up. It keeps the operation's
// own error for the caller and returns an error that fails the whole
// transaction.
func (op *write) begin(conn *sqliteConn) error {
	if op.ctx.Err() != nil {
		op.err = models.Unavailable(op.ctx.Err())
		return nil
	}
	if !op.state.CompareAndSwap(writeWaiting, writeBegun) {
		return nil
	}
	err := op.run(conn)
	if sqliteSpoils(err) {
		return err
	}
	op.err = sqliteFailure(err)
	return nil
}

// atomically runs the changes of one operation: all or none.
func atomically(ctx context.Context, conn *sqliteConn, run func() error) error {
	if _, err := conn.exec(ctx, "SAVEPOINT operation"); err != nil {
		return err
	}
	err := run()
	if err != nil && !sqliteSpoils(err) {
		_, undo := conn.exec(ctx, "ROLLBACK TO operation")
		err = errors.Join(err, undo)
	}
	if !sqliteSpoils(err) {
		_, release := conn.exec(ctx, "RELEASE operation")
		err = errors.Join(err, release)
	}
	return err
}

// probe returns nil if a write could be served now: one was committed in the
// last seconds, or a test write succeeds. A clock that was set back counts no second.
func (w *writer) probe(ctx context.Context) error {
	return w.do(ctx, noTable, func(conn *sqliteConn) error {
		if last := w.committed.Load(); last != 0 && w.clock().Sub(time.Unix(0, last)).Abs() < probeEvery {
			return nil
		}
		_, err := conn.exec(ctx, "UPDATE pulse_engine SET probed = probed + 1")
		return err
	})
}

// close refuses new operations, finishes the queued ones, checkpoints the log
// and closes the connection.
func (w *writer) close() error {
	w.guard.Lock()
	if !w.closed {
		w.closed = true
		close(w.queue)
	}
	w.guard.Unlock()
	<-w.done
	return w.failed
}
