package metering

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
)

const (
	// intakeEvents and intakeBytes bound what is stored in one call, in events and in
	// bytes of their bodies.
	intakeEvents = 200
	intakeBytes  = 4 << 20
	// intakeCalls is how many calls store events of one shard at a time. Two: one that
	// hangs does not hold up the shard.
	intakeCalls = 2
	// intakeTimeout bounds a call. Those who wait for it may try again.
	intakeTimeout = 5 * time.Second
)

// intake stores the events of one shard, where several processes share a database:
// those that arrive during a call are stored together by the next one, with two
// commands instead of two for each event.
type intake struct {
	events    *database.LiveKitEvents
	sequences *database.Sequences
	// sequence numbers the events of the shard.
	sequence string

	mu      sync.Mutex
	waiting []*arrival
	calls   int
}

// arrival is an event to be stored. Once done is closed, fresh tells that it was not
// there, unless err says that it may not be stored.
type arrival struct {
	ctx   context.Context
	event *models.LiveKitEvent
	done  chan struct{}
	fresh bool
	err   error
}

func newIntake(c *InboxConfig, shard int64) *intake {
	return &intake{events: c.Events, sequences: c.Sequences, sequence: "livekit_events|" + strconv.FormatInt(shard, 10)}
}

// store numbers and stores an event; false if it is there already. It is not told
// whether the event is stored if ctx ends before.
func (t *intake) store(ctx context.Context, e *models.LiveKitEvent) (fresh bool, err error) {
	a := &arrival{ctx: ctx, event: e, done: make(chan struct{})}
	t.mu.Lock()
	t.waiting = append(t.waiting, a)
	if t.calls < intakeCalls {
		t.calls++
		go t.run()
	}
	t.mu.Unlock()
	select {
	case <-a.done:
		return a.fresh, a.err
	case <-ctx.Done():
		return false, models.Unavailable(ctx.Err())
	}
}

// run stores what waits until nothing does.
func (t *intake) run() {
	for {
		t.mu.Lock()
		batch := t.next()
		if len(batch) == 0 {
			t.calls--
		}
		t.mu.Unlock()
		if len(batch) == 0 {
			return
		}
		t.put(batch)
	}
}

// next takes the events of a call from those that wait. Those whose senders are gone
// are dropped: they are sent again, and would fill the memory while the database is
// away. The lock is held.
func (t *intake) next() (batch []*arrival) {
	taken, size := 0, 0
	for ; taken < len(t.waiting) && len(batch) < intakeEvents; taken++ {
		a := t.waiting[taken]
		if a.ctx.Err() != nil {
			continue
		}
		if size += len(a.event.Body); len(batch) > 0 && size > intakeBytes {
			break
		}
		batch = append(batch, a)
	}
	clear(t.waiting[:taken])
	if t.waiting = t.waiting[taken:]; len(t.waiting) == 0 {
		t.waiting = nil
	}
	return batch
}

// put stores events in one call and answers those who wait for it. An error that is not
// the database's being away may be about one of them: each is then stored alone.
func (t *intake) put(batch []*arrival) {
	present, err := t.write(batch)
	if err != nil && len(batch) > 1 && !models.IsKind(err, models.KindUnavailable) {
		for i := range batch {
			t.put(batch[i : i+1])
		}
		return
	}
	for i, a := range batch {
		a.fresh, a.err = err == nil && !slices.Contains(present, i), err
		close(a.done)
	}
}

// write numbers and stores events; present are the indexes of those that were there.
func (t *intake) write(batch []*arrival) (present []int, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = models.Internal(fmt.Errorf("panic: %v", p))
		}
	}()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(batch[0].ctx), intakeTimeout)
	defer cancel()
	first, err := t.sequences.Take(ctx, t.sequence, int64(len(batch)))
	if err != nil {
		return nil, err
	}
	list := make([]models.LiveKitEvent, len(batch))
	for i, a := range batch {
		list[i] = *a.event
		list[i].Seq = firstSequence + first + int64(i)
	}
	return t.events.InsertMany(ctx, list)
}
