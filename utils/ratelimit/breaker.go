package ratelimit

import (
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// breakerRest is how long after a failure nothing is asked.
const breakerRest = time.Second

// Breaker keeps requests from waiting for a store that does not answer: after a
// failure one request a second asks again, until one succeeds. It is safe for
// concurrent use.
type Breaker struct {
	start time.Time
	// openUntil is 0 while the store answers; otherwise when, in nanoseconds since
	// start on the monotonic clock, it is asked next.
	openUntil        atomic.Int64
	failures, missed atomic.Int64
}

// NewBreaker returns a Breaker for a store that is taken to answer.
func NewBreaker() *Breaker { return &Breaker{start: time.Now()} }

// Try reports whether the store is to be asked; the caller then says what came of it.
func (b *Breaker) Try() bool {
	until := b.openUntil.Load()
	if until == 0 {
		return true
	}
	now := int64(time.Since(b.start))
	if now >= until && b.openUntil.CompareAndSwap(until, now+int64(breakerRest)) {
		return true
	}
	b.missed.Add(1)
	return false
}

// Done says what came of a question.
func (b *Breaker) Done(err error) {
	if err == nil {
		b.openUntil.Store(0)
		return
	}
	b.failures.Add(1)
	b.openUntil.Store(int64(time.Since(b.start) + breakerRest))
}

// Register registers the counts of a store's breaker, as
// pulse_<store>_failures_total and pulse_<store>_skipped_total.
func (b *Breaker) Register(store string, registry prometheus.Registerer) {
	count := func(name, help string, of *atomic.Int64) prometheus.CounterFunc {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "pulse_" + store + "_" + name + "_total", Help: help},
			func() float64 { return float64(of.Load()) })
	}
	registry.MustRegister(count("failures", "Calls that failed or took too long; limits were then counted in this process.", &b.failures),
		count("skipped", "Calls not made within a second of a failed one; limits were then counted in this process.", &b.missed))
}
