package usage

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/database/testkit"
	"pulse-control-plane/models"
)

// fixture are totals over stored sessions.
type fixture struct {
	*Totals
	store *database.UsageSessions
	clock *testkit.Clock
	next  int
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	engine := testkit.NewEngine(t)
	f := &fixture{store: database.NewUsageSessions(engine), clock: testkit.NewClock()}
	f.Totals = testkit.Must[*Totals](t)(NewTotals(TotalsConfig{
		Totals: database.NewUsageTotals(engine), Facts: database.NewUsageMetrics(engine), Sessions: f.store, Now: f.clock.Now}))
	return f
}

// stay stores the sessions of people who were there from one minute after aMorning
// to another, open for those with no end.
func (f *fixture) stay(t *testing.T, stays ...[2]int) {
	t.Helper()
	var sessions []*models.UsageSession
	for n, stay := range stays {
		f.next++
		s := &models.UsageSession{ID: fmt.Sprintf("PA_%d", f.next), Subject: models.SubjectParticipant, Kind: "STANDARD", ProjectID: testProject,
			JoinedAt: aMorning.Add(time.Duration(stay[0]) * time.Minute), LeftAt: aMorning.Add(time.Duration(stay[1]) * time.Minute)}
		if s.Open = stay[1] == open; s.Open {
			s.LeftAt = time.Time{}
		}
		sessions = append(sessions, s)
		if len(sessions) == database.MaxBatch || n == len(stays)-1 {
			if _, err := f.store.InsertMany(t.Context(), sessions); err != nil {
				t.Fatal(err)
			}
			sessions = nil
		}
	}
}

// present gives the peak of the hour after aMorning with those stays.
func present(t *testing.T, stays [][2]int) float64 {
	t.Helper()
	f := newFixture(t)
	f.stay(t, stays...)
	peak, _, err := f.peak(context.Background(), testProject, aMorning, aMorning.Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return peak
}

const (
	open        = 1 << 30
	testProject = testkit.Project
)

var aMorning = time.Date(2026, 3, 2, 8, 0, 0, 0, time.UTC)

func TestThePeakCountsParticipantsPresentTogether(t *testing.T) {
	// 5–15, 10–20 and 12–13
	if peak := present(t, [][2]int{{0, 10}, {10, 20}, {5, 15}, {12, 13}, {-30, 3}, {50, 90}, {-90, 0}, {60, 70}, {12, 12}}); peak != 3 {
		t.Errorf("peak %v", peak)
	}
	if peak := present(t, [][2]int{{-90, open}, {-30, 90}, {59, open}, {60, open}}); peak != 3 {
		t.Errorf("peak %v of people who stay", peak)
	}
}

func TestThePeakOfManyPagesIsThatOfAllMinutes(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 7))
	var stays [][2]int
	var at [60]int
	for range 5 * database.MaxBatch / 2 {
		from := random.IntN(150) - 60
		stay := [2]int{from, from + random.IntN(40)}
		if random.IntN(20) == 0 {
			stay[1] = open
		}
		stays = append(stays, stay)
		for minute := range at {
			if stay[0] <= minute && minute < stay[1] {
				at[minute]++
			}
		}
	}
	most := 0
	for _, n := range at {
		most = max(most, n)
	}
	if peak := present(t, stays); peak != float64(most) {
		t.Errorf("peak %v, not %d", peak, most)
	}
}

func TestThePeakOfALargeHourThatKeepsChangingIsSettledAtABoundedRateAndReadAtOnce(t *testing.T) {
	f := newFixture(t)
	f.stay(t, slices.Repeat([][2]int{{0, open}}, sessionsPerSecond)...)
	total := models.NewUsageTotal(testProject, models.MeterPeak, models.WindowHour, aMorning)
	settle := func() (stored, read float64) {
		t.Helper()
		if err := f.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		of, err := f.c.Totals.Of(t.Context(), testProject, models.WindowHour, aMorning, aMorning.Add(time.Hour), 10)
		if err != nil || len(of) != 1 {
			t.Fatal(of, err)
		}
		current, err := f.Current(t.Context(), testProject, models.WindowHour, aMorning, aMorning.Add(time.Hour))
		if err != nil || len(current) != 1 {
			t.Fatal(current, err)
		}
		return of[0].Value, current[0].Value
	}
	touch := func() {
		t.Helper()
		if err := f.c.Totals.Touch(t.Context(), []models.UsageTotal{total}); err != nil {
			t.Fatal(err)
		}
	}
	touch()
	if stored, read := settle(); stored != sessionsPerSecond || read != sessionsPerSecond {
		t.Fatalf("at first %v is stored and %v read", stored, read)
	}
	f.stay(t, [2]int{1, open})
	touch()
	if stored, read := settle(); stored != sessionsPerSecond || read != sessionsPerSecond+1 {
		t.Errorf("at once %v is stored and %v read", stored, read)
	}
	f.clock.Advance(2 * time.Second) // each session is read as open and as a join
	if stored, read := settle(); stored != sessionsPerSecond+1 || read != sessionsPerSecond+1 {
		t.Errorf("two seconds later %v is stored and %v read", stored, read)
	}
}

func TestRestingHoursKeepNoOthersFromBeingSettled(t *testing.T) {
	f := newFixture(t)
	hours := func(from, n int) (totals []models.UsageTotal) {
		for i := range n {
			totals = append(totals, models.NewUsageTotal(testProject, models.MeterPeak, models.WindowHour, aMorning.Add(time.Duration(from+i)*time.Hour)))
		}
		return totals
	}
	// In the middle, so that they are not the last in any order.
	large := hours(settleBatch, restingTotals)
	for _, marked := range [][]models.UsageTotal{hours(0, settleBatch), large, hours(settleBatch+restingTotals, settleBatch)} {
		if err := f.c.Totals.Touch(t.Context(), marked); err != nil {
			t.Fatal(err)
		}
	}
	for i := range large {
		f.rest(&large[i], sessionsPerSecond)
	}
	for _, want := range []int{restingTotals + settleBatch, restingTotals} {
		if err := f.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		dirty, err := f.c.Totals.Dirty(t.Context(), models.WindowHour, 10*settleBatch)
		if err != nil || len(dirty) != want {
			t.Fatalf("%d hours are left, not %d, %v", len(dirty), want, err)
		}
	}
}
