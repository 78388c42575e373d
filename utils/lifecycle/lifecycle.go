package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"
)

// Life holds the servers, workers and closers of a process. Register them from
// one goroutine, each closer right after what it closes was opened; then Run.
type Life struct {
	// Grace bounds each step of a shutdown: all servers together, then all
	// workers together, then each closer.
	Grace time.Duration
	// Notice is how long servers continue to accept requests after the drains
	// were called, so that load balancers see that readiness is off. A failure
	// skips it.
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

// OnDrain registers a function that is called first at shutdown, before
// servers stop accepting requests.
func (l *Life) OnDrain(f func()) { l.drains = append(l.drains, f) }

// Server registers a server: serve runs until shutdown is called, which waits
// for the requests under way until its context ends. An error of serve before
// that ends the process.
func (l *Life) Server(name string, serve func() error, shutdown func(context.Context) error) {
	l.servers = append(l.servers, server{name, serve, shutdown})
}

// Worker registers a worker: run ends when its context does, after the last
// request. An error or panic before that ends the process; nil means that the
// work is done.
func (l *Life) Worker(name string, run func(context.Context) error) {
	l.workers = append(l.workers, part{name, run})
}

// Closer registers a function that is called after all servers and workers have
// ended, the last registered first.
func (l *Life) Closer(name string, f func(context.Context) error) {
	l.closers = append(l.closers, part{name, f})
}

// Run starts everything, and shuts it down when ctx ends or something fails. It
// returns every error, each with the name it was registered under.
func (l *Life) Run(ctx context.Context) error {
	work, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	// Room for all, so that no sender blocks.
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
	if len(l.servers) > 0 && len(errs) == 0 {
		select {
		case <-time.After(l.Notice):
		case err := <-failed:
			errs = append(errs, err)
		}
	}
	errs = append(errs, l.shutdown(ctx))
	stopWork()
	errs = append(errs, workers.wait(l.Grace), l.Close(ctx))
	for {
		select {
		case err := <-failed: // during the shutdown
			errs = append(errs, err)
		default:
			return errors.Join(errs...)
		}
	}
}

// Close calls every closer that was not called yet. Call it instead of Run when
// starting failed.
func (l *Life) Close(ctx context.Context) error {
	var errs []error
	closers := l.closers
	l.closers = nil
	for _, c := range slices.Backward(closers) {
		errs = append(errs, l.bounded(ctx, c))
	}
	return errors.Join(errs...)
}

// shutdown drains all servers at once, so that they share one grace.
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

// bounded runs one step within its grace, even if ctx has ended.
func (l *Life) bounded(ctx context.Context, p part) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.Grace)
	defer cancel()
	return p.guarded(ctx)
}

// guarded adds the name to an error and turns a panic into one, so that the
// shutdown continues.
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
