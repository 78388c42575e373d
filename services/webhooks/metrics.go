package webhooks

import (
	"context"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"pulse-control-plane/models"
)

// counted bounds the counts of deliveries.
const counted = 10_000

// metrics are what the worker measures.
type metrics struct {
	due, failed atomic.Int64
	// oldest is in milliseconds.
	oldest   atomic.Int64
	attempts *prometheus.CounterVec
	latency  prometheus.Histogram
}

func newMetrics() *metrics {
	m := &metrics{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pulse_delivery_attempts_total",
			Help: "Attempts to deliver an event to an endpoint, by result (delivered, failed)."}, []string{"result"}),
		latency: prometheus.NewHistogram(prometheus.HistogramOpts{Name: "pulse_delivery_attempt_seconds",
			Help: "How long attempts took.", Buckets: []float64{.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 15}}),
	}
	for _, result := range []string{attemptDelivered, attemptFailed} {
		m.attempts.WithLabelValues(result) // a rate needs the 0 before the first one
	}
	return m
}

// Results of attempts.
const (
	attemptDelivered = "delivered"
	attemptFailed    = "failed"
)

func (m *metrics) attempted(r *result) {
	label := attemptFailed
	if r.ok {
		label = attemptDelivered
	}
	m.attempts.WithLabelValues(label).Inc()
	m.latency.Observe(float64(r.attempt.Millis) / 1000)
}

// Register offers the metrics; the counts are those of the last measurement.
func (w *Worker) Register(registry prometheus.Registerer) {
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	w.shares.Register(registry)
	m := w.metrics
	registry.MustRegister(m.attempts, m.latency,
		gauge("pulse_deliveries_due", "Deliveries that are due, counted up to 10000.", func() float64 { return float64(m.due.Load()) }),
		gauge("pulse_deliveries_failed", "Deliveries that failed for good, counted up to 10000.", func() float64 { return float64(m.failed.Load()) }),
		gauge("pulse_deliveries_oldest_seconds", "Age of the oldest pending delivery.", func() float64 { return float64(m.oldest.Load()) / 1000 }))
}

// Backlog is what waits in all.
type Backlog struct {
	// Due and Failed are counted up to 10,000.
	Due, Failed int64
	// OldestSeconds is the age of the oldest pending delivery.
	OldestSeconds float64
}

// Backlog counts what waits of all tenants.
func (w *Worker) Backlog(ctx context.Context) (out Backlog, err error) {
	now := w.c.Now()
	if out.Due, err = w.c.Deliveries.CountDue(ctx, now, counted); err != nil {
		return out, err
	}
	if out.Failed, err = w.c.Deliveries.CountIn(ctx, models.DeliveryFailed, counted); err != nil {
		return out, err
	}
	oldest, err := w.c.Deliveries.Oldest(ctx)
	if !oldest.IsZero() {
		out.OldestSeconds = max(now.Sub(oldest).Seconds(), 0)
	}
	return out, err
}

// measure counts for the metrics.
func (w *Worker) measure(ctx context.Context) error {
	b, err := w.Backlog(ctx)
	if err != nil {
		return err
	}
	w.metrics.due.Store(b.Due)
	w.metrics.failed.Store(b.Failed)
	w.metrics.oldest.Store(int64(b.OldestSeconds * 1000))
	return nil
}
