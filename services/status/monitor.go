package status

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

const (
	// probeTimeout bounds the check of one component.
	probeTimeout = 2 * time.Second
	// probeFor is how long a measurement is valid, so that polling clients put no
	// load on dependencies.
	probeFor = 2 * time.Second
	// patience is how long a report waits for a non-essential component before it
	// repeats the last measurement: a component that hangs must not delay readiness.
	patience = 100 * time.Millisecond
)

// Probe measures one dependency of Pulse.
type Probe struct {
	Name  string
	Check func(context.Context) error
	// Essential: without it Pulse is not ready.
	Essential bool
}

// Impaired is an error of a Check whose component works in part: it is degraded. The
// text is shown to everybody.
type Impaired string

func (e Impaired) Error() string { return string(e) }

// State is the state of a component or of the installation.
type State string

// The states, by the words of status pages.
const (
	Operational State = "operational"
	Degraded    State = "degraded"
	Down        State = "down"
)

// Component is one measured dependency.
type Component struct {
	Name      string
	State     State
	Latency   time.Duration
	CheckedAt time.Time
	// Detail says what is wrong, in public words; may be empty.
	Detail string
}

// Report is the measured state of the installation.
type Report struct {
	// State is down if an essential component is down, degraded if another is.
	State      State
	Components []Component
	Uptime     time.Duration
}

// Monitor measures components on request, each at most every probeFor.
type Monitor struct {
	probes  []*watched
	now     func() time.Time
	started time.Time
	states  *prometheus.GaugeVec
}

// watched is a component with its last measurement.
type watched struct {
	Probe
	mu sync.Mutex
	// last is nil before the first measurement.
	last *Component
	// running is closed when the current measurement ends; nil without one.
	running chan struct{}
}

// New starts the clock of the uptime.
func New(now func() time.Time, probes ...Probe) *Monitor {
	s := &Monitor{now: now, started: now(), states: newStates()}
	for _, p := range probes {
		s.probes = append(s.probes, &watched{Probe: p})
	}
	return s
}

// Report measures components without a valid measurement, concurrently. It waits
// for essential components and for those never measured before, and for the others
// only until patience ends.
func (s *Monitor) Report(ctx context.Context) Report {
	patient, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	running := make([]<-chan struct{}, len(s.probes))
	for i, w := range s.probes {
		running[i] = s.renew(ctx, w)
	}
	report := Report{State: Operational, Uptime: s.now().Sub(s.started)}
	for i, w := range s.probes {
		c := w.wait(running[i], patient)
		report.Components = append(report.Components, c)
		switch {
		case c.State == Operational:
		case w.Essential:
			report.State = Down
		case report.State == Operational:
			report.State = Degraded
		}
	}
	return report
}

// renew measures a component unless its last measurement is valid, and returns a
// channel that is closed when it is done; nil if there is nothing to wait for. A
// measurement continues when its caller disconnects, because others wait for it.
func (s *Monitor) renew(ctx context.Context, w *watched) <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.last != nil && s.now().Sub(w.last.CheckedAt) < probeFor {
		return nil
	}
	if w.running == nil {
		done := make(chan struct{})
		w.running = done
		go func() {
			c := s.measure(context.WithoutCancel(ctx), w.Probe)
			w.mu.Lock()
			w.last, w.running = &c, nil
			w.mu.Unlock()
			close(done)
		}()
	}
	return w.running
}

func (s *Monitor) measure(ctx context.Context, p Probe) Component {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	start := time.Now()
	err := p.Check(ctx)
	c := Component{Name: p.Name, State: Operational, Latency: time.Since(start), CheckedAt: s.now()}
	var impaired Impaired
	switch {
	case errors.As(err, &impaired):
		c.State, c.Detail = Degraded, string(impaired)
	case err != nil:
		c.State = Down
	}
	return c
}

// wait returns the running measurement when it is done, or the last one if patience
// ends first.
func (w *watched) wait(running <-chan struct{}, patient context.Context) Component {
	w.mu.Lock()
	last := w.last
	w.mu.Unlock()
	switch {
	case running == nil:
		return *last
	case last == nil || w.Essential:
		<-running
	default:
		select {
		case <-running:
		case <-patient.Done():
			return *last
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	return *w.last
}
