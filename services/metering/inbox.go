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

// inboxShards is how many parts the inbox has. Each is worked on by one worker
// at a time, and a room's events are all in one.
const inboxShards = 8

// deadCounted bounds how far dead events are counted for /v1/status.
const deadCounted = 10_000

// Inbox takes LiveKit's events in: verified, stripped of secrets and on disk
// before they are answered. What they mean is worked out later.
type Inbox struct {
	events   *database.LiveKitEvents
	verifier livekit.EventVerifier
	now      func() time.Time
	lastSeq  atomic.Int64
	// arrived wakes the worker of this process.
	arrived chan struct{}
	// pending and dead are what measure counted.
	pending, dead atomic.Int64
}

// NewInbox takes events of these clusters.
func NewInbox(events *database.LiveKitEvents, clusters []livekit.Cluster, now func() time.Time) *Inbox {
	return &Inbox{events: events, verifier: livekit.NewEventVerifier(clusters), now: now, arrived: make(chan struct{}, 1)}
}

// Receive keeps one event; nil means that it is durable, now or since before.
// unauthenticated for a bad signature; otherwise unavailable or internal, so
// that LiveKit sends it again.
func (s *Inbox) Receive(ctx context.Context, authorization string, body []byte) error {
	cluster, err := s.verifier.Verify(authorization, body)
	if err != nil {
		return err
	}
	now := s.now().UTC()
	event, err := livekit.ReadEvent(cluster, body, now)
	if err != nil {
		// It is from the cluster and says nothing to this version. Refusing it
		// would lose it and storing it might store a secret: what is kept is
		// that it came, for somebody to look at.
		event = models.LiveKitEvent{ID: livekit.BodyID(body), Cluster: cluster, Event: "unreadable", CreatedAt: now,
			RoomKey: cluster, State: models.EventDead, LastError: fmt.Sprintf("%d bytes that are no event: %v", len(body), err)}
	}
	return s.Keep(ctx, &event)
}

// Keep stores an event, received now, for the worker. One that is there
// already stays as it is.
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

// nextSeq is the nanosecond of arrival, or the next that is free.
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

// Dead counts the events that nobody could make sense of, up to 10,000.
func (s *Inbox) Dead(ctx context.Context) (int64, error) {
	return s.events.CountIn(ctx, models.EventDead, deadCounted)
}

// Backlog counts the events that wait, up to 10,000.
func (s *Inbox) Backlog(ctx context.Context) (int64, error) {
	return s.events.CountIn(ctx, models.EventPending, deadCounted)
}

// Check is the probe of the inbox for /v1/status: an error while there are
// dead events.
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

// Register offers the numbers of waiting and dead events as metrics, as the
// worker of this process last counted them.
func (s *Inbox) Register(registry prometheus.Registerer) {
	gauge := func(name, help string, n *atomic.Int64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(n.Load()) })
	}
	registry.MustRegister(
		gauge("pulse_inbox_pending_events", "LiveKit events that wait to be worked on, counted up to 10000.", &s.pending),
		gauge("pulse_inbox_dead_events", "LiveKit events that nobody could make sense of, counted up to 10000.", &s.dead))
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
