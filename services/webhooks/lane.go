package webhooks

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"pulse-control-plane/models"
)

const (
	// concurrency is how many requests to an endpoint are under way at most.
	concurrency = 4
	// maxOpen is how many of its attempts besides may be about to be stored.
	maxOpen = 24
	// troubled is how many failures in a row make an endpoint one that is tried
	// one at a time; slowAfter is what makes one slow.
	troubled  = 4
	slowAfter = 2 * time.Second
	// due is how many deliveries are read at a time, and of an ordered endpoint.
	dueRead, dueReadOrdered = 32, 256
	// looksAgain is how often a lane that is at work looks for what became due.
	looksAgain = time.Second
	// freshFor is for how long what was read of an endpoint holds.
	freshFor = time.Second
	// storeFor bounds storing the outcome of an attempt.
	storeFor = 10 * time.Second
)

// lane sends the deliveries of one endpoint. What a lane knows of its endpoint's
// health belongs to the goroutine that runs it.
type lane struct {
	w     *Worker
	id    models.EndpointID
	shard int64
	bell  chan struct{}

	// running and next, when something is due again, are under w.mu.
	running bool
	next    time.Time

	// proved is set when the endpoint answered well; failures are those in a row.
	proved, slow bool
	failures     int
}

// run sends what is due until nothing is.
func (l *lane) run(ctx context.Context) {
	for {
		select {
		case <-l.bell:
		default:
		}
		next, err := l.serve(ctx)
		if err != nil && ctx.Err() == nil {
			l.w.c.Site.Log.Error().Err(err).Str("endpoint_id", string(l.id)).Msg("webhooks: the deliveries of an endpoint wait")
			next = l.w.c.Now().Add(laneRetry)
		}
		if l.w.rest(l, next, err != nil || ctx.Err() != nil) {
			return
		}
	}
}

// serve sends what is due and returns when something is due again: zero if nothing
// waits, or this process must send no more.
func (l *lane) serve(ctx context.Context) (next time.Time, err error) {
	r := &round{lane: l, busy: map[models.DeliveryID]bool{}, rooms: map[string]*room{}, events: map[string]*models.Event{}, done: make(chan step, 2*maxOpen)}
	defer func() {
		if p := recover(); p != nil {
			err = models.Internal(fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
		}
	}()
	defer r.drain()
	if err := r.read(ctx); err != nil || r.stopped {
		return time.Time{}, err
	}
	for !r.stopped && ctx.Err() == nil {
		d, err := r.take(ctx)
		if err != nil {
			return time.Time{}, err
		}
		if d != nil {
			if err := r.begin(ctx, d); err != nil {
				return time.Time{}, err
			}
			continue
		}
		if r.open == 0 && r.exhausted {
			return r.nextDue(ctx)
		}
		if err := r.wait(ctx); err != nil {
			return time.Time{}, err
		}
	}
	return time.Time{}, nil
}

// limit is how many requests may be under way: one until the endpoint answered
// well, and while it fails.
func (l *lane) limit() int {
	if !l.proved || l.failures >= troubled {
		return 1
	}
	return concurrency
}

// pool is where a request takes its token.
func (l *lane) pool() chan struct{} {
	if l.slow || l.failures >= troubled {
		return l.w.slow
	}
	return l.w.quick
}
