package counters

import (
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"

	"pulse-control-plane/database"
	"pulse-control-plane/database/testkit"
	"pulse-control-plane/models"
)

// usageOf gives the samples of single projects by meter and project.
func usageOf(t *testing.T, registry prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			out[m.GetLabel()[0].GetValue()+" "+m.GetLabel()[1].GetValue()] = m.GetCounter().GetValue()
		}
	}
	return out
}

func TestTheMostActiveProjectsHaveCountersAndTheRestShareOne(t *testing.T) {
	r := newRig(t)
	metrics := testkit.Must[*ProjectMetrics](t)(NewProjectMetrics())
	registry := prometheus.NewRegistry()
	registry.MustRegister(metrics)
	counters := testkit.Must[*Counters](t)(New(Config{Facts: r.facts, Totals: r.stored, Journal: database.NewCounterJournal(r.engine), Holder: "one", Metrics: metrics,
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
		return usageOf(t, registry)
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
	if len(got) != shownProjects+1 || got["tokens_issued other"] != 2*shownProjects+100 || sum(got) != 3*shownProjects+100 {
		t.Errorf("%d series, other is %v of %v", len(got), got["tokens_issued other"], sum(got))
	}
	r.now = r.now.Add(rankEvery)
	before := got["tokens_issued other"]
	flush() // ranks
	count(99, 7)
	got = flush()
	if got["tokens_issued prj_099"] != 7 || got["tokens_issued other"] != before {
		t.Errorf("a busy project has %v of its own; other went from %v to %v", got["tokens_issued prj_099"], before, got["tokens_issued other"])
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
