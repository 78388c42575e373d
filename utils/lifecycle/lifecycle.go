package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"
)

// Life is everything that runs and everything that must be closed. Register
// from one goroutine, each closer on the line after what it closes was opened;
// then Run.
type Life struct {
	// Grace is how long servers together may take to finish the requests under
	// way, and then again workers, and then each closer.
	Grace time.Duration
	// Notice is how long servers go on taking requests after the drains were
	// called, for load balancers to see that readiness is off; zero is not at
	// all.
	Notice time.Duration

	drains  []func()
	servers []server
	workers []part
	closers []part
}

// part is a function with the name its errors carry.
type part struct {
	name string
	call func(context.Context) error
}

type server struct {
	name     string
	serve    func() error
	shutdown func(context.Context) error
}

// OnDrain is called first when the end begins, before requests are refused.
func (l *Life) OnDrain(f func()) { l.drains = append(l.drains, f) }

// Server serves until shutdown is called, which waits for the requests under
// way until its context ends. One whose serve returns an error before that
// ends the process.
func (l *Life) Server(name string, serve func() error, shutdown func(context.Context) error) {
	l.servers = append(l.servers, server{name, serve, shutdown})
}

// Worker runs until its context ends, which is when no request is under way
// any more. One that returns an error, or panics, before that ends the
// process; one that returns nil has done its work.
func (l *Life) Worker(name string, run func(context.Context) error) {
	l.workers = append(l.workers, part{name, run})
}

// Closer is called when all servers and workers have ended, the last one
// registered first.
func (l *Life) Closer(name string, f func(context.Context) error) {
	l.closers = append(l.closers, part{name, f})
}

// Run starts everything and returns when ctx ends or something fails, after
// all was taken down. It returns every error there was, each with the name it
// was registered under.
func (l *Life) Run(ctx context.Context) error {
	work, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	// Room for all, so that nobody waits to be heard.
	failed := make(chan error, len(l.servers)+len(l.workers))
	workers := l.startWorkers(work, failed)
	for _, s := range l.servers {
		go func() {
			serve := part{s.name, func(context.Context) error { return s.serve() }}
			if err := serve.guarded(work); err != nil {
				failed <- err
			}
		}()
	}
	var errs []error
	select {
	case <-ctx.Done():
	case err := <-failed:
		errs = append(errs, err)
	}
	for _, drain := range l.drains {
		drain()
	}
	if len(l.servers) > 0 {
		time.Sleep(l.Notice)
	}
	errs = append(errs, l.shutdown(ctx))
	stopWork()
	errs = append(errs, workers.wait(l.Grace), l.Close(ctx))
	for {
		select {
		case err := <-failed: // on the way out
			errs = append(errs, err)
		default:
			return errors.Join(errs...)
		}
	}
}

// Close closes everything not closed yet; call it instead of Run when starting
// failed.
func (l *Life) Close(ctx context.Context) error {
	var errs []error
	closers := l.closers
	l.closers = nil
	for _, c := range slices.Backward(closers) {
		errs = append(errs, l.bounded(ctx, c))
	}
	return errors.Join(errs...)
}

// shutdown lets all servers drain at once, so that the grace is for all.
func (l *Life) shutdown(ctx context.Context) error {
	done := make(chan error)
	for _, s := range l.servers {
		go func() { done <- l.bounded(ctx, part{s.name, s.shutdown}) }()
	}
	var errs []error
	for range l.servers {
		errs = append(errs, <-done)
	}
	return errors.Join(errs...)
}

// bounded gives one step its grace, whatever became of ctx.
func (l *Life) bounded(ctx context.Context, p part) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.Grace)
	defer cancel()
	return p.guarded(ctx)
}

// guarded names an error and makes one of a panic, so that the rest still ends
// in order.
func (p part) guarded(ctx context.Context) (err error) {
	defer func() {
		if panicked := recover(); panicked != nil {
			err = fmt.Errorf("%s: panic: %v\n%s", p.name, panicked, debug.Stack())
		}
	}()
	if err := p.call(ctx); err != nil {
		return fmt.Errorf("%s: %w", p.name, err)
	}
	return nil
}
