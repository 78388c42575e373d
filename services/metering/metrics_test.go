package metering

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulse-control-plane/models"
)

// metricsOf gives the samples of a registry whose names begin with a prefix, each
// with its labels' values.
func metricsOf(t *testing.T, registry prometheus.Gatherer, prefix string) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, family := range families {
		name, ok := strings.CutPrefix(family.GetName(), prefix)
		if !ok {
			continue
		}
		for _, m := range family.GetMetric() {
			key := name
			for _, label := range m.GetLabel() {
				key += " " + label.GetValue()
			}
			out[key] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return out
}

func TestEventsAreCountedByResultAndTheOldestPendingOneIsMeasured(t *testing.T) {
	r := newRig(t)
	registry := prometheus.NewRegistry()
	r.inbox.Register(registry)
	receive := func(authorization string, body []byte) {
		_ = r.inbox.Receive(t.Context(), authorization, bytes.NewReader(body)) // what it answers, other tests hold
	}
	body, unreadable := joinedBody(t, "EV_1"), []byte("{")
	receive("Bearer x.y.z", body)
	receive(signed(t, testCluster(), append([]byte(" "), body...)), body)
	receive(signed(t, testCluster(), body), body)
	receive(signed(t, testCluster(), body), body)
	receive(signed(t, testCluster(), unreadable), unreadable)
	r.now = r.now.Add(90 * time.Second)
	if err := r.inbox.Measure(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := metricsOf(t, registry, "pulse_inbox_")
	for name, want := range map[string]float64{"events_total received": 2, "events_total duplicate": 1, "events_total refused": 2, "events_total dead": 1,
		"events_total processed": 0, "events_total failed": 0, "events_total retried": 0, "pending_events": 1, "dead_events": 1, "oldest_pending_seconds": 90} {
		if value, known := got[name]; !known || value != want {
			t.Errorf("%s is %v (%v), want %v", name, value, known, want)
		}
	}

	s := &stubborn{poison: "EV_1", failures: 3}
	w := r.worker("one", s)
	for range 10 {
		if _, err := w.Work(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.now = r.now.Add(lastRetry)
	}
	if n, err := r.inbox.Retry(t.Context(), 10); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	// The batch fails, then the event by itself, and once more the event as its room's first.
	if got := metricsOf(t, registry, "pulse_inbox_"); got["events_total processed"] != 1 || got["events_total failed"] == 0 ||
		got["events_total retried"] != 1 || got["events_total dead"] != 1 {
		t.Errorf("got %v", got)
	}
	w.Register(registry)
	if got := metricsOf(t, registry, "pulse_shards_held"); got[" inbox"] != 0 { // the leases ran out while the clock was set
		t.Errorf("shards of a process without leases: %v", got)
	}
	if err := w.share(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := metricsOf(t, registry, "pulse_shards_held"); got[" inbox"] != inboxShards {
		t.Errorf("shards of the only process: %v", got)
	}
}

func TestEachStoredCorrectionIsCountedOnce(t *testing.T) {
	r, c, compare := compared(t)
	compare()
	c.people = nil
	reconciliation, registry := r.reconciliation(c), prometheus.NewRegistry()
	reconciliation.Register(registry)
	for range 3 { // no worker processes the correction, so that it is found again
		if err := reconciliation.Compare(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.now = r.now.Add(30 * time.Second)
	}
	if got := metricsOf(t, registry, "pulse_corrections_total"); len(got) != 8 || got[" "+models.EventFoundGone+" participant"] != 1 || got[" "+models.EventFoundPresent+" room"] != 0 {
		t.Errorf("got %v", got)
	}
}

func TestUnsettledTotalsAreCounted(t *testing.T) {
	r := newRig(t)
	marks := []models.UsageTotal{hourTotal(testProject, models.MeterTokensIssued, r.now), hourTotal(testProject, models.MeterAPIRequests, r.now)}
	if err := r.stored.Touch(t.Context(), marks); err != nil {
		t.Fatal(err)
	}
	if n, err := r.totals.Unsettled(t.Context()); n != 2 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	for range 2 { // the hours, then the days
		if err := r.totals.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := r.totals.Unsettled(t.Context()); n != 0 || err != nil {
		t.Errorf("%d after they were settled, %v", n, err)
	}
}
