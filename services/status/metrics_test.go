package status

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

func TestTheStateOfEachComponentIsAMetric(t *testing.T) {
	now := time.Now()
	var broken error
	s := New(func() time.Time { return now },
		Probe{Name: "database", Essential: true, Check: func(context.Context) error { return nil }},
		Probe{Name: "livekit", Essential: true, Check: func(context.Context) error { return broken }})
	registry := prometheus.NewRegistry()
	s.Register(registry)
	for _, c := range []struct {
		err                         error
		operational, degraded, down string
	}{{nil, "1", "0", "0"}, {Impaired("slow"), "0", "1", "0"}, {errors.New("away"), "0", "0", "1"}} {
		broken = c.err
		if err := s.Measure(t.Context()); err != nil {
			t.Fatal(err)
		}
		now = now.Add(probeFor)
		want := `
# HELP pulse_component_state 1 for the state (operational, degraded, down) that a dependency was last measured in, 0 for the others.
# TYPE pulse_component_state gauge
pulse_component_state{component="database",state="degraded"} 0
pulse_component_state{component="database",state="down"} 0
pulse_component_state{component="database",state="operational"} 1
pulse_component_state{component="livekit",state="degraded"} ` + c.degraded + `
pulse_component_state{component="livekit",state="down"} ` + c.down + `
pulse_component_state{component="livekit",state="operational"} ` + c.operational + "\n"
		if err := testutil.GatherAndCompare(registry, strings.NewReader(want)); err != nil {
			t.Error(err)
		}
	}
}
