package worker

import "time"

// Backoff spaces out attempts at something that failed: the wait doubles from
// First to Most. It holds no state: who counts the attempts may store them.
type Backoff struct {
	First, Most time.Duration
}

// After gives the wait after so many failed attempts, one or more: First after
// the first, twice as long after each further one, never more than Most.
func (b Backoff) After(attempts int64) time.Duration {
	wait := min(b.First, b.Most)
	for ; attempts > 1 && wait < b.Most; attempts-- {
		if wait > b.Most/2 {
			return b.Most
		}
		wait *= 2
	}
	return wait
}

// Jittered gives a wait between half of After and all of it, so that callers
// that failed together do not come back together. random is in [0, 1).
func (b Backoff) Jittered(attempts int64, random float64) time.Duration {
	wait := b.After(attempts)
	return wait/2 + time.Duration(random*float64(wait-wait/2))
}
