package worker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"
)

// Pass does one bounded piece of the work and returns how many things it worked
// on. After more than none the next pass follows at once.
type Pass func(ctx context.Context) (worked int, err error)

// Simple makes a Pass of work that always looks at everything there is.
func Simple(work func(ctx context.Context) error) Pass {
	return func(ctx context.Context) (int, error) { return 0, work(ctx) }
}

// Config is what every worker needs.
type Config struct {
	// Name is the worker's in logs and metrics, and its lease's.
	Name string
	// Pass is called in Run's goroutine.
	Pass Pass
	// Every is the longest pause between passes without an error.
	Every time.Duration
	// Deadline bounds each pass.
	Deadline time.Duration
}

// Options are what a worker may have. The zero value is a worker of one
// process that logs and measures nothing.
type Options struct {
	// Leadership lets one process at a time run the passes.
	Leadership *Leadership
	// Backoff spaces passes out after errors. Zero: from 1 s to 30 s.
	Backoff Backoff
	// Jitter is the share of Every by which a pause may be shorter, in (0, 1];
	// zero: 0.1; negative: none.
	Jitter float64
	// Aligned has passes begin at multiples of Every by the machine's clock, without
	// jitter, so that workers of the same interval can share what they ask.
	Aligned bool
	// Activity, if set, tells when nothing happens: then pauses are Quiet, unless
	// Every is longer. Zero Quiet: 30 s. A pass that worked on something is activity.
	Activity *Activity
	Quiet    time.Duration
	// Rest keeps a pause of at least so many times the last pass's duration,
	// which no Wake shortens, so that heavy passes leave room for requests.
	Rest float64
	// Last, if not zero, is the deadline of one more pass when the worker
	// stops, whose error Run returns. It goes without Leadership.
	Last time.Duration
	// Log is where errors, lost leases and recoveries are written.
	Log zerolog.Logger
	// Observer receives passes and leases; nil for none.
	Observer Observer
	// Tracer makes a span of each pass; nil makes none.
	Tracer trace.Tracer
	// Random gives numbers in [0, 1); nil: math/rand/v2's. It is called from
	// Run's goroutine alone.
	Random func() float64
}

// Result is how a pass ended.
type Result string

// The results of a pass.
const (
	Succeeded Result = "ok"
	Failed    Result = "error"
	TimedOut  Result = "timeout"
	Panicked  Result = "panic"
	Lost      Result = "lease_lost"
	Stopped   Result = "stopped"
)

// Observer hears what a worker does. Calls, save of Declared, come from Run's
// goroutine and must return soon.
type Observer interface {
	// Declared is called by New, in its caller's goroutine.
	Declared(name string)
	// Passed is called after each pass.
	Passed(name string, result Result, worked int, took time.Duration)
	// Held is called when Run begins, with false, and when a lease was taken or is no
	// longer held. Without Leadership it is not called.
	Held(name string, held bool)
}

// Worker runs passes. Wake may be called from any goroutine, Run once.
type Worker struct {
	config Config
	o      Options
	woken  chan struct{}
	// failures is how many passes in a row failed.
	failures int64
}

// New checks a configuration. The error names the field that is missing or out
// of bounds.
func New(c Config, o Options) (*Worker, error) {
	switch {
	case c.Name == "":
		return nil, errors.New("worker: Name is required")
	case c.Pass == nil:
		return nil, fmt.Errorf("worker %s: Pass is required", c.Name)
	case c.Every <= 0 || c.Deadline <= 0:
		return nil, fmt.Errorf("worker %s: Every and Deadline must be positive", c.Name)
	case o.Jitter > 1 || o.Rest < 0 || o.Last < 0 || o.Backoff.First < 0 || o.Backoff.Most < o.Backoff.First:
		return nil, fmt.Errorf("worker %s: Jitter, Rest, Last or Backoff is out of bounds", c.Name)
	case o.Leadership != nil && o.Last > 0:
		return nil, fmt.Errorf("worker %s: Last goes without Leadership", c.Name)
	}
	if o.Leadership != nil {
		if err := o.Leadership.check(); err != nil {
			return nil, fmt.Errorf("worker %s: %w", c.Name, err)
		}
	}
	if o.Backoff.Most == 0 {
		o.Backoff = Backoff{First: time.Second, Most: 30 * time.Second}
	}
	if o.Jitter == 0 {
		o.Jitter = 0.1
	}
	if o.Observer == nil {
		o.Observer = nobody{}
	}
	if o.Random == nil {
		o.Random = rand.Float64
	}
	o.Observer.Declared(c.Name)
	if o.Quiet == 0 {
		o.Quiet = 30 * time.Second
	}
	w := &Worker{config: c, o: o, woken: make(chan struct{}, 1)}
	if o.Activity != nil {
		o.Activity.add(w)
	}
	return w, nil
}

// Name is the worker's.
func (w *Worker) Name() string { return w.config.Name }

// Wake has the next pass run now, or when the one that runs has ended. A
// process without the lease keeps it in mind.
func (w *Worker) Wake() {
	select {
	case w.woken <- struct{}{}:
	default:
	}
}

// Run works until ctx ends; the first pass runs at once. Errors of passes are
// logged and do not end it: what it returns is the error of the last pass.
func (w *Worker) Run(ctx context.Context) error {
	if w.o.Leadership != nil {
		w.lead(ctx)
		return nil
	}
	w.work(ctx, w.config.Pass)
	if w.o.Last == 0 {
		return nil
	}
	_, err := w.pass(context.WithoutCancel(ctx), w.config.Pass, w.o.Last)
	return err
}

// work runs passes until ctx ends.
func (w *Worker) work(ctx context.Context, pass Pass) {
	for ctx.Err() == nil {
		began := time.Now()
		worked, err := w.pass(ctx, pass, w.config.Deadline)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			w.failures++
			wait := w.o.Backoff.Jittered(w.failures, w.o.Random())
			w.o.Log.Error().Err(err).Str("worker", w.config.Name).Int64("failures", w.failures).
				Dur("retry_in_ms", wait).Msg("worker: a pass failed")
			sleep(ctx, wait)
			continue
		}
		if w.failures > 0 {
			w.o.Log.Info().Str("worker", w.config.Name).Int64("failures", w.failures).Msg("worker: passes succeed again")
			w.failures = 0
		}
		w.pause(ctx, worked, time.Since(began))
	}
}

// pause waits between two passes that succeed.
func (w *Worker) pause(ctx context.Context, worked int, took time.Duration) {
	rest := time.Duration(w.o.Rest * float64(took))
	sleep(ctx, rest)
	if worked > 0 {
		if w.o.Activity != nil {
			w.o.Activity.Mark()
		}
		return
	}
	every := w.every()
	timer := time.NewTimer(every - rest)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-w.woken:
	case <-timer.C:
	}
}

// every is the pause after a pass that found nothing to work on.
func (w *Worker) every() time.Duration {
	every := w.config.Every
	if w.o.Activity != nil && !w.o.Activity.Active() {
		every = max(every, w.o.Quiet)
	}
	switch {
	case w.o.Aligned:
		return every - time.Duration(time.Now().UnixNano()%int64(every))
	case w.o.Jitter > 0:
		return every - time.Duration(w.o.Jitter*w.o.Random()*float64(every))
	}
	return every
}

// pass runs one pass within its deadline and reports it.
func (w *Worker) pass(ctx context.Context, pass Pass, deadline time.Duration) (worked int, err error) {
	bounded, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	if w.o.Tracer != nil {
		traced, span := w.o.Tracer.Start(bounded, "worker "+w.config.Name)
		bounded = traced
		defer func() {
			span.SetAttributes(attribute.Int("worked", worked))
			if err != nil {
				span.SetStatus(codes.Error, err.Error())
			}
			span.End()
		}()
	}
	began := time.Now()
	worked, panicked, err := guarded(bounded, pass)
	result := Succeeded
	switch {
	case panicked:
		result = Panicked
	case err == nil:
	case errors.Is(context.Cause(ctx), ErrLeaseLost):
		result = Lost
	case ctx.Err() != nil:
		result = Stopped
	case bounded.Err() != nil:
		result = TimedOut
	default:
		result = Failed
	}
	w.o.Observer.Passed(w.config.Name, result, worked, time.Since(began))
	return worked, err
}

// guarded makes an error of a panic.
func guarded(ctx context.Context, pass Pass) (worked int, panicked bool, err error) {
	defer func() {
		if p := recover(); p != nil {
			worked, panicked, err = 0, true, fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	worked, err = pass(ctx)
	return worked, false, err
}

// sleep waits for d or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

type nobody struct{}

func (nobody) Declared(string)                           {}
func (nobody) Passed(string, Result, int, time.Duration) {}
func (nobody) Held(string, bool)                         {}
