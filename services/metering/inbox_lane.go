package metering

import (
	"context"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/utils/worker"
)

const (
	// inboxBatch is how many events are worked on together.
	inboxBatch = database.MaxBatch / 2
	// maxAttempts at an event before it is dead.
	maxAttempts = 10
	// firstRetry and lastRetry bound the wait between attempts, which doubles.
	firstRetry = 200 * time.Millisecond
	lastRetry  = time.Minute
)

// lane works on some shards of the inbox; one goroutine at a time does.
type lane struct {
	w      *InboxWorker
	worker *worker.Worker
	// pause is the least time between the starts of two batches; began is when the
	// last one started.
	pause time.Duration
	began time.Time
	// waiting has a bit for each shard that may have events that are due; regained
	// for each that another process had meanwhile.
	waiting, regained atomic.Uint32
	// parked rooms wait for their first event to be tried again.
	parked map[string]time.Time
	// looked is when events were last looked for, by the wall clock.
	looked time.Time
}

func newLane(w *InboxWorker, pause time.Duration) *lane {
	return &lane{w: w, pause: pause, parked: map[string]time.Time{}}
}

// gained makes what another process let wait in a shard be tried at once: for how
// long it was to wait is known by that process's clock only.
func (l *lane) gained(ctx context.Context, shard int64) error {
	l.regained.Or(1 << shard)
	return l.w.c.Events.Resume(ctx, shard)
}

// due has the next batch look at a shard.
func (l *lane) due(shard int64) { l.waiting.Or(1 << shard) }

// rest waits until the next batch may start.
func (l *lane) rest(ctx context.Context) error {
	if wait := time.Until(l.began.Add(l.pause)); wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return models.Unavailable(ctx.Err())
		}
	}
	l.began = time.Now()
	return nil
}

// work takes one batch from the shards that may have something due and are this
// process's.
func (l *lane) work(ctx context.Context) (finished int, err error) {
	now := l.w.c.Inbox.now()
	// Round drops the monotonic reading.
	setBack := now.Round(0).Before(l.looked.Add(-firstRetry))
	waiting := l.waiting.Swap(0)
	if setBack {
		waiting = 1<<inboxShards - 1
	}
	var taken []int64
	defer func() {
		for _, n := range taken {
			l.w.shares.End(n)
			if err != nil {
				l.due(n)
			}
		}
	}()
	for n := range int64(inboxShards) {
		if waiting&(1<<n) != 0 && l.w.of(n) == l && l.w.shares.Begin(n) {
			taken = append(taken, n)
		}
	}
	if setBack {
		// What waits would do so until the clock comes to that time again.
		for _, n := range taken {
			if err := l.gained(ctx, n); err != nil {
				return 0, err
			}
		}
	}
	l.looked = now.Round(0)
	due, err := l.take(ctx, taken, now)
	if err != nil || len(due) == 0 {
		return 0, err
	}
	return l.workOn(ctx, due)
}

// take reads what is due in some shards. A shard that has more is looked at again in
// the next batch.
func (l *lane) take(ctx context.Context, from []int64, now time.Time) (due []models.LiveKitEvent, err error) {
	for i, n := range from {
		most := (inboxBatch - len(due)) / (len(from) - i)
		found, err := l.w.c.Events.Due(ctx, n, now, int64(most))
		if err != nil {
			return nil, err
		}
		if len(found) == most {
			l.due(n)
		}
		due = append(due, found...)
	}
	if regained := l.regained.Swap(0); regained != 0 {
		maps.DeleteFunc(l.parked, func(room string, _ time.Time) bool { return regained&(1<<shardOf(room)) != 0 })
	}
	if len(l.parked) > 0 {
		return l.withoutParked(ctx, due, now)
	}
	return due, nil
}

// workOn works on one batch.
func (l *lane) workOn(ctx context.Context, due []models.LiveKitEvent) (int, error) {
	switch err := l.w.consume(ctx, due); {
	case err == nil:
		return len(due), l.done(ctx, due)
	case isOutage(ctx, err):
		return 0, err
	}
	// One event fails; retry individually.
	finished := 0
	for _, room := range byRoom(due) {
		n, err := l.oneByOne(ctx, room)
		finished += n
		if err != nil {
			return finished, err
		}
	}
	return finished, nil
}

// withoutParked makes events wait that arrived behind one that waits.
func (l *lane) withoutParked(ctx context.Context, due []models.LiveKitEvent, now time.Time) ([]models.LiveKitEvent, error) {
	postponed := map[string]bool{}
	for i := range due {
		key := due[i].RoomKey
		until, parked := l.parked[key]
		switch {
		case parked && !now.Before(until):
			delete(l.parked, key)
		case parked && !postponed[key]:
			if err := l.w.c.Events.Postpone(ctx, due[i].Shard, key, until); err != nil {
				return nil, err
			}
			postponed[key] = true
		}
	}
	return slices.DeleteFunc(due, func(e models.LiveKitEvent) bool { return postponed[e.RoomKey] }), nil
}

// oneByOne works through the events of a room up to the first that fails.
func (l *lane) oneByOne(ctx context.Context, events []models.LiveKitEvent) (finished int, err error) {
	for i := range events {
		e := &events[i]
		reason := l.w.consume(ctx, events[i:i+1])
		if reason == nil {
			if err := l.done(ctx, events[i:i+1]); err != nil {
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
		l.w.c.Site.Log.Error().Err(reason).Str("event_id", e.ID).Str("event", e.Event).Str("state", string(state)).
			Int64("attempts", e.Attempts+1).Msg("inbox: an event failed")
		if _, err := l.w.c.Events.Failed(ctx, e.ID, state, reason.Error()); err != nil {
			return finished, err
		}
		if state == models.EventDead {
			l.w.c.Inbox.metrics.add(resultDead, 1)
			continue
		}
		l.w.c.Inbox.metrics.add(resultFailed, 1)
		until := l.w.c.Inbox.now().Add(worker.Backoff{First: firstRetry, Most: lastRetry}.After(e.Attempts + 1))
		l.parked[e.RoomKey] = until
		return finished, l.w.c.Events.Postpone(ctx, e.Shard, e.RoomKey, until)
	}
	return finished, nil
}

// done marks events as processed.
func (l *lane) done(ctx context.Context, events []models.LiveKitEvent) error {
	if err := l.w.c.Events.Done(ctx, idsOf(events)); err != nil {
		return err
	}
	l.w.c.Inbox.metrics.add(resultProcessed, int64(len(events)))
	return nil
}

// isOutage tells an error that no event is to blame for: the database is away,
// or another process changed the same at the same time.
func isOutage(ctx context.Context, err error) bool {
	return ctx.Err() != nil || models.IsKind(err, models.KindUnavailable) || models.IsKind(err, models.KindConflict)
}

func idsOf(events []models.LiveKitEvent) []string {
	out := make([]string, len(events))
	for i := range events {
		out[i] = events[i].ID
	}
	return out
}

// byRoom divides events by their room, keeping their order.
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
