package backoff

import (
	"context"
	"math/rand/v2"
	"time"
)

// Backoff counts failed attempts. It belongs to one loop and is not safe for
// concurrent use.
type Backoff struct {
	ceiling time.Duration // of the next wait
	base    time.Duration
	most    time.Duration
	random  func() float64
}

// New makes a Backoff whose first wait is below base and whose waits double
// from there, up to most. random gives numbers in [0, 1); nil takes
// math/rand/v2's.
func New(base, most time.Duration, random func() float64) *Backoff {
	if random == nil {
		random = rand.Float64
	}
	b := &Backoff{base: min(base, most), most: most, random: random}
	b.Reset()
	return b
}

// Next gives how long to wait after one more failure: evenly between zero and
// the ceiling, which then doubles.
func (b *Backoff) Next() time.Duration {
	wait := time.Duration(b.random() * float64(b.ceiling))
	if b.ceiling > b.most/2 {
		b.ceiling = b.most
	} else {
		b.ceiling *= 2
	}
	return wait
}

// Wait waits for Next. It returns ctx's error as soon as ctx ends, otherwise
// nil.
func (b *Backoff) Wait(ctx context.Context) error {
	timer := time.NewTimer(b.Next())
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// Reset begins anew, after a success.
func (b *Backoff) Reset() { b.ceiling = b.base }
