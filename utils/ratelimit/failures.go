package ratelimit

import (
	"context"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// Backoff is how failures slow down: those beyond the free ones wait First, each
// further one twice as long up to Longest, and Forget without failures forgets
// them.
type Backoff struct{ First, Longest, Forget time.Duration }

// Count is a name that failures are counted under, and how many are free.
type Count struct {
	Name string
	Free int
}

// Tally is the failures counted under one name.
type Tally struct {
	Failures int
	// Until is the end of the delay that they cause.
	Until, Last time.Time
	// Began and Given are those of an Account whose Paid is Until, in a tally of guesses.
	Began time.Time
	Given time.Duration
}

// At is a tally at a time: empty if its failures are long ago.
func (b Backoff) At(t Tally, now time.Time) Tally {
	if now.Sub(t.Last) < b.Forget {
		return t
	}
	return Tally{}
}

// Failed is a tally with one more failure.
func (b Backoff) Failed(t Tally, now time.Time, free int) Tally {
	t.Failures, t.Last = t.Failures+1, now
	if over := t.Failures - free; over > 0 {
		// Twenty doublings exceed the longest delay by far.
		t.Until = now.Add(min(b.Longest, b.First<<min(over-1, 20)))
	}
	return t
}

// Forgiven is a tally without one failure and the delay it caused.
func (t Tally) Forgiven() Tally {
	t.Failures, t.Until = max(0, t.Failures-1), time.Time{}
	return t
}

// LocalFailures counts failures in this process. It is safe for concurrent use.
type LocalFailures struct {
	policy Backoff
	now    func() time.Time

	mu      sync.Mutex
	tallies *lru.Cache[string, Tally]
}

// NewLocalFailures counts under at most size names.
func NewLocalFailures(policy Backoff, size int, now func() time.Time) *LocalFailures {
	tallies, err := lru.New[string, Tally](max(1, size))
	if err != nil {
		panic(err) // the library refuses a size below one only
	}
	return &LocalFailures{policy: policy, now: now, tallies: tallies}
}

// Count counts one failure under every name, or none: it then gives how long to
// wait. The error is always nil.
func (f *LocalFailures) Count(_ context.Context, counts []Count) (wait time.Duration, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	for _, c := range counts {
		found, _ := f.tallies.Get(c.Name)
		wait = max(wait, f.policy.At(found, now).Until.Sub(now))
	}
	if wait > 0 {
		return wait, nil
	}
	for _, c := range counts {
		found, _ := f.tallies.Get(c.Name)
		f.tallies.Add(c.Name, f.policy.Failed(f.policy.At(found, now), now, c.Free))
	}
	return 0, nil
}

// Forgive takes one failure back under every name.
func (f *LocalFailures) Forgive(_ context.Context, names []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, name := range names {
		if found, ok := f.tallies.Peek(name); ok {
			f.tallies.Add(name, found.Forgiven())
		}
	}
}

// Clear forgets all failures under a name.
func (f *LocalFailures) Clear(_ context.Context, name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tallies.Remove(name)
}

// Len is how many names are remembered.
func (f *LocalFailures) Len() int { return f.tallies.Len() }
