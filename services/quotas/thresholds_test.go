package quotas

import (
	"context"
	"testing"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/rs/zerolog"

	"pulse-control-plane/database"
	"pulse-control-plane/database/testkit"
	"pulse-control-plane/models"
)

// TestAThresholdThatIsListedHasItsEventWhereverTheProcessDies fails telling, then kills
// the process between telling and storing, then starts another.
func TestAThresholdThatIsListedHasItsEventWhereverTheProcessDies(t *testing.T) {
	engine, clock := testkit.NewEngine(t), testkit.NewClock()
	stored := database.NewQuotaEvents(engine)
	told := map[string]int{}
	var away error
	process := func() *Limits {
		return &Limits{told: testkit.Must[*lru.Cache[string, struct{}]](t)(lru.New[string, struct{}](10)), c: Config{Events: stored, Log: zerolog.Nop(), Now: clock.Now,
			Told: func(_ context.Context, e *models.QuotaEvent) error {
				if away == nil {
					told[e.EventID+" "+e.Type()]++
				}
				return away
			}}}
	}
	reach := func(l *Limits) { l.tell(t.Context(), string(testkit.Project), models.QuotaRooms, 5, 5, clock.Now()) }
	listed := func() int64 {
		n, err := engine.Count(t.Context(), "quota_events", nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	first := process()
	away = testkit.ErrKilled
	reach(first)
	if n := listed(); n != 0 {
		t.Errorf("%d thresholds are listed that nobody was told of", n)
	}
	away, engine.Fatal = nil, engine.Writes.Load()+1
	reach(first) // told, and dies
	engine.Fatal = 0
	next := process()
	reach(next)
	reach(next)
	if n := listed(); n != 2 || len(told) != 2 {
		t.Errorf("%d are listed, told of %v", n, told)
	}
	for what, n := range told {
		if n > 2 {
			t.Errorf("%s was told %d times", what, n)
		}
	}
	clock.Advance(time.Minute)
	reach(process()) // told again, as the same event
	if len(told) != 2 {
		t.Errorf("told of %v", told)
	}
}
