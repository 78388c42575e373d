package services

import (
	"context"
	"sync"
	"time"
)

const (
	// probeTimeout bounds the check of one component.
	probeTimeout = 2 * time.Second
	// probeFor is how long a measurement answers for: a page that polls, or
	// many pages, do not become load on what they watch.
	probeFor = 2 * time.Second
)

// Probe measures one thing Pulse depends on.
type Probe struct {
	Name  string
	Check func(context.Context) error
	// Essential: without it Pulse serves nothing new, so it is not ready.
	Essential bool
}

// ComponentState is how a component, or all of them together, is.
type ComponentState string

// The states, as status pages call them.
const (
	Operational ComponentState = "operational"
	Degraded    ComponentState = "degraded"
	Down        ComponentState = "down"
)

// Component is one measured dependency.
type Component struct {
	Name      string
	State     ComponentState
	Latency   time.Duration
	CheckedAt time.Time
}

// StatusReport is the measured state of the installation.
type StatusReport struct {
	// State is down without an essential component, degraded without another.
	State      ComponentState
	Components []Component
	Uptime     time.Duration
}

// Status measures the components when asked, at most every probeFor.
type Status struct {
	probes  []Probe
	now     func() time.Time
	started time.Time

	mu         sync.Mutex
	measured   []Component
	measuredAt time.Time
}

// NewStatus starts the clock of the uptime.
func NewStatus(now func() time.Time, probes ...Probe) *Status {
	return &Status{probes: probes, now: now, started: now()}
}

// Report measures, or repeats the last measurement if it is fresh.
func (s *Status) Report(ctx context.Context) StatusReport {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.measured == nil || s.now().Sub(s.measuredAt) >= probeFor {
		s.measured, s.measuredAt = s.measure(ctx), s.now()
	}
	report := StatusReport{State: Operational, Components: s.measured, Uptime: s.now().Sub(s.started)}
	for i, c := range s.measured {
		switch {
		case c.State == Operational:
		case s.probes[i].Essential:
			report.State = Down
		case report.State == Operational:
			report.State = Degraded
		}
	}
	return report
}

// measure asks all components at once. It does not stop when the asker hangs
// up: others wait for the same measurement.
func (s *Status) measure(ctx context.Context) []Component {
	out := make([]Component, len(s.probes))
	var all sync.WaitGroup
	for i, probe := range s.probes {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeTimeout)
			defer cancel()
			start := time.Now()
			err := probe.Check(ctx)
			out[i] = Component{Name: probe.Name, State: Operational, Latency: time.Since(start), CheckedAt: s.now()}
			if err != nil {
				out[i].State = Down
			}
		})
	}
	all.Wait()
	return out
}
