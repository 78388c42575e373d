package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Life is everything that runs and everything that must be closed. Register
// each closer on the line after what it closes was opened.
type Life struct {
	// Grace is how long servers may take to finish the requests under way, and
	// then again workers, and then each closer.
	Grace time.Duration

	drains  []func()
	servers []server
	workers []task
	closers []closer
}

type server struct {
	name     string
	serve    func() error
	shutdown func(context.Context) error
}

type task struct {
	name string
	run  func(context.Context) error
}

type closer struct {
	name  string
	close func(context.Context) error
}

// OnDrain is called first when the end begins, before requests are refused.
func (l *Life) OnDrain(f func()) { l.drains = append(l.drains, f) }

// Server serves until shutdown is called, which waits for the requests under
// way until its context ends.
func (l *Life) Server(name string, serve func() error, shutdown func(context.Context) error) {
	l.servers = append(l.servers, server{name, serve, shutdown})
}

// Worker runs until its context ends. One that returns an error before that
// ends the process: somebody restarts it.
func (l *Life) Worker(name string, run func(context.Context) error) {
	l.workers = append(l.workers, task{name, run})
}

// Closer is called when all servers and workers have ended, the last one
// registered first.
func (l *Life) Closer(name string, f func(context.Context) error) {
	l.closers = append(l.closers, closer{name, f})
}

// Run starts everything and returns when ctx ends or something fails, after
// all was taken down. It returns every error there was, each with the name it
// was registered under.
func (l *Life) Run(ctx context.Context) error {
	work, stopWork := context.WithCancel(context.WithoutCancel(ctx))
	defer stopWork()
	failed := make(chan error, len(l.servers)+len(l.workers))
	var working sync.WaitGroup
	for _, w := range l.workers {
		working.Go(func() {
			if err := w.run(work); err != nil && work.Err() == nil {
				failed <- fmt.Errorf("%s: %w", w.name, err)
			}
		})
	}
	for _, s := range l.servers {
		go func() {
			if err := s.serve(); err != nil {
				failed <- fmt.Errorf("%s: %w", s.name, err)
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
	for _, s := range l.servers {
		errs = append(errs, l.bounded(ctx, s.name, s.shutdown))
	}
	stopWork()
	errs = append(errs, l.bounded(ctx, "workers", func(ctx context.Context) error {
		ended := make(chan struct{})
		go func() { working.Wait(); close(ended) }()
		select {
		case <-ended:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}))
	return errors.Join(append(errs, l.Close(ctx))...)
}

// Close closes everything; call it instead of Run when starting failed.
func (l *Life) Close(ctx context.Context) error {
	var errs []error
	for i := len(l.closers) - 1; i >= 0; i-- {
		errs = append(errs, l.bounded(ctx, l.closers[i].name, l.closers[i].close))
	}
	l.closers = nil
	return errors.Join(errs...)
}

// bounded gives one step its grace, whatever became of ctx.
func (l *Life) bounded(ctx context.Context, name string, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.Grace)
	defer cancel()
	if err := f(ctx); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
