package metering

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/rs/zerolog"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/utils/required"
)

const (
	// inboxBatch is how many events are processed together; each concerns at most
	// two sessions, and one look-up reads database.MaxBatch.
	inboxBatch = database.MaxBatch / 2
	// inboxLease is how long a shard belongs to a worker that died.
	inboxLease = 10 * time.Second
	// inboxPoll is how often the worker looks for events received by others.
	inboxPoll = 200 * time.Millisecond
	// maxAttempts is the number of attempts after which an event is dead.
	maxAttempts = 10
	// The wait between attempts doubles from firstRetry to lastRetry.
	firstRetry = 200 * time.Millisecond
	lastRetry  = time.Minute
	// pauseWhileDown is the wait after an error of the database.
	pauseWhileDown = time.Second
	// measureEvery is how often pending and dead events are counted.
	measureEvery = 5 * time.Second
)

// Consumer derives something from events. Events of one room arrive in order. The
// same events may be delivered again, alone or with others, until all consumers
// have returned nil, so what a consumer derives must be a function of the event's
// id.
type Consumer interface {
	Consume(ctx context.Context, events []models.LiveKitEvent) error
}

// InboxWorker processes the events of the shards whose lease it holds.
type InboxWorker struct {
	c InboxWorkerConfig

	heldUntil [inboxShards]time.Time
	renewAt   [inboxShards]time.Time
	// parked rooms wait for the retry of their first event, by room key.
	parked map[string]time.Time
	// measureAt is the time of the next count.
	measureAt time.Time
}

// InboxWorkerConfig of NewInboxWorker. Every field except Log is required.
type InboxWorkerConfig struct {
	Inbox  *Inbox
	Events *database.LiveKitEvents
	Leases *database.Leases
	// Holder names this process among replicas.
	Holder string
	// Consumers receive every event, in this order.
	Consumers []Consumer
	Log       zerolog.Logger
}

// NewInboxWorker builds a worker. It fails if a required field is missing.
func NewInboxWorker(c InboxWorkerConfig) (*InboxWorker, error) {
	return &InboxWorker{c: c, parked: map[string]time.Time{}}, required.Fields(c)
}

// Run works until ctx ends, then releases its leases.
func (w *InboxWorker) Run(ctx context.Context) error {
	defer w.release(ctx)
	return KeepWorking(ctx, inboxPoll, w.c.Inbox.arrived, w.Work, func(err error) {
		w.c.Log.Error().Err(err).Msg("inbox: the database does not answer")
	})
}

// KeepWorking calls work until ctx ends: at once while it finds work, after a pause
// and a call of away on an error, otherwise when woken or after poll.
func KeepWorking(ctx context.Context, poll time.Duration, woken <-chan struct{}, work func(context.Context) (int, error), away func(error)) error {
	ticker := time.NewTicker(poll)
	defer ticker.Stop()
	for ctx.Err() == nil {
		worked, err := work(ctx)
		if err != nil && ctx.Err() == nil {
			away(err)
			Sleep(ctx, pauseWhileDown)
			continue
		}
		if worked > 0 {
			continue
		}
		select {
		case <-ctx.Done():
		case <-woken:
		case <-ticker.C:
		}
	}
	return nil
}

// Work processes one batch of each shard and returns how many events it finished.
func (w *InboxWorker) Work(ctx context.Context) (int, error) {
	done := 0
	if now := w.c.Inbox.now(); !now.Before(w.measureAt) {
		if err := w.c.Inbox.measure(ctx); err != nil {
			return 0, err
		}
		w.measureAt = now.Add(measureEvery)
	}
	for shard := range int64(inboxShards) {
		held, err := w.hold(ctx, shard)
		if err != nil {
			return done, err
		}
		if !held {
			continue
		}
		n, err := w.shard(ctx, shard)
		done += n
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// hold takes or renews the lease of a shard.
func (w *InboxWorker) hold(ctx context.Context, shard int64) (bool, error) {
	now := w.c.Inbox.now()
	if now.Before(w.renewAt[shard]) {
		return now.Before(w.heldUntil[shard]), nil
	}
	until := now.Add(inboxLease)
	held, err := w.c.Leases.Acquire(ctx, leaseOfShard(shard), w.c.Holder, now, until)
	if err != nil {
		return false, err
	}
	w.renewAt[shard] = now.Add(inboxLease / 4)
	if !held {
		w.heldUntil[shard] = time.Time{}
		return false, nil
	}
	if w.heldUntil[shard].Before(now) { // a new lease: read which events wait for a retry
		waiting, err := w.c.Events.Waiting(ctx, shard, now, database.MaxBatch)
		if err != nil {
			return false, err
		}
		for i := range waiting {
			w.park(waiting[i].RoomKey, waiting[i].DueAt)
		}
	}
	w.heldUntil[shard] = until
	return true, nil
}

func leaseOfShard(shard int64) string { return "inbox|" + strconv.FormatInt(shard, 10) }

func (w *InboxWorker) release(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pauseWhileDown)
	defer cancel()
	for shard := range int64(inboxShards) {
		if w.heldUntil[shard].IsZero() {
			continue
		}
		if err := w.c.Leases.Release(ctx, leaseOfShard(shard), w.c.Holder); err != nil {
			w.c.Log.Warn().Err(err).Msg("inbox: could not release a lease; it will expire")
			return
		}
	}
}

func (w *InboxWorker) shard(ctx context.Context, shard int64) (int, error) {
	now := w.c.Inbox.now()
	due, err := w.c.Events.Due(ctx, shard, now, inboxBatch)
	if err != nil || len(due) == 0 {
		return 0, err
	}
	if len(w.parked) > 0 {
		if due, err = w.withoutParked(ctx, shard, due, now); err != nil {
			return 0, err
		}
	}
	switch err := w.consume(ctx, due); {
	case err == nil:
		return len(due), w.c.Events.Done(ctx, idsOf(due))
	case isOutage(ctx, err):
		return 0, err
	}
	// One event fails; retry individually.
	finished := 0
	for _, room := range byRoom(due) {
		n, err := w.oneByOne(ctx, shard, room)
		finished += n
		if err != nil {
			return finished, err
		}
	}
	return finished, nil
}

// withoutParked postpones and drops the events of parked rooms.
func (w *InboxWorker) withoutParked(ctx context.Context, shard int64, due []models.LiveKitEvent, now time.Time) ([]models.LiveKitEvent, error) {
	postponed := map[string]bool{}
	for i := range due {
		key := due[i].RoomKey
		until, parked := w.parked[key]
		switch {
		case parked && !now.Before(until):
			delete(w.parked, key)
		case parked && !postponed[key]:
			if err := w.c.Events.Postpone(ctx, shard, key, until); err != nil {
				return nil, err
			}
			postponed[key] = true
		}
	}
	return slices.DeleteFunc(due, func(e models.LiveKitEvent) bool { return postponed[e.RoomKey] }), nil
}

// oneByOne processes the events of a room up to the first failure.
func (w *InboxWorker) oneByOne(ctx context.Context, shard int64, events []models.LiveKitEvent) (finished int, err error) {
	for i := range events {
		e := &events[i]
		reason := w.consume(ctx, events[i:i+1])
		if reason == nil {
			if err := w.c.Events.Done(ctx, []string{e.ID}); err != nil {
				return finished, err
			}
			finished++
			continue
		}
		if isOutage(ctx, reason) {
			return finished, reason
		}
		state := models.EventPending
		if e.Attempts+1 >= maxAttempts {
			state = models.EventDead
		}
		w.c.Log.Error().Err(reason).Str("event_id", e.ID).Str("event", e.Event).Str("state", string(state)).
			Int64("attempts", e.Attempts+1).Msg("inbox: an event could not be processed")
		if _, err := w.c.Events.Failed(ctx, e.ID, state, reason.Error()); err != nil {
			return finished, err
		}
		if state == models.EventDead {
			continue
		}
		until := w.c.Inbox.now().Add(retryAfter(e.Attempts))
		w.park(e.RoomKey, until)
		return finished, w.c.Events.Postpone(ctx, shard, e.RoomKey, until)
	}
	return finished, nil
}

// consume passes events to every consumer; a panic becomes an error.
func (w *InboxWorker) consume(ctx context.Context, events []models.LiveKitEvent) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = models.Internal(fmt.Errorf("panic: %v", p))
		}
	}()
	if len(events) == 0 {
		return nil
	}
	for _, c := range w.c.Consumers {
		if err := c.Consume(ctx, events); err != nil {
			return err
		}
	}
	return nil
}

func (w *InboxWorker) park(roomKey string, until time.Time) { w.parked[roomKey] = until }

// isOutage reports whether an error is not the event's fault.
func isOutage(ctx context.Context, err error) bool {
	return ctx.Err() != nil || models.IsKind(err, models.KindUnavailable)
}

func retryAfter(attempts int64) time.Duration {
	wait := firstRetry
	for range attempts {
		wait = min(2*wait, lastRetry)
	}
	return wait
}

func idsOf(events []models.LiveKitEvent) []string {
	out := make([]string, len(events))
	for i := range events {
		out[i] = events[i].ID
	}
	return out
}

// byRoom groups events by room and keeps their order.
func byRoom(events []models.LiveKitEvent) [][]models.LiveKitEvent {
	at := map[string]int{}
	var out [][]models.LiveKitEvent
	for i := range events {
		n, known := at[events[i].RoomKey]
		if !known {
			n = len(out)
			at[events[i].RoomKey] = n
			out = append(out, nil)
		}
		out[n] = append(out[n], events[i])
	}
	return out
}

// Sleep waits for d or until ctx ends.
func Sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
