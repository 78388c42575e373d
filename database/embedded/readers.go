package embedded

import (
	"context"
	"errors"
	"sync"

	"pulse-control-plane/models"
)

// readers is a bounded pool of read-only connections, opened on demand.
type readers struct {
	open func() (*sqliteConn, error)
	// permits holds one token for each connection in use.
	permits chan struct{}
	guard   sync.Mutex
	idle    []*sqliteConn
	closed  bool
}

func newReaders(most int, open func() (*sqliteConn, error)) *readers {
	return &readers{open: open, permits: make(chan struct{}, most)}
}

// acquire returns a connection; it waits while all are in use.
func (r *readers) acquire(ctx context.Context) (*sqliteConn, error) {
	if err := ctx.Err(); err != nil {
		return nil, models.Unavailable(err)
	}
	select {
	case r.permits <- struct{}{}:
	case <-ctx.Done():
		return nil, models.Unavailable(ctx.Err())
	}
	r.guard.Lock()
	if r.closed {
		r.guard.Unlock()
		<-r.permits
		return nil, models.Unavailable(errClosed)
	}
	if n := len(r.idle); n > 0 {
		conn := r.idle[n-1]
		r.idle = r.idle[:n-1]
		r.guard.Unlock()
		return conn, nil
	}
	r.guard.Unlock()
	conn, err := r.open()
	if err != nil {
		<-r.permits
		return nil, sqliteFailure(err)
	}
	return conn, nil
}

func (r *readers) release(conn *sqliteConn) {
	r.guard.Lock()
	r.idle = append(r.idle, conn)
	r.guard.Unlock()
	<-r.permits
}

// close refuses new readers, waits for the active ones and closes all.
func (r *readers) close() error {
	r.guard.Lock()
	r.closed = true
	r.guard.Unlock()
	for range cap(r.permits) {
		r.permits <- struct{}{}
	}
	// Wake the goroutines that wait for a permit; they return errClosed.
	for range cap(r.permits) {
		<-r.permits
	}
	r.guard.Lock()
	defer r.guard.Unlock()
	var errs []error
	for _, conn := range r.idle {
		errs = append(errs, conn.close())
	}
	r.idle = nil
	return errors.Join(errs...)
}

// read runs a query of some tables on a reader's connection and waits until what it
// saw is on disk.
func (e *Engine) read(ctx context.Context, of tableSet, ask func(*sqliteConn) error) error {
	conn, err := e.readers.acquire(ctx)
	if err != nil {
		return err
	}
	err = func() error {
		defer e.readers.release(conn)
		return ask(conn)
	}()
	if err = sqliteFailure(err); err != nil && !models.IsKind(err, models.KindNotFound) {
		return err
	}
	if lost := e.writer.syncer.wait(ctx, of); lost != nil {
		return lost
	}
	return err
}
