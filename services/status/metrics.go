package status

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
)

// Measure reports for the metrics. It is the pass of a worker.
func (s *Monitor) Measure(ctx context.Context) error {
	for _, c := range s.Report(ctx).Components {
		for _, state := range []State{Operational, Degraded, Down} {
			value := 0.0
			if c.State == state {
				value = 1
			}
			s.states.WithLabelValues(c.Name, string(state)).Set(value)
		}
	}
	return nil
}

func newStates() *prometheus.GaugeVec {
	return prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "pulse_component_state",
		Help: "1 for the state (operational, degraded, down) that a dependency was last measured in, 0 for the others."}, []string{"component", "state"})
}

// Register offers the states that Measure last saw as a metric.
func (s *Monitor) Register(registry prometheus.Registerer) { registry.MustRegister(s.states) }
