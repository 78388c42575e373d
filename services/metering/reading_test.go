package metering

import (
	"testing"
	"time"

	"pulse-control-plane/models"
	"pulse-control-plane/services/usage"
)

func TestReadingUsageWritesNothing(t *testing.T) {
	h := newHistory(21, aMorning)
	r := newRig(t)
	r.keep(h.events)
	if err := r.drain(r.worker("one")); err != nil {
		t.Fatal(err)
	}
	for _, settledBefore := range []bool{false, true} {
		if settledBefore { // and touched again
			r.report(models.WindowHour)
			if err := r.stored.TouchSince(t.Context(), aMorning); err != nil {
				t.Fatal(err)
			}
		}
		before := r.engine.Writes.Load()
		var unsettled []usage.Report
		for _, w := range []models.Window{models.WindowHour, models.WindowDay, models.WindowMonth} {
			start := w.Start(aMorning)
			out, err := r.usage.Report(t.Context(), testProject, usage.Query{Start: start, End: start.Add(48 * time.Hour), Window: w})
			if err != nil {
				t.Fatal(err)
			}
			unsettled = append(unsettled, out)
		}
		if n := r.engine.Writes.Load() - before; n != 0 {
			t.Errorf("%d writes", n)
		}
		settled := r.report(models.WindowHour)
		h.mustMatch(t, settled)
		for _, out := range unsettled {
			for _, m := range models.Meters() {
				if d := out.Totals[m] - settled.Totals[m]; d > 1e-6 || d < -1e-6 {
					t.Errorf("settled %v, by %s: %s is %f, settled %f", settledBefore, out.Window, m, out.Totals[m], settled.Totals[m])
				}
			}
		}
	}
}
