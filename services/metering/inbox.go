package metering

import (
	"context"
	"fmt"
	"hash/fnv"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/clusters"
	"pulse-control-plane/utils/required"
	"pulse-control-plane/utils/worker"
)

// inboxShards is the number of parts of the inbox. One worker at a time processes
// a shard, and all events of a room are in one shard.
const inboxShards = 8

// deadCounted bounds the count of pending and dead events.
const deadCounted = 10_000

// firstSequence is where the numbers of events begin that the database gives:
// beyond the nanoseconds that older binaries number them by.
const firstSequence = 1 << 61

// Inbox takes LiveKit's events in: verified, stripped of secrets and on disk
// before they are answered. What they mean is worked out later.
type Inbox struct {
	c       InboxConfig
	now     func() time.Time
	lastSeq atomic.Int64
	// numbering is held by the one who reads what lastSeq begins with; numbered once
	// it is read.
	numbering sync.Mutex
	numbered  bool
	intakes   [inboxShards]*intake
	// wakeShard wakes the worker of a shard in this process.
	wakeShard atomic.Pointer[func(shard int64)]
	metrics   *inboxMetrics
}

// InboxConfig of NewInbox; every field is required.
type InboxConfig struct {
	Events    *database.LiveKitEvents
	Sequences *database.Sequences
	// Clusters sign the events.
	Clusters *clusters.Set
	// Exclusive tells that no other process stores events.
	Exclusive bool
	Now       func() time.Time
}

// NewInbox builds the inbox. It fails if a required field is missing.
func NewInbox(c InboxConfig) (*Inbox, error) {
	s := &Inbox{c: c, now: c.Now, metrics: newInboxMetrics()}
	for shard := range s.intakes {
		s.intakes[shard] = newIntake(&s.c, int64(shard))
	}
	return s, required.Fields(c)
}

// Receive keeps one event; nil means that it is durable, now or since before.
// authorization is checked before the body is read. unauthenticated for a bad
// signature; an error of reading the body as it is; otherwise unavailable or
// internal, so that LiveKit sends it again. A signed body that cannot be read is
// kept as a dead event, for somebody to look at.
func (s *Inbox) Receive(ctx context.Context, authorization string, body io.Reader) error {
	verifier := s.c.Clusters.Verifier()
	signature, err := verifier.Authenticate(authorization)
	if err != nil {
		s.metrics.add(resultRefused, 1)
		return err
	}
	event, err := verifier.Read(signature, body, s.now().UTC())
	if err != nil {
		if models.IsKind(err, models.KindUnauthenticated) {
			s.metrics.add(resultRefused, 1)
		}
		return err
	}
	if member := s.c.Clusters.OfKey(event.Cluster); member != nil {
		member.Heard(s.now())
	}
	_, err = s.Keep(ctx, &event)
	return err
}

// Keep stores an event, received now, for the worker; false if it is there
// already, and stays as it is.
func (s *Inbox) Keep(ctx context.Context, e *models.LiveKitEvent) (fresh bool, err error) {
	now := s.now().UTC()
	e.ReceivedAt, e.Shard = now, shardOf(e.RoomKey)
	// It may be tried at once. DueAt is only ever compared by the process that
	// wrote it, so that no clock of another delays an event.
	e.DueAt = models.DueAtOnce()
	if e.State == "" {
		e.State = models.EventPending
	}
	if fresh, err = s.insert(ctx, e, now); err != nil {
		return false, err
	}
	if !fresh {
		s.metrics.add(resultDuplicate, 1)
		return false, nil
	}
	s.metrics.add(resultReceived, 1)
	if e.State == models.EventDead {
		s.metrics.add(resultDead, 1)
	}
	if wake := s.wakeShard.Load(); wake != nil {
		(*wake)(e.Shard)
	}
	return true, nil
}

// insert numbers and stores an event; false if it is there already. A server that elects a primary is asked again until
// the caller's deadline: the caller waits, and would send the event again only once.
func (s *Inbox) insert(ctx context.Context, e *models.LiveKitEvent, now time.Time) (fresh bool, err error) {
	if s.c.Exclusive {
		if err := s.number(ctx); err != nil {
			return false, err
		}
		e.Seq = s.nextSeq(now)
		err := s.c.Events.Insert(ctx, e)
		if models.IsKind(err, models.KindConflict) {
			return false, nil
		}
		return err == nil, err
	}
	for waits := int64(1); ; waits++ {
		if fresh, err = s.intakes[e.Shard].store(ctx, e); !models.IsKind(err, models.KindUnavailable) {
			return fresh, err
		}
		pause := time.NewTimer(worker.Backoff{First: firstRetry, Most: time.Second}.After(waits))
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return false, err
		}
	}
}

// number has numbers begin behind those of the events that wait since before the start,
// which a clock that was ahead gave, or the database before a move.
func (s *Inbox) number(ctx context.Context) error {
	s.numbering.Lock()
	defer s.numbering.Unlock()
	if s.numbered {
		return nil
	}
	last, err := s.c.Events.LastPending(ctx, inboxShards)
	if err != nil {
		return err
	}
	s.lastSeq.Store(last)
	s.numbered = true
	return nil
}

// nextSeq numbers events in order of arrival where one process stores them: by its
// clock, the nanosecond or the next that is free. LiveKit sends the next event of a
// room when the one before was answered. Where several do, the database counts (intake).
func (s *Inbox) nextSeq(now time.Time) int64 {
	for {
		last := s.lastSeq.Load()
		next := max(now.UnixNano(), last+1)
		if s.lastSeq.CompareAndSwap(last, next) {
			return next
		}
	}
}

// Dead counts the events that could not be processed, up to 10,000.
func (s *Inbox) Dead(ctx context.Context) (int64, error) {
	return s.c.Events.CountIn(ctx, models.EventDead, deadCounted)
}

// Backlog counts the pending events, up to 10,000.
func (s *Inbox) Backlog(ctx context.Context) (int64, error) {
	return s.c.Events.CountIn(ctx, models.EventPending, deadCounted)
}

// OldestAge is for how long the oldest pending event has waited, 0 if none waits.
func (s *Inbox) OldestAge(ctx context.Context) (time.Duration, error) {
	oldest, err := s.c.Events.OldestIn(ctx, models.EventPending, inboxShards)
	if err != nil || oldest.IsZero() {
		return 0, err
	}
	return max(s.now().Sub(oldest), 0), nil
}

// Retry makes up to limit dead events pending again, at most database.MaxBatch, and
// tells how many. An event that is pending or done stays as it is.
func (s *Inbox) Retry(ctx context.Context, limit int64) (int64, error) {
	n, err := s.c.Events.Revive(ctx, limit)
	s.metrics.add(resultRetried, n)
	return n, err
}

// Check is the probe of the inbox for /v1/status: an error if there are dead
// events.
func (s *Inbox) Check(ctx context.Context) error {
	dead, err := s.Dead(ctx)
	if err != nil {
		return err
	}
	if dead > 0 {
		return fmt.Errorf("%d dead events", dead)
	}
	return nil
}

func shardOf(roomKey string) int64 {
	h := fnv.New32a()
	h.Write([]byte(roomKey)) //nolint:errcheck // documented never to fail
	return int64(h.Sum32() % inboxShards)
}
