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
	// batchedWrites and batchedFor bound how many operations share a
	// transaction and how long it takes others in, and so how long the first
	// of them waits for the last.
	batchedWrites = 256
	batchedFor    = 20 * time.Millisecond
	// commitGrace is how long a caller whose context has ended waits for the
	// outcome of a write that was already under way, before it must be told
	// that the outcome is unknown.
	commitGrace = time.Second
	// probeEvery bounds how often Ping writes.
	probeEvery = 5 * time.Second
)

// writer is the one goroutine that writes. Operations that wait share one
// transaction (group commit): the disk is synced once for all of them, and
// each is acknowledged only after that.
type writer struct {
	conn  *sqliteConn
	moves *checkpointer
	clock func() time.Time
	queue chan *write
	done  chan struct{}
	// guard keeps close from closing the queue under a sender.
	guard  sync.RWMutex
	closed bool
	// committed is the clock's time of the last commit that reached the disk,
	// in Unix nanoseconds; zero after one that failed.
	committed atomic.Int64
	// finishAt is the length of the log, in frames, at which the writer moves
	// it itself; the goroutine's own.
	finishAt int64
	failed   error
}

// write is one operation on its way to the disk.
type write struct {
	ctx context.Context
	run func(*sqliteConn) error
	// state makes sure that either the caller gives up or the writer begins.
	state atomic.Int32
	err   error
	done  chan struct{}
}

const (
	writeWaiting = iota
	writeBegun
	writeGivenUp
)

// startWriter takes over a connection and a checkpointer. The writer ends with close, not with
// ctx: what is queued must still be answered.
func startWriter(ctx context.Context, conn *sqliteConn, moves *checkpointer, clock func() time.Time) *writer {
	w := &writer{
		conn: conn, moves: moves, clock: clock,
		queue: make(chan *write, 4*batchedWrites), done: make(chan struct{}), finishAt: fullFrames,
	}
	go w.loop(context.WithoutCancel(ctx))
	return w
}

// do runs an operation in a transaction and returns when it is on disk, or
// what went wrong. run must leave nothing behind when it returns an error: it
// changes one row, or opens a savepoint. It is called on the writer's
// goroutine, perhaps after do has returned because ctx ended.
func (w *writer) do(ctx context.Context, run func(*sqliteConn) error) error {
	op := &write{ctx: ctx, run: run, done: make(chan struct{})}
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

// loop takes operations until the queue is closed and empty, then closes the
// connection.
func (w *writer) loop(ctx context.Context) {
	defer close(w.done)
	batch := make([]*write, 0, batchedWrites)
	for op := range w.queue {
		batch = w.transact(ctx, append(batch[:0], op))
		w.keepLogShort(ctx)
	}
	err := w.moves.close()
	_, truncate := w.conn.row(ctx, "PRAGMA wal_checkpoint(TRUNCATE)")
	w.failed = errors.Join(err, truncate, w.conn.close())
}

// transact runs the first operation and all that queue up meanwhile in one
// transaction, and acknowledges them. It returns the batch for reuse.
func (w *writer) transact(ctx context.Context, batch []*write) []*write {
	began := time.Now()
	_, err := w.conn.exec(ctx, "BEGIN IMMEDIATE")
	for i := 0; err == nil && i < len(batch); i++ {
		err = batch[i].begin(w.conn)
		if i+1 == len(batch) && len(batch) < batchedWrites && time.Since(began) < batchedFor {
			if next := w.waiting(); next != nil {
				batch = append(batch, next)
			}
		}
	}
	if err == nil {
		_, err = w.conn.exec(ctx, "COMMIT")
	}
	if err == nil {
		w.committed.Store(w.clock().UnixNano())
	} else {
		w.committed.Store(0)
		// It fails where SQLite has rolled back by itself.
		_, _ = w.conn.exec(ctx, "ROLLBACK")
	}
	for i, op := range batch {
		if err != nil {
			op.err = sqliteFailure(err)
		}
		close(op.done)
		batch[i] = nil
	}
	return batch
}

// waiting returns an operation that has queued up, or nil. Callers that were
// just acknowledged are given a chance to come back first.
func (w *writer) waiting() *write {
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

// begin runs the operation unless its caller has given up. Its own failure is
// kept for the caller; what is returned spoils the whole transaction.
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

// atomically runs several changes of one operation so that all or none are
// made.
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

// probe answers nil when a write could be served now: one was committed in the
// last seconds, or a row of the engine's own is written to see.
func (w *writer) probe(ctx context.Context) error {
	return w.do(ctx, func(conn *sqliteConn) error {
		if last := w.committed.Load(); last != 0 && w.clock().Sub(time.Unix(0, last)) < probeEvery {
			return nil
		}
		_, err := conn.exec(ctx, "UPDATE pulse_engine SET probed = probed + 1")
		return err
	})
}

// close refuses new operations, finishes those that wait, moves the log into
// the file and closes the connection.
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
