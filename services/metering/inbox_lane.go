package metering

import (
	"context"
	"slices"
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

// shard is a part of the inbox; one goroutine at a time works on it.
type shard struct {
	w      *InboxWorker
	number int64
	// parked rooms wait for their first event to be tried again.
	parked map[string]time.Time
}

// gained makes what another process let wait be tried at once: for how long it
// was to wait is known by that process's clock only.
func (s *shard) gained(ctx context.Context) error {
	clear(s.parked)
	return s.w.c.Events.Resume(ctx, s.number)
}

// work takes one batch.
func (s *shard) work(ctx context.Context) (int, error) {
	now := s.w.c.Inbox.now()
	due, err := s.w.c.Events.Due(ctx, s.number, now, inboxBatch)
	if err != nil || len(due) == 0 {
		return 0, err
	}
	if len(s.parked) > 0 {
		if due, err = s.withoutParked(ctx, due, now); err != nil {
			return 0, err
		}
	}
	switch err := s.w.consume(ctx, due); {
	case err == nil:
		return len(due), s.done(ctx, due)
	case isOutage(ctx, err):
		return 0, err
	}
	// One event fails; retry individually.
	finished := 0
	for _, room := range byRoom(due) {
		n, err := s.oneByOne(ctx, room)
		finished += n
		if err != nil {
			return finished, err
		}
	}
	return finished, nil
}

// withoutParked makes events wait that arrived behind one that waits.
func (s *shard) withoutParked(ctx context.Context, due []models.LiveKitEvent, now time.Time) ([]models.LiveKitEvent, error) {
	postponed := map[string]bool{}
	for i := range due {
		key := due[i].RoomKey
		until, parked := s.parked[key]
		switch {
		case parked && !now.Before(until):
			delete(s.parked, key)
		case parked && !postponed[key]:
			if err := s.w.c.Events.Postpone(ctx, s.number, key, until); err != nil {
				return nil, err
			}
			postponed[key] = true
		}
	}
	return slices.DeleteFunc(due, func(e models.LiveKitEvent) bool { return postponed[e.RoomKey] }), nil
}

// oneByOne works through the events of a room up to the first that fails.
func (s *shard) oneByOne(ctx context.Context, events []models.LiveKitEvent) (finished int, err error) {
	for i := range events {
		e := &events[i]
		reason := s.w.consume(ctx, events[i:i+1])
		if reason == nil {
			if err := s.done(ctx, events[i:i+1]); err != nil {
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
		s.w.c.Site.Log.Error().Err(reason).Str("event_id", e.ID).Str("event", e.Event).Str("state", string(state)).
			Int64("attempts", e.Attempts+1).Msg("inbox: an event failed")
		if _, err := s.w.c.Events.Failed(ctx, e.ID, state, reason.Error()); err != nil {
			return finished, err
		}
		if state == models.EventDead {
			s.w.c.Inbox.metrics.add(resultDead, 1)
			continue
		}
		s.w.c.Inbox.metrics.add(resultFailed, 1)
		until := s.w.c.Inbox.now().Add(worker.Backoff{First: firstRetry, Most: lastRetry}.After(e.Attempts + 1))
		s.parked[e.RoomKey] = until
		return finished, s.w.c.Events.Postpone(ctx, s.number, e.RoomKey, until)
	}
	return finished, nil
}

// done marks events as processed.
func (s *shard) done(ctx context.Context, events []models.LiveKitEvent) error {
	if err := s.w.c.Events.Done(ctx, idsOf(events)); err != nil {
		return err
	}
	s.w.c.Inbox.metrics.add(resultProcessed, int64(len(events)))
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
