package metering

import (
	"context"
	"fmt"
	"hash/fnv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/livekit"
)

// inboxShards is the number of parts of the inbox. One worker at a time processes
// a shard, and all events of a room are in one shard.
const inboxShards = 8

// deadCounted bounds the count of pending and dead events.
const deadCounted = 10_000

// Inbox receives LiveKit's events: verified, without secrets and on disk before
// they are acknowledged. A worker derives usage from them later.
type Inbox struct {
	events   *database.LiveKitEvents
	verifier livekit.EventVerifier
	now      func() time.Time
	lastSeq  atomic.Int64
	// arrived wakes the worker of this process.
	arrived chan struct{}
	// pending and dead are the last results of measure.
	pending, dead atomic.Int64
}

// NewInbox receives events of the given clusters.
func NewInbox(events *database.LiveKitEvents, clusters []livekit.Cluster, now func() time.Time) *Inbox {
	return &Inbox{events: events, verifier: livekit.NewEventVerifier(clusters), now: now, arrived: make(chan struct{}, 1)}
}

// Receive stores one event; nil means that it is durable, from now or before.
// unauthenticated for an invalid signature; otherwise unavailable or internal, so
// that LiveKit retries.
func (s *Inbox) Receive(ctx context.Context, authorization string, body []byte) error {
	cluster, err := s.verifier.Verify(authorization, body)
	if err != nil {
		return err
	}
	now := s.now().UTC()
	event, err := livekit.ReadEvent(cluster, body, now)
	if err != nil {
		// The cluster signed it, but this version can't read it. Refusing it would
		// lose it, and storing it might store a secret: only its arrival is stored,
		// as a dead event.
		event = models.LiveKitEvent{ID: livekit.BodyID(body), Cluster: cluster, Event: "unreadable", CreatedAt: now,
			RoomKey: cluster, State: models.EventDead, LastError: fmt.Sprintf("%d bytes are not a readable event: %v", len(body), err)}
	}
	return s.Keep(ctx, &event)
}

// Keep stores an event, received now, for the worker. An event that is already
// stored does not change.
func (s *Inbox) Keep(ctx context.Context, e *models.LiveKitEvent) error {
	now := s.now().UTC()
	e.ReceivedAt, e.DueAt, e.Seq, e.Shard = now, now, s.nextSeq(now), shardOf(e.RoomKey)
	if e.State == "" {
		e.State = models.EventPending
	}
	err := s.events.Insert(ctx, e)
	if err != nil && !models.IsKind(err, models.KindConflict) {
		return err
	}
	s.wake()
	return nil
}

// nextSeq is the nanosecond of arrival, or the next unused one.
func (s *Inbox) nextSeq(now time.Time) int64 {
	for {
		last := s.lastSeq.Load()
		next := max(now.UnixNano(), last+1)
		if s.lastSeq.CompareAndSwap(last, next) {
			return next
		}
	}
}

func (s *Inbox) wake() {
	select {
	case s.arrived <- struct{}{}:
	default:
	}
}

// Dead counts the events that could not be processed, up to 10,000.
func (s *Inbox) Dead(ctx context.Context) (int64, error) {
	return s.events.CountIn(ctx, models.EventDead, deadCounted)
}

// Backlog counts the pending events, up to 10,000.
func (s *Inbox) Backlog(ctx context.Context) (int64, error) {
	return s.events.CountIn(ctx, models.EventPending, deadCounted)
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

// Register registers the numbers of pending and dead events as metrics, as last
// counted by the worker of this process.
func (s *Inbox) Register(registry prometheus.Registerer) {
	gauge := func(name, help string, n *atomic.Int64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(n.Load()) })
	}
	registry.MustRegister(
		gauge("pulse_inbox_pending_events", "LiveKit events that are not processed yet, counted up to 10000.", &s.pending),
		gauge("pulse_inbox_dead_events", "LiveKit events that could not be processed, counted up to 10000.", &s.dead))
}

// measure counts for the metrics.
func (s *Inbox) measure(ctx context.Context) error {
	pending, err := s.Backlog(ctx)
	if err != nil {
		return err
	}
	dead, err := s.Dead(ctx)
	if err != nil {
		return err
	}
	s.pending.Store(pending)
	s.dead.Store(dead)
	return nil
}

func shardOf(roomKey string) int64 {
	h := fnv.New32a()
	h.Write([]byte(roomKey)) //nolint:errcheck // documented never to fail
	return int64(h.Sum32() % inboxShards)
}
