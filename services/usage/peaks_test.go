package usage

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/database/testkit"
	"pulse-control-plane/models"
)

// present stores the sessions of people who were there from one minute to another,
// open for those with no end, and gives the peak of the hour after aMorning.
func present(t *testing.T, stays [][2]int) float64 {
	t.Helper()
	engine := testkit.NewEngine(t)
	store := database.NewUsageSessions(engine)
	totals := testkit.Must[*Totals](t)(NewTotals(TotalsConfig{
		Totals: database.NewUsageTotals(engine), Facts: database.NewUsageMetrics(engine), Sessions: store, Now: time.Now}))
	var sessions []*models.UsageSession
	for n, stay := range stays {
		s := &models.UsageSession{ID: fmt.Sprintf("PA_%d", n), Subject: models.SubjectParticipant, Kind: "STANDARD", ProjectID: testProject,
			JoinedAt: aMorning.Add(time.Duration(stay[0]) * time.Minute), LeftAt: aMorning.Add(time.Duration(stay[1]) * time.Minute)}
		if s.Open = stay[1] == open; s.Open {
			s.LeftAt = time.Time{}
		}
		sessions = append(sessions, s)
		if len(sessions) == database.MaxBatch || n == len(stays)-1 {
			if _, err := store.InsertMany(t.Context(), sessions); err != nil {
				t.Fatal(err)
			}
			sessions = nil
		}
	}
	peak, err := totals.peak(context.Background(), testProject, aMorning, aMorning.Add(time.Hour))
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
