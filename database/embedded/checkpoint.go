package embedded

import (
	"context"
	"errors"

	"github.com/rs/zerolog"
)

// Moving the log into the file is left to a goroutine with a connection of its
// own, since it syncs the file: done by the commit that makes the log long, as
// SQLite does unasked, it holds up every write that comes meanwhile (measured:
// twice the 99th percentile of inserts into a million documents).
const (
	// checkpointFrames is after how many pages (4 KiB) the log is moved.
	checkpointFrames = 4000
	// fullFrames is how long the log grows while writes never pause; the
	// writer itself then moves the little that was added since, so that the
	// log starts anew.
	fullFrames = 4 * checkpointFrames
)

// checkpointer moves the log into the file while others write.
type checkpointer struct {
	conn *sqliteConn
	log  zerolog.Logger
	// due asks for the next move; one that waits is enough.
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
		if _, err := walCheckpoint(ctx, c.conn, "PASSIVE"); err != nil {
			c.complain(err)
		}
	}
	c.failed = c.conn.close()
}

// complain logs that the log could not be moved. Nothing is lost by that: what
// is not moved stays in the log.
func (c *checkpointer) complain(err error) {
	c.log.Error().Err(err).Msg("moving the database's log into its file failed")
}

// ask asks for the log to be moved, and does not wait.
func (c *checkpointer) ask() {
	select {
	case c.due <- struct{}{}:
	default:
	}
}

// close ends the goroutine; nobody may ask any more.
func (c *checkpointer) close() error {
	close(c.due)
	<-c.done
	return c.failed
}

// logState is what a checkpoint answers: whether another one was in its way,
// how many frames the log has, and how many of them are in the file.
type logState struct {
	busy          bool
	frames, moved int64
}

// walCheckpoint runs a checkpoint of a mode: PASSIVE moves what it can without
// waiting for anybody, NOOP moves nothing
// (https://www.sqlite.org/pragma.html#pragma_wal_checkpoint).
func walCheckpoint(ctx context.Context, conn *sqliteConn, mode string) (logState, error) {
	row, err := conn.row(ctx, "PRAGMA wal_checkpoint("+mode+")")
	if err != nil {
		return logState{}, err
	}
	var numbers [3]int64
	for i := range numbers {
		n, ok := row[i].(int64)
		if !ok {
			return logState{}, errors.New("sqlite: wal_checkpoint answered no numbers")
		}
		numbers[i] = n
	}
	return logState{numbers[0] != 0, numbers[1], numbers[2]}, nil
}

// keepLogShort asks for the log to be moved when it has become long, and
// finishes that when writes never pause. A reader that stays on an old state
// keeps the log from starting anew; then it is finished again only when as much
// was added.
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
