package metering

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulse-control-plane/models"
)

// Results of an event of LiveKit, as a label of pulse_inbox_events_total.
const (
	// resultReceived events are stored; resultDuplicate ones were before.
	resultReceived  = "received"
	resultDuplicate = "duplicate"
	// resultRefused bodies are not signed by a cluster.
	resultRefused = "refused"
	// resultProcessed events are done, resultFailed attempts are tried again,
	// resultDead events are not.
	resultProcessed = "processed"
	resultFailed    = "failed"
	resultDead      = "dead"
	// resultRetried events were dead and are pending again.
	resultRetried = "retried"
)

// inboxMetrics are what the inbox counts in this process, and what Measure last
// counted in the database.
type inboxMetrics struct {
	pending, dead atomic.Int64
	// oldest is in milliseconds.
	oldest atomic.Int64
	events *prometheus.CounterVec
}

func newInboxMetrics() *inboxMetrics {
	m := &inboxMetrics{events: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pulse_inbox_events_total",
		Help: "LiveKit events by result: received, duplicate, refused, processed, failed (an attempt), dead, retried."}, []string{"result"})}
	for _, result := range []string{resultReceived, resultDuplicate, resultRefused, resultProcessed, resultFailed, resultDead, resultRetried} {
		m.events.WithLabelValues(result) // a rate needs the 0 before the first one
	}
	return m
}

func (m *inboxMetrics) add(result string, n int64) {
	m.events.WithLabelValues(result).Add(float64(n))
}

// Register offers the metrics of the inbox; the gauges are as Measure last counted.
func (s *Inbox) Register(registry prometheus.Registerer) {
	m := s.metrics
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	registry.MustRegister(m.events,
		gauge("pulse_inbox_pending_events", "LiveKit events that wait to be processed, counted up to 10000.", func() float64 { return float64(m.pending.Load()) }),
		gauge("pulse_inbox_dead_events", "LiveKit events that could not be processed, counted up to 10000.", func() float64 { return float64(m.dead.Load()) }),
		gauge("pulse_inbox_oldest_pending_seconds", "For how long the oldest LiveKit event has waited to be processed.", func() float64 { return float64(m.oldest.Load()) / 1000 }))
}

// Measure counts for the metrics.
func (s *Inbox) Measure(ctx context.Context) error {
	pending, err := s.Backlog(ctx)
	if err != nil {
		return err
	}
	dead, err := s.Dead(ctx)
	if err != nil {
		return err
	}
	oldest, err := s.OldestAge(ctx)
	if err != nil {
		return err
	}
	s.metrics.pending.Store(pending)
	s.metrics.dead.Store(dead)
	s.metrics.oldest.Store(oldest.Milliseconds())
	return nil
}

// Register offers how many shards of the inbox this process has as a metric.
func (w *InboxWorker) Register(registry prometheus.Registerer) { w.shares.Register(registry) }

// newCorrections counts the corrections that reconciliation stored.
func newCorrections() *prometheus.CounterVec {
	counter := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pulse_corrections_total",
		Help: "Corrections of usage sessions whose events LiveKit did not deliver, by event and subject."}, []string{"event", "subject"})
	for _, event := range []string{models.EventFoundPresent, models.EventFoundGone} {
		for _, subject := range []models.Subject{models.SubjectParticipant, models.SubjectRoom, models.SubjectEgress, models.SubjectIngress} {
			counter.WithLabelValues(event, string(subject)) // a rate needs the 0 before the first one
		}
	}
	return counter
}

// Register offers the number of corrections as a metric.
func (r *Reconciliation) Register(registry prometheus.Registerer) {
	registry.MustRegister(r.corrections)
}

// LastRead gives when the rooms of each cluster were last compared, by any process;
// the zero time for a cluster that never was.
func (r *Reconciliation) LastRead(ctx context.Context) (map[string]time.Time, error) {
	clusters := r.c.Clusters()
	names := make([]string, len(clusters))
	for i := range clusters {
		names[i] = on(allRooms, clusters[i].Name)
	}
	seen, err := r.c.Sightings.Of(ctx, names)
	if err != nil {
		return nil, err
	}
	out := make(map[string]time.Time, len(clusters))
	for i := range clusters {
		out[clusters[i].Name] = seen[names[i]]
	}
	return out, nil
}

// unsettledCounted bounds the count of unsettled totals.
const unsettledCounted = 10_000

// Unsettled counts the totals that are to be computed again, up to 10,000.
func (t *Totals) Unsettled(ctx context.Context) (int64, error) {
	return t.c.Totals.CountDirty(ctx, unsettledCounted)
}
