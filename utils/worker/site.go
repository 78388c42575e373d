package worker

import (
	"context"
	"time"

	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/trace"
)

// Site is what the workers of one process share.
type Site struct {
	// Lease and Owner are needed by workers that one process at a time runs.
	Lease Lease
	Owner string
	Log   zerolog.Logger
	// Observer and Tracer may be nil.
	Observer Observer
	Tracer   trace.Tracer
	// Activity may be nil.
	Activity *Activity
	// Now is the process's own clock, for durations in memory: nobody may set it, as a
	// clock that follows a database's is. It may be nil.
	Now func() time.Time
}

// Clock is Now, or another clock where there is none.
func (s Site) Clock(other func() time.Time) func() time.Time {
	if s.Now != nil {
		return s.Now
	}
	return other
}

// Options are those of a worker that every process runs.
func (s Site) Options() Options { return Options{Log: s.Log, Observer: s.Observer, Tracer: s.Tracer} }

// Quiet are Options of a worker that looks for work less often while nothing
// happens.
func (s Site) Quiet(o Options) Options {
	o.Activity = s.Activity
	return o
}

// Led are the options of a worker that one process at a time runs, with a lease
// of ttl; gained may be nil (Leadership.Gained).
func (s Site) Led(ttl time.Duration, gained func(ctx context.Context) error) Options {
	o := s.Options()
	o.Leadership = &Leadership{Lease: s.Lease, Owner: s.Owner, TTL: ttl, Gained: gained}
	return o
}
