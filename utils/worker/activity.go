package worker

import (
	"sync"
	"sync/atomic"
	"time"
)

// Activity tells workers whether anything happened lately that may have made work
// for them. While nothing does, they look for work less often (Options.Quiet). It
// is safe for concurrent use.
type Activity struct {
	lasts time.Duration
	since func() time.Duration
	// until is when it is quiet, in nanoseconds of since.
	until atomic.Int64

	mu      sync.Mutex
	workers []*Worker
}

// NewActivity makes an Activity that lasts for a time after each Mark. It begins
// active.
func NewActivity(lasts time.Duration) *Activity {
	start := time.Now()
	a := &Activity{lasts: lasts, since: func() time.Duration { return time.Since(start) }}
	a.until.Store(int64(lasts))
	return a
}

// Active reports whether something happened lately.
func (a *Activity) Active() bool { return int64(a.since()) < a.until.Load() }

// Mark says that something happened. After a quiet time it wakes every worker.
func (a *Activity) Mark() {
	now, until := int64(a.since()), a.until.Load()
	if until-now > int64(a.lasts)*3/4 {
		return // marked a moment ago
	}
	// The time is read again: a worker that found it quiet after the first reading
	// must be woken.
	if a.until.Swap(now+int64(a.lasts)) > int64(a.since()) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, w := range a.workers {
		w.Wake()
	}
}

func (a *Activity) add(w *Worker) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.workers = append(a.workers, w)
}
