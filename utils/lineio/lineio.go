package lineio

import (
	"io"
	"sync"
	"time"
)

// Delay is how long a line waits in memory at most, while the underlying writer
// keeps up.
const Delay = 20 * time.Millisecond

// most is how many bytes are buffered before callers wait.
const most = 256 << 10

// Writer batches lines for another writer. It is safe for concurrent use. New
// makes one; its user calls Flush at the end.
type Writer struct {
	to io.Writer

	mu sync.Mutex
	// lines wait to be written; spare is the buffer of the batch before.
	lines, spare []byte
	timer        *time.Timer
	waiting      bool // the timer is running

	// writing is held during a write, so that batches keep their order. It is
	// locked before mu.
	writing sync.Mutex
}

// New returns a Writer over an underlying one, which gets one batch at a time.
func New(to io.Writer) *Writer {
	w := &Writer{to: to}
	w.timer = time.AfterFunc(time.Hour, func() { _ = w.Flush() })
	w.timer.Stop()
	return w
}

// Write takes one or more lines. Only when the buffer is full does it wait for
// the underlying writer and return its error.
func (w *Writer) Write(line []byte) (int, error) {
	w.mu.Lock()
	w.lines = append(w.lines, line...)
	full := len(w.lines) >= most
	if !w.waiting && !full {
		w.waiting = true
		w.timer.Reset(Delay)
	}
	w.mu.Unlock()
	if full {
		return len(line), w.Flush()
	}
	return len(line), nil
}

// Urgent writes a line, and all lines before it, before it returns.
func (w *Writer) Urgent(line []byte) (int, error) {
	w.mu.Lock()
	w.lines = append(w.lines, line...)
	w.mu.Unlock()
	return len(line), w.Flush()
}

// Flush writes all waiting lines. The error is the underlying writer's; the
// lines of a failed write are lost.
func (w *Writer) Flush() error {
	w.writing.Lock()
	defer w.writing.Unlock()
	w.mu.Lock()
	batch := w.lines
	w.lines, w.spare = w.spare[:0], nil
	w.timer.Stop()
	w.waiting = false
	w.mu.Unlock()
	if len(batch) == 0 {
		w.keep(batch)
		return nil
	}
	_, err := w.to.Write(batch)
	w.keep(batch)
	return err
}

// keep reuses a written batch's memory for the batch after the next.
func (w *Writer) keep(batch []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if cap(batch) <= 2*most {
		w.spare = batch[:0]
	}
}
