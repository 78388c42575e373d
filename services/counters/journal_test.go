package counters

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
)

// manyProjects are more than a flush writes into facts at once.
const manyProjects = directFacts + 300

func projectNumber(n int) models.ProjectID { return models.ProjectID(fmt.Sprintf("project_%05d", n)) }

// tally counts what counters were told of each project.
type tally map[models.ProjectID]float64

func (r *rig) countEach(c *Counters, told tally) {
	for n := range manyProjects {
		c.Count(projectNumber(n), models.MeterTokensIssued)
		told[projectNumber(n)]++
	}
}

// factsSum adds up the facts of each project; more than one fact is an error if single
// is true.
func (r *rig) factsSum(single bool) tally {
	r.t.Helper()
	out := tally{}
	for n := range manyProjects {
		list, err := r.facts.List(r.t.Context(), projectNumber(n), database.FactFilter{Start: aMorning, End: aMorning.Add(24 * time.Hour)}, 1000)
		if err != nil || single && len(list) > 1 {
			r.t.Fatal(len(list), err)
		}
		for _, f := range list {
			out[projectNumber(n)] += f.Value
		}
	}
	return out
}

func (r *rig) pages() int {
	r.t.Helper()
	pages, err := database.NewCounterJournal(r.engine).Oldest(r.t.Context(), endOfTime(), 1000)
	if err != nil {
		r.t.Fatal(err)
	}
	return len(pages)
}

// recoverAll writes what the journal has of others into facts, and settles the totals.
func (r *rig) recoverAll(c *Counters) {
	r.t.Helper()
	for {
		n, err := c.Recover(r.t.Context())
		if err != nil {
			r.t.Fatal(err)
		}
		if n == 0 {
			return
		}
	}
}

func (r *rig) settleAll() {
	r.t.Helper()
	if err := r.totals.CatchUp(r.t.Context()); err != nil {
		r.t.Fatal(err)
	}
	for {
		if err := r.totals.Settle(r.t.Context()); err != nil {
			r.t.Fatal(err)
		}
		if n, err := r.totals.Unsettled(r.t.Context()); err != nil || n == 0 {
			if err != nil {
				r.t.Fatal(err)
			}
			return
		}
	}
}

func TestCountsOfManyProjectsAreDurableWithEachFlushWhereverTheProcessDies(t *testing.T) {
	for _, dies := range []struct {
		write int64
		late  bool
	}{{0, false}, {1, false}, {1, true}, {2, false}, {2, true}, {3, false}, {4, false}, {5, false}, {directFacts / 2, false}, {directFacts, true}} {
		t.Run(fmt.Sprintf("write %d, late %v", dies.write, dies.late), func(t *testing.T) {
			r := newRig(t)
			one, told := r.counters("one"), tally{}
			r.countEach(one, told)
			if err := one.Flush(t.Context()); err != nil {
				t.Fatal(err)
			}
			r.countEach(one, told)
			r.engine.Writes.Store(0)
			r.engine.Fatal, r.engine.Late = dies.write, dies.late
			acknowledged := 2.0
			if one.Flush(t.Context()) != nil {
				acknowledged = 1
			}
			if failed := acknowledged == 1; failed != (dies.write > 0) {
				t.Fatalf("the flush failed: %v", failed)
			}
			r.engine.Fatal = 0
			two := r.counters("two")
			r.recoverAll(two)
			sum := r.factsSum(true)
			for p := range told {
				if sum[p] < acknowledged || sum[p] > told[p] {
					t.Fatalf("the facts of %s are %v; %v was flushed and %v counted", p, sum[p], acknowledged, told[p])
				}
			}
			if n := r.pages(); n != 0 {
				t.Errorf("%d pages are left in the journal", n)
			}
			if dies.late || dies.write < 4 {
				return
			}
			r.settleAll() // takes longest; here the process died at, or after, the first totals
			for n := 0; n < manyProjects; n += 50 {
				p := projectNumber(n)
				totals, err := r.stored.Of(t.Context(), p, models.WindowHour, aMorning, aMorning.Add(time.Hour), 10)
				if err != nil || len(totals) != 1 || totals[0].Value != sum[p] {
					t.Fatalf("the totals of %s are %+v, its facts %v: %v", p, totals, sum[p], err)
				}
			}
		})
	}
}

func TestFactsHaveWhatTheJournalHadSoonAfterAFloodAndTheJournalIsEmptyThen(t *testing.T) {
	r := newRig(t)
	one, told := r.counters("one"), tally{}
	most := 0
	flush := func() {
		t.Helper()
		err := one.Flush(t.Context())
		if r.engine.Fatal != 0 && err == nil {
			t.Fatal("a flush without writes succeeded")
		}
		if r.engine.Fatal == 0 && err != nil {
			t.Fatal(err)
		}
		r.now = r.now.Add(time.Second)
		most = max(most, r.pages())
	}
	for second := range 5 {
		r.countEach(one, told)
		if second%2 == 1 { // some write of this flush fails, and so do the later ones
			r.engine.Writes.Store(0)
			r.engine.Fatal, r.engine.Late = 1+rand.Int64N(3), second == 3
		}
		flush()
		r.engine.Fatal = 0
		r.now = r.now.Add(20 * time.Second)
	}
	if most == 0 {
		t.Error("a flood was not written into the journal")
	}
	for second := 0; len(one.changed) > 0 || one.journal.facts > 0; second++ {
		if second > 2*drainFlushes {
			t.Fatalf("%d facts are in the journal two minutes after the flood", one.journal.facts)
		}
		one.Count(projectNumber(0), models.MeterTokensIssued)
		told[projectNumber(0)]++
		flush()
	}
	for p, sum := range r.factsSum(false) {
		if sum != told[p] {
			t.Fatalf("the facts of %s are %v, not %v", p, sum, told[p])
		}
	}
	// A write whose answer was lost leaves pages that nobody waits for.
	two := r.counters("two")
	r.recoverAll(two)
	if n := r.pages(); n != 0 || len(one.journal.done) != 0 {
		t.Errorf("%d pages are left", n)
	}
	for p, sum := range r.factsSum(false) {
		if sum != told[p] {
			t.Fatalf("recovered again, the facts of %s are %v, not %v", p, sum, told[p])
		}
	}
}

func TestAProcessBesideOthersRecoversOnlyOldPagesAndDoublesNothing(t *testing.T) {
	r := newRig(t)
	one, told := r.counters("one"), tally{}
	two := r.counters("two")
	one.journal.exclusive, two.journal.exclusive = false, false
	r.countEach(one, told)
	if err := one.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := r.pages()
	if n, err := two.Recover(t.Context()); n != 0 || err != nil || before == 0 {
		t.Fatalf("another process took %d pages of %d that are new: %v", n, before, err)
	}
	r.now = r.now.Add(pageAbandoned + time.Second)
	r.recoverAll(two) // though its process still lives
	r.countEach(one, told)
	for range 2 * drainFlushes {
		r.now = r.now.Add(time.Second)
		if err := one.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for p, sum := range r.factsSum(false) {
		if sum != told[p] {
			t.Fatalf("the facts of %s are %v, not %v", p, sum, told[p])
		}
	}
	if n := r.pages(); n != 0 {
		t.Errorf("%d pages are left", n)
	}
}

func TestPagesOfAClockThatRanAheadAreRecoveredByAProcessThatIsAlone(t *testing.T) {
	r := newRig(t)
	r.now = aMorning.Add(1000 * time.Hour)
	one, told := r.counters("one"), tally{}
	r.countEach(one, told)
	if err := one.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.now = aMorning
	r.recoverAll(r.counters("two"))
	if n := r.pages(); n != 0 {
		t.Errorf("%d pages are left", n)
	}
}

func TestNoCountIsLostWhileCountersAreForgotten(t *testing.T) {
	r := newRig(t)
	c := r.counters("one")
	const goroutines, each = 8, 5_000
	var counting sync.WaitGroup
	done := make(chan struct{})
	for range goroutines {
		counting.Go(func() {
			for range each {
				c.Count(testProject, models.MeterTokensIssued)
			}
		})
	}
	go func() { counting.Wait(); close(done) }()
	forget := func() {
		c.flushing.Lock()
		defer c.flushing.Unlock()
		c.counts.Range(func(_, one any) bool { one.(*counter).quiet = quietFlushes; return true })
		c.collect()
	}
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
			forget()
		}
	}
	forget()
	forget()
	if err := c.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	left := 0
	c.counts.Range(func(_, _ any) bool { left++; return true })
	sum, err := r.facts.Sum(t.Context(), testProject, models.MeterTokensIssued, aMorning, aMorning.Add(time.Hour))
	if err != nil || sum != goroutines*each || left != 0 {
		t.Errorf("%v of %d are counted, %d counters are left: %v", sum, goroutines*each, left, err)
	}
}

func TestACountThatMeetsACounterBeingForgottenGoesToANewOne(t *testing.T) {
	r := newRig(t)
	c := r.counters("one")
	forgotten := new(counter)
	forgotten.n.Store(retired) // and it is still in the map
	c.counts.Store(counted{testProject, models.MeterTokensIssued}, forgotten)
	c.Count(testProject, models.MeterTokensIssued)
	if err := c.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	sum, err := r.facts.Sum(t.Context(), testProject, models.MeterTokensIssued, aMorning, aMorning.Add(time.Hour))
	if err != nil || sum != 1 {
		t.Errorf("%v is counted, not 1: %v", sum, err)
	}
}
