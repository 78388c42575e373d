package metering

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"

	"pulse-control-plane/database"
	"pulse-control-plane/database/testkit"
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

func TestTheMostActiveProjectsHaveCountersAndTheRestShareOne(t *testing.T) {
	r := newRig(t)
	metrics := testkit.Must[*ProjectMetrics](t)(NewProjectMetrics())
	registry := prometheus.NewRegistry()
	registry.MustRegister(metrics)
	counters := testkit.Must[*Counters](t)(NewCounters(CountersConfig{Facts: r.facts, Totals: r.stored, Journal: database.NewCounterJournal(r.engine), Holder: "one", Metrics: metrics,
		Log: zerolog.Nop(), Now: func() time.Time { return r.now }}))
	name := func(n int) models.ProjectID { return models.ProjectID(fmt.Sprintf("prj_%03d", n)) }
	count := func(n, times int) {
		for range times {
			counters.Count(name(n), models.MeterTokensIssued)
		}
	}
	flush := func() map[string]float64 {
		t.Helper()
		if err := counters.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		return metricsOf(t, registry, "pulse_project_usage_total")
	}
	sum := func(values map[string]float64) (total float64) {
		for _, v := range values {
			total += v
		}
		return total
	}
	for n := range shownProjects {
		count(n, 1)
	}
	flush()
	for n := shownProjects; n < 2*shownProjects; n++ {
		count(n, 2)
	}
	count(99, 100)
	got := flush()
	if len(got) != shownProjects+1 || got[" tokens_issued other"] != 2*shownProjects+100 || sum(got) != 3*shownProjects+100 {
		t.Errorf("%d series, other is %v of %v", len(got), got[" tokens_issued other"], sum(got))
	}
	r.now = r.now.Add(rankEvery)
	before := got[" tokens_issued other"]
	flush() // ranks
	count(99, 7)
	got = flush()
	if got[" tokens_issued prj_099"] != 7 || got[" tokens_issued other"] != before {
		t.Errorf("a busy project has %v of its own; other went from %v to %v", got[" tokens_issued prj_099"], before, got[" tokens_issued other"])
	}
	if n := testutil.CollectAndCount(metrics); n > shownProjects+1 {
		t.Errorf("%d series", n)
	}
	// However many projects there are, what is remembered is bounded.
	for n := range 20 * shownProjects {
		metrics.add(name(1000+n), models.MeterTokensIssued, 1)
	}
	if n := metrics.candidates.Len() + len(metrics.shown); n > candidateProjects+shownProjects {
		t.Errorf("%d projects are remembered", n)
	}
}
