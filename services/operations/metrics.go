package operations

import (
	"context"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are what Measure last counted.
type metrics struct {
	evictions, stuck, unsettled atomic.Int64
	// oldest is in milliseconds.
	oldest atomic.Int64
	// compared is when each cluster was last compared.
	compared *prometheus.GaugeVec
}

func newMetrics() metrics {
	return metrics{compared: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "pulse_reconciliation_last_success_timestamp_seconds",
		Help: "When open usage sessions were last compared with what a cluster lists, by any process, in Unix seconds; 0 if they never were."}, []string{"cluster"})}
}

// Register offers what Measure last counted as metrics.
func (s *Service) Register(registry prometheus.Registerer) {
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	m := &s.metrics
	registry.MustRegister(m.compared,
		gauge("pulse_evictions_waiting", "Evictions that wait to be carried out, counted up to 10000.", func() float64 { return float64(m.evictions.Load()) }),
		gauge("pulse_evictions_dead", "Evictions that the cluster refused ten times or more, counted up to 10000.", func() float64 { return float64(m.stuck.Load()) }),
		gauge("pulse_evictions_oldest_seconds", "Age of the oldest eviction that waits.", func() float64 { return float64(m.oldest.Load()) / 1000 }),
		gauge("pulse_usage_totals_unsettled", "Usage totals that are to be computed again, counted up to 10000.", func() float64 { return float64(m.unsettled.Load()) }))
}

// Measure counts for the metrics. It is the pass of a worker.
func (s *Service) Measure(ctx context.Context) error {
	var r Report
	if err := s.evictions(ctx, &r); err != nil {
		return err
	}
	unsettled, err := s.c.Totals.Unsettled(ctx)
	if err != nil {
		return err
	}
	compared, err := s.c.Compared(ctx)
	if err != nil {
		return err
	}
	s.metrics.compared.Reset() // a cluster may have been taken out
	for cluster, at := range compared {
		seconds := 0.0
		if !at.IsZero() {
			seconds = float64(at.UnixMilli()) / 1000
		}
		s.metrics.compared.WithLabelValues(cluster).Set(seconds)
	}
	s.metrics.evictions.Store(r.Evictions.Waiting)
	s.metrics.stuck.Store(r.Evictions.Dead)
	s.metrics.oldest.Store(r.Evictions.OldestAge.Milliseconds())
	s.metrics.unsettled.Store(unsettled)
	return nil
}
