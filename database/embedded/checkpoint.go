package embedded

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/rs/zerolog"
)

// A goroutine with its own connection does the checkpoints, because they sync
// the file. By default SQLite does them in the commit that makes the log too
// long; that delays every write behind it (measured: twice the 99th percentile
// of inserts into a million documents).
const (
	// checkpointFrames is the length of the log, in pages of 4 KiB, that starts
	// a checkpoint.
	checkpointFrames = 4000
	// fullFrames is the length of the log at which the writer itself finishes
	// the checkpoint, so that the log restarts from the beginning even if
	// writes never pause.
	fullFrames = 4 * checkpointFrames
)

// checkpointer copies the log into the file while other goroutines write.
type checkpointer struct {
	conn *sqliteConn
	log  zerolog.Logger
	// off forbids further checkpoints.
	off atomic.Bool
	// due requests the next checkpoint; one pending request is enough.
	due    chan struct{}
	done   chan struct{}
	failed error
}

func startCheckpointer(ctx context.Context, conn *sqliteConn, log zerolog.Logger) *checkpointer {
	c := &checkpointer{conn: conn, log: log, due: make(chan struct{}, 1), done: make(chan struct{})}
	go c.loop(context.WithoutCancel(ctx))
	return c
}

func (c *checkpointer) loop(ctx context.Context) {
	defer close(c.done)
	for range c.due {
		if c.off.Load() {
			continue
		}
		if _, err := walCheckpoint(ctx, c.conn, "PASSIVE"); err != nil {
			c.complain(err)
		}
	}
	if !c.off.Load() {
		c.failed = c.conn.close()
	}
}

// complain logs a failed checkpoint. No data is lost: the log keeps it.
func (c *checkpointer) complain(err error) {
	c.log.Error().Err(err).Msg("checkpoint of the write-ahead log failed")
}

// ask requests a checkpoint and does not wait.
func (c *checkpointer) ask() {
	select {
	case c.due <- struct{}{}:
	default:
	}
}

// close ends the goroutine; ask must not be called afterwards.
func (c *checkpointer) close() error {
	close(c.due)
	<-c.done
	return c.failed
}

// abandon ends the goroutine and leaves its connection open, until the process ends.
func (c *checkpointer) abandon() error {
	c.off.Store(true)
	return c.close()
}

// logState is the result of a checkpoint: whether another checkpoint blocked
// it, the frames of the log and how many of them are in the file.
type logState struct {
	busy          bool
	frames, moved int64
}

// walCheckpoint runs a checkpoint: PASSIVE copies what it can without waiting,
// NOOP only reports (https://www.sqlite.org/pragma.html#pragma_wal_checkpoint).
func walCheckpoint(ctx context.Context, conn *sqliteConn, mode string) (logState, error) {
	row, err := conn.row(ctx, "PRAGMA wal_checkpoint("+mode+")")
	if err != nil {
		return logState{}, err
	}
	var numbers [3]int64
	for i := range numbers {
		n, ok := row[i].(int64)
		if !ok {
			return logState{}, errors.New("sqlite: wal_checkpoint did not return numbers")
		}
		numbers[i] = n
	}
	return logState{numbers[0] != 0, numbers[1], numbers[2]}, nil
}

// keepLogShort requests a checkpoint when the log is long, and finishes it if
// writes never pause. A reader of an old state keeps the log from restarting;
// the writer then waits until the log has grown by as much again.
func (w *writer) keepLogShort(ctx context.Context) {
	log, err := walCheckpoint(ctx, w.conn, "NOOP")
	switch {
	case err != nil:
	case log.frames < fullFrames:
		w.finishAt = fullFrames
	case log.frames >= w.finishAt:
		var finished logState
		finished, err = walCheckpoint(ctx, w.conn, "PASSIVE")
		if err == nil && !finished.busy {
			w.finishAt = log.frames + fullFrames
		}
	}
	if err != nil {
		w.moves.complain(err)
	} else if log.frames-log.moved >= checkpointFrames {
		w.moves.ask()
	}
}
