package counters

import (
	"testing"
	"time"

	"github.com/rs/zerolog"

	"pulse-control-plane/database"
	"pulse-control-plane/database/testkit"
	"pulse-control-plane/models"
	"pulse-control-plane/services/usage"
)

var aMorning = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)

const testProject models.ProjectID = "project_1"

// rig is a database with what counts in it, and a clock.
type rig struct {
	t      *testing.T
	engine *testkit.Engine
	now    time.Time
	facts  *database.UsageMetrics
	stored *database.UsageTotals
	totals *usage.Totals
}

func newRig(t *testing.T) *rig {
	t.Helper()
	r := &rig{t: t, engine: testkit.NewEngine(t), now: aMorning}
	r.facts, r.stored = database.NewUsageMetrics(r.engine), database.NewUsageTotals(r.engine)
	r.totals = testkit.Must[*usage.Totals](t)(usage.NewTotals(usage.TotalsConfig{
		Totals: r.stored, Facts: r.facts, Sessions: database.NewUsageSessions(r.engine), Now: func() time.Time { return r.now }}))
	return r
}

// counters makes those of a process that is alone.
func (r *rig) counters(process string) *Counters {
	r.t.Helper()
	return testkit.Must[*Counters](r.t)(New(Config{Facts: r.facts, Totals: r.stored, Journal: database.NewCounterJournal(r.engine),
		Holder: process, Exclusive: true, Log: zerolog.Nop(), Now: func() time.Time { return r.now }}))
}

func TestCountsAreOneFactAMinuteAndACrashLosesNothingFlushed(t *testing.T) {
	r := newRig(t)
	facts := func() []models.UsageFact {
		t.Helper()
		list, err := r.facts.List(t.Context(), testProject, database.FactFilter{Start: aMorning, End: aMorning.Add(time.Hour)}, 1000)
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	counted := 0.0
	one := r.counters("one")
	for second := range 150 {
		for range 1 + second%3 {
			one.Count(testProject, models.MeterTokensIssued)
			counted++
		}
		err := one.Flush(t.Context())
		if failing := second%10 == 4; failing != (err != nil) {
			t.Fatalf("second %d: %v", second, err)
		}
		r.engine.Fatal = 0
		if second%10 == 3 { // each write of the next flush fails once, also when the minute ends
			r.engine.Writes.Store(0)
			r.engine.Fatal = 1 + int64(second/10)%2
		}
		r.now = r.now.Add(time.Second)
	}
	one.Count(testProject, models.MeterTokensIssued) // and it crashes
	two := r.counters("two")
	two.Count(testProject, models.MeterTokensIssued)
	counted++
	if err := two.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	stored, sum := facts(), 0.0
	for _, f := range stored {
		sum += f.Value
	}
	if len(stored) != 4 || sum != counted {
		t.Errorf("%d facts of %v in all; three minutes of one process and one of another counted %v", len(stored), sum, counted)
	}
	r.settleAll()
	totals, err := r.stored.Of(t.Context(), testProject, models.WindowHour, aMorning, aMorning.Add(time.Hour), 10)
	if err != nil || len(totals) != 1 || totals[0].Value != counted {
		t.Errorf("the totals are %+v, not %v: %v", totals, counted, err)
	}
}

func TestAClockThatIsSetBackLosesAndDoublesNoCount(t *testing.T) {
	r := newRig(t)
	one, told := r.counters("one"), tally{}
	r.now = aMorning.Add(time.Hour)
	for step, by := range []time.Duration{0, time.Minute, time.Minute, -2 * time.Minute, time.Minute, 30 * time.Second, -30 * time.Minute, -time.Second, 30 * time.Minute, 0} {
		r.now = r.now.Add(by)
		if step%2 == 0 { // through the journal
			r.countEach(one, told)
		}
		for range 10 - step {
			one.Count(testProject, models.MeterTokensIssued)
			told[testProject]++
		}
		if err := one.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	two := r.counters("two") // the process dies here
	r.recoverAll(two)
	sum, err := r.facts.Sum(t.Context(), testProject, models.MeterTokensIssued, aMorning, aMorning.Add(24*time.Hour))
	if err != nil || sum != told[testProject] {
		t.Errorf("%v of %v are counted: %v", sum, told[testProject], err)
	}
	for p, n := range r.factsSum(false) {
		if n != told[p] {
			t.Fatalf("the facts of %s are %v, not %v", p, n, told[p])
		}
	}
}
