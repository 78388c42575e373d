package worker

import (
	"context"
	"errors"
	"time"
)

// ErrLeaseLost is the cause with which a pass's context ends when another
// process may have the lease.
var ErrLeaseLost = errors.New("the lease was lost")

// Lease stores who leads. Its times should be those of the store, so that no
// process's clock decides. Implementations are safe for concurrent use.
type Lease interface {
	// Acquire takes a lease for ttl from now, or extends it if owner has it
	// already; false while another owner's has not run out.
	Acquire(ctx context.Context, name, owner string, ttl time.Duration) (bool, error)
	// Renew extends a lease that owner has; false if it has it no more.
	Renew(ctx context.Context, name, owner string, ttl time.Duration) (bool, error)
	// Release gives a lease back before it runs out. That owner does not have
	// it is not an error.
	Release(ctx context.Context, name, owner string) error
}

// leastTTL leaves a renewal time to be answered.
const leastTTL = 100 * time.Millisecond

// Leadership lets one process at a time run a worker's passes. The lease bears
// the worker's name.
type Leadership struct {
	Lease Lease
	// Owner names this process among all.
	Owner string
	// TTL is how long the work waits for a process that died. The lease is
	// renewed, and asked for by the other processes, three times as often.
	TTL time.Duration
	// Gained, if set, is called before the first pass each time the lease was
	// taken, within that pass's deadline, until it returns nil: what the
	// process before left undone can be looked for.
	Gained func(ctx context.Context) error
}

func (l *Leadership) check() error {
	switch {
	case l.Lease == nil:
		return errors.New("Leadership.Lease is required")
	case l.Owner == "":
		return errors.New("Leadership.Owner is required")
	case l.TTL < leastTTL:
		return errors.New("Leadership.TTL must be at least 100ms")
	}
	return nil
}

// every is how often the lease is renewed or asked for.
func (l *Leadership) every() time.Duration { return l.TTL / 3 }

// believed is how long this process relies on a lease it asked for at a time:
// an eighth less than it has, in which a pass can end.
func (l *Leadership) believed(asked time.Time) time.Time { return asked.Add(l.TTL - l.TTL/8) }

// lead asks for the lease and works while it has it, until ctx ends.
func (w *Worker) lead(ctx context.Context) {
	l := w.o.Leadership
	w.o.Observer.Held(w.config.Name, false)
	// An unanswered question may have taken the lease.
	perhaps := false
	var failures int64
	for ctx.Err() == nil {
		asked := time.Now()
		held, err := w.ask(ctx, l.Lease.Acquire, asked.Add(l.TTL/2))
		switch {
		case err != nil:
			perhaps = true
			failures++
			if ctx.Err() == nil {
				w.o.Log.Warn().Err(err).Str("worker", w.config.Name).Int64("failures", failures).
					Msg("worker: the lease could not be asked for")
			}
			sleep(ctx, max(l.every(), w.o.Backoff.Jittered(failures, w.o.Random())))
			continue
		case held:
			w.leading(ctx, asked)
		}
		perhaps, failures = false, 0
		// Spread, so that processes that started together take turns.
		sleep(ctx, l.every()-time.Duration(w.o.Random()*float64(l.every()/4)))
	}
	if perhaps {
		w.release(ctx)
	}
}

// ask asks the store of leases, until a time at most.
func (w *Worker) ask(ctx context.Context, question func(context.Context, string, string, time.Duration) (bool, error), until time.Time) (bool, error) {
	bounded, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	return question(bounded, w.config.Name, w.o.Leadership.Owner, w.o.Leadership.TTL)
}

// leading works until the lease is lost or ctx ends; then the lease is
// released.
func (w *Worker) leading(ctx context.Context, asked time.Time) {
	l := w.o.Leadership
	w.o.Observer.Held(w.config.Name, true)
	defer w.o.Observer.Held(w.config.Name, false)
	leading, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	renewing := make(chan struct{})
	go func() {
		defer close(renewing)
		w.renew(leading, asked, stop)
	}()
	w.work(leading, w.prepared(l.Gained))
	stop(nil)
	<-renewing
	if errors.Is(context.Cause(leading), ErrLeaseLost) {
		w.o.Log.Warn().Str("worker", w.config.Name).Msg("worker: the lease was lost")
	}
	// Also when it was lost: a store that was away may still have it as ours.
	w.release(ctx)
}

// prepared puts what is to be done once before the first pass.
func (w *Worker) prepared(first func(context.Context) error) Pass {
	return func(ctx context.Context) (int, error) {
		if first != nil {
			if err := first(ctx); err != nil {
				return 0, err
			}
			first = nil
		}
		return w.config.Pass(ctx)
	}
}

// renew keeps the lease until ctx ends, or ends it with ErrLeaseLost. A store
// that does not answer costs the lease only when its time has run out.
func (w *Worker) renew(ctx context.Context, asked time.Time, lose func(error)) {
	l := w.o.Leadership
	until := l.believed(asked)
	// A timer, since a store may not heed the deadline of a question.
	expiry := time.AfterFunc(time.Until(until), func() { lose(ErrLeaseLost) })
	defer expiry.Stop()
	next := asked.Add(l.every())
	for {
		sleep(ctx, time.Until(next))
		if ctx.Err() != nil {
			return
		}
		asked = time.Now()
		held, err := w.ask(ctx, l.Lease.Renew, until)
		switch {
		case err != nil:
			next = time.Now().Add(l.TTL / 10)
		case !held:
			lose(ErrLeaseLost)
			return
		default:
			until, next = l.believed(asked), asked.Add(l.every())
			expiry.Reset(time.Until(until))
		}
	}
}

// release gives the lease back also when ctx has ended.
func (w *Worker) release(ctx context.Context) {
	l := w.o.Leadership
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.TTL/2)
	defer cancel()
	if err := l.Lease.Release(bounded, w.config.Name, l.Owner); err != nil {
		w.o.Log.Warn().Err(err).Str("worker", w.config.Name).Msg("worker: the lease is left to run out")
	}
}
