package worker

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics is the Observer for Prometheus. Workers' names become label values:
// they are few and fixed.
type Metrics struct {
	passes  *prometheus.HistogramVec
	results *prometheus.CounterVec
	worked  *prometheus.CounterVec
	success *prometheus.GaugeVec
	held    *prometheus.GaugeVec
}

// NewMetrics registers what workers do under a namespace. It panics, as
// MustRegister does, if that was done before.
func NewMetrics(namespace string, registry prometheus.Registerer) *Metrics {
	name := func(s string) string { return prometheus.BuildFQName(namespace, "worker", s) }
	m := &Metrics{
		passes: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name("pass_duration_seconds"),
			Help:    "Time a pass of long work took, by worker.",
			Buckets: []float64{.001, .005, .025, .1, .5, 1, 5, 15, 60}}, []string{"worker"}),
		results: prometheus.NewCounterVec(prometheus.CounterOpts{Name: name("passes_total"),
			Help: "Passes of long work, by worker and result (ok, error, timeout, panic, lease_lost, stopped)."}, []string{"worker", "result"}),
		worked: prometheus.NewCounterVec(prometheus.CounterOpts{Name: name("items_total"),
			Help: "What passes of long work have worked on."}, []string{"worker"}),
		success: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name("last_success_timestamp_seconds"),
			Help: "When a pass last succeeded in this process, in Unix seconds."}, []string{"worker"}),
		held: prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name("lease_held"),
			Help: "1 while this process holds the worker's lease."}, []string{"worker"}),
	}
	registry.MustRegister(m.passes, m.results, m.worked, m.success, m.held)
	return m
}

// Declared implements Observer: counters begin at 0, because a rate needs the 0
// before the first one.
func (m *Metrics) Declared(name string) {
	m.worked.WithLabelValues(name)
	for _, result := range []Result{Succeeded, Failed, TimedOut, Panicked, Lost, Stopped} {
		m.results.WithLabelValues(name, string(result))
	}
}

// Passed implements Observer.
func (m *Metrics) Passed(name string, result Result, worked int, took time.Duration) {
	m.passes.WithLabelValues(name).Observe(took.Seconds())
	m.results.WithLabelValues(name, string(result)).Inc()
	m.worked.WithLabelValues(name).Add(float64(max(0, worked)))
	if result == Succeeded {
		m.success.WithLabelValues(name).SetToCurrentTime()
	}
}

// Held implements Observer.
func (m *Metrics) Held(name string, held bool) {
	value := 0.0
	if held {
		value = 1
	}
	m.held.WithLabelValues(name).Set(value)
}
