package e2e_test

import (
	"bufio"
	"net/http"
	"strings"
	"testing"
	"time"

	"pulse-control-plane/e2e/harness"
)

// TestAStreamBeatsWhileNothingHappensAndEndsWhenPulseStops reads a stream of events of
// the binary: its first comment comes at once, a heartbeat after 15 s, and the end
// when pulse stops.
func TestAStreamBeatsWhileNothingHappensAndEndsWhenPulseStops(t *testing.T) {
	t.Parallel()
	liveKit := &harness.LiveKit{URL: "ws://127.0.0.1:9", HTTPURL: "http://127.0.0.1:9", APIKey: "devkey", APISecret: strings.Repeat("secret", 6)}
	pulse := harness.StartPulse(t, harness.PulseOptions{Binary: pulseBinary, LiveKit: liveKit, Env: map[string]string{"RECONCILE_INTERVAL": "10m"}})
	in := &installation{LiveKit: liveKit, Pulse: pulse, API: pulse.API()}
	project := in.project(t, "acme")
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, pulse.URL+"/v1/events/stream?type=room.*", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header = harness.AsServer(project)
	asked := time.Now()
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK || answer.Header.Get("Content-Type") != "text/event-stream" || answer.Header.Get("X-Accel-Buffering") != "no" {
		t.Fatalf("%s %v", answer.Status, answer.Header)
	}
	lines := bufio.NewScanner(answer.Body)
	next := func() string {
		for lines.Scan() {
			if lines.Text() != "" {
				return lines.Text()
			}
		}
		return ""
	}
	if got := next(); got != ": connected" || time.Since(asked) > 10*time.Second {
		t.Errorf("after %v it began with %q", time.Since(asked), got)
	}
	connected := time.Now()
	if got, after := next(), time.Since(connected); got != ": heartbeat" || after < 10*time.Second || after > 30*time.Second {
		t.Errorf("%q came after %v", got, after)
	}
	if err := pulse.Stop(); err != nil { // fails if the stream held it up
		t.Error(err)
	}
	if got := next(); got != "" || lines.Err() != nil {
		t.Errorf("the stream ended with %q, %v", got, lines.Err())
	}
}
