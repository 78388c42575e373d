package metering

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/shards"
	"pulse-control-plane/utils/required"
	"pulse-control-plane/utils/worker"
)

const (
	// parallelShards is how many shards a process works on at a time: half, so
	// that a second one doubles what is done.
	parallelShards = inboxShards / 2
	// inboxPoll is how often events that other processes took in, or that are
	// due again, are looked for; ownInboxPoll where there are no others.
	inboxPoll    = 500 * time.Millisecond
	ownInboxPoll = 250 * time.Millisecond
	// ownInboxPause is the least time from the start of a batch to the next of the
	// same lane where one process stores events: what comes meanwhile shares its
	// writes.
	ownInboxPause = 10 * time.Millisecond
	// inboxDeadline bounds one batch.
	inboxDeadline = 30 * time.Second
	// measureEvery is how often waiting and dead events are counted.
	measureEvery = 5 * time.Second
	// leaveTimeout bounds giving the shards back at the end.
	leaveTimeout = time.Second
)

// InboxWorker works on the events of the shards that are this process's share.
type InboxWorker struct {
	c      InboxWorkerConfig
	steps  []Step
	shares *shards.Shares
	// lanes take the shards in turn: shard n is in lane n modulo their number.
	lanes []*lane
	// parallel holds a token for each lane that is being worked on.
	parallel chan struct{}
	workers  []*worker.Worker
}

// InboxWorkerConfig of NewInboxWorker; every field is required save those marked
// optional.
type InboxWorkerConfig struct {
	Inbox  *Inbox
	Events *database.LiveKitEvents
	Leases *database.Leases
	// Site is of this process; its Owner holds the leases.
	Site worker.Site
	// Recorder sees every event first; the steps get what it derived, in order
	// of their turns.
	Recorder *Recorder
	Steps    []Step
	// Own names the tenants of events about egresses that have no room, before they
	// are recorded; optional.
	Own func(ctx context.Context, events []models.LiveKitEvent) error `optional:"true"`
}

// NewInboxWorker builds a worker. It fails if a required field is missing or two
// steps have the same turn.
func NewInboxWorker(c InboxWorkerConfig) (*InboxWorker, error) {
	if err := required.Fields(c); err != nil {
		return nil, err
	}
	steps, err := inTurn(c.Steps)
	if err != nil {
		return nil, err
	}
	w := &InboxWorker{c: c, steps: steps, parallel: make(chan struct{}, parallelShards)}
	lanes, pause, poll := inboxShards, time.Duration(0), inboxPoll
	if c.Inbox.c.Exclusive {
		// No other process can have a shard: fewer and larger batches.
		lanes, pause, poll = min(parallelShards, runtime.GOMAXPROCS(0)), ownInboxPause, ownInboxPoll
	}
	w.shares, err = shards.New(shards.Config{Name: "inbox", Count: inboxShards, Leases: c.Leases, Holder: c.Site.Owner,
		Now:    c.Site.Clock(func() time.Time { return c.Inbox.now() }),
		Gained: func(ctx context.Context, n int64) error { return w.of(n).gained(ctx, n) }})
	if err != nil {
		return nil, err
	}
	passes := []worker.Config{
		{Name: "inbox_shares", Pass: worker.Simple(w.share), Every: shards.PassInterval, Deadline: shards.TTL},
		{Name: "inbox_poll", Pass: worker.Simple(w.poll), Every: poll, Deadline: inboxDeadline},
		{Name: "inbox_measure", Pass: worker.Simple(c.Inbox.Measure), Every: measureEvery, Deadline: inboxDeadline},
	}
	for n := range lanes {
		l := newLane(w, pause)
		w.lanes = append(w.lanes, l)
		passes = append(passes, worker.Config{Name: fmt.Sprintf("inbox_lane_%d", n), Every: time.Minute, Deadline: inboxDeadline,
			Pass: func(ctx context.Context) (int, error) {
				if err := l.rest(ctx); err != nil {
					return 0, err
				}
				return w.workOn(ctx, l)
			}})
	}
	for i, pass := range passes {
		options := c.Site.Options()
		options.Backoff = worker.Backoff{First: 100 * time.Millisecond, Most: 2 * time.Second}
		switch pass.Name {
		case "inbox_shares":
			options.Aligned = true
		case "inbox_poll", "inbox_measure":
			options = c.Site.Quiet(options)
		}
		running, err := worker.New(pass, options)
		if err != nil {
			return nil, err
		}
		w.workers = append(w.workers, running)
		if n := i - (len(passes) - lanes); n >= 0 {
			w.lanes[n].worker = running
		}
	}
	c.Inbox.wakeShard.Store(new(w.wake))
	return w, nil
}

// of is a shard's lane.
func (w *InboxWorker) of(shard int64) *lane { return w.lanes[shard%int64(len(w.lanes))] }

// wake has a shard worked on.
func (w *InboxWorker) wake(shard int64) {
	l := w.of(shard)
	l.due(shard)
	l.worker.Wake()
}

// Run works until ctx ends, then gives its shards back.
func (w *InboxWorker) Run(ctx context.Context) error {
	var running sync.WaitGroup
	for _, one := range w.workers {
		running.Go(func() { _ = one.Run(ctx) }) // it logs what goes wrong
	}
	running.Wait()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTimeout)
	defer cancel()
	if err := w.shares.Leave(ctx); err != nil {
		w.c.Site.Log.Warn().Err(err).Msg("inbox: shards were left to other replicas")
	}
	return nil
}

// share keeps this process's shards and wakes the workers of new ones.
func (w *InboxWorker) share(ctx context.Context) error {
	taken, err := w.shares.Pass(ctx)
	for _, n := range taken {
		w.wake(n)
	}
	return err
}

// poll wakes the workers of shards that have something due.
func (w *InboxWorker) poll(ctx context.Context) error {
	idle := w.shares.Idle()
	if len(idle) == 0 {
		return nil
	}
	ready, err := w.c.Events.Ready(ctx, idle, w.c.Inbox.now())
	for _, n := range ready {
		if n >= 0 && n < inboxShards {
			w.wake(n)
		}
	}
	return err
}

// workOn works on a batch of a lane and tells how many events were finished.
func (w *InboxWorker) workOn(ctx context.Context, l *lane) (int, error) {
	select {
	case w.parallel <- struct{}{}:
		defer func() { <-w.parallel }()
	case <-ctx.Done():
		return 0, models.Unavailable(ctx.Err())
	}
	return l.work(ctx)
}

// Work does once, in turn, what Run does at the same time: it renews the shares
// and takes one batch from each lane. It tells how many events it finished.
func (w *InboxWorker) Work(ctx context.Context) (int, error) {
	if err := w.share(ctx); err != nil {
		return 0, err
	}
	done, failures := 0, []error{w.c.Inbox.Measure(ctx)}
	for n := range int64(inboxShards) {
		w.of(n).due(n)
	}
	for _, l := range w.lanes {
		worked, err := w.workOn(ctx, l)
		done += worked
		failures = append(failures, err)
	}
	return done, errors.Join(failures...)
}

// consume shows events to the recorder and what it derived to every step; a
// panic of one is an error.
func (w *InboxWorker) consume(ctx context.Context, events []models.LiveKitEvent) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = models.Internal(fmt.Errorf("panic: %v", p))
		}
	}()
	if len(events) == 0 {
		return nil
	}
	if w.c.Own != nil {
		if err := w.c.Own(ctx, events); err != nil {
			return err
		}
	}
	changes, err := w.c.Recorder.Record(ctx, events)
	if err != nil {
		return err
	}
	batch := Batch{Events: events, Changes: changes}
	for _, step := range w.steps {
		if err := step.Consumer.Consume(ctx, &batch); err != nil {
			return err
		}
	}
	return nil
}
