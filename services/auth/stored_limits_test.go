package auth

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database"
	"pulse-control-plane/database/testkit"
	"pulse-control-plane/models"
	"pulse-control-plane/utils/ratelimit"
)

// replicas are two processes that count in one database.
func replicas(t *testing.T) (list [2]*StoredLimits, engine database.Engine, clock *testkit.Clock) {
	engine, clock = testkit.NewEngine(t), testkit.NewClock()
	for i := range list {
		list[i] = NewStoredLimits(database.NewThrottles(engine), clock.Now, ratelimit.New(100, clock.Now))
	}
	return list, engine, clock
}

func TestReplicasShareTheThrottleOfLoginsThroughTheDatabase(t *testing.T) {
	list, _, clock := replicas(t)
	var throttles [2]*loginThrottle
	for i := range list {
		throttles[i] = testkit.Must[*loginThrottle](t)(newLoginThrottle(list[i], 100))
	}
	for i := range freeAccountFailures + 1 {
		if got := wait(t, throttles[i%2], "a", fmt.Sprint("192.0.2.", i)); got != 0 {
			t.Fatalf("failure %d waits %s", i, got)
		}
	}
	for i, want := 0, time.Second; i < 12; i, want = i+1, min(2*want, longestDelay) {
		ip := fmt.Sprint("198.51.100.", i)
		if here, there := wait(t, throttles[0], "a", ip), wait(t, throttles[1], "a", ip); here != want || there != want {
			t.Fatalf("wait %d is %s here and %s there, want %s", i, here, there, want)
		}
		clock.Advance(want)
		if got := wait(t, throttles[i%2], "a", ip); got != 0 {
			t.Fatalf("after waiting, %s more", got)
		}
	}
	clock.Advance(longestDelay)
	attempt, err := throttles[0].begin(t.Context(), "a", anIP, "")
	if err != nil {
		t.Fatal(err)
	}
	attempt.succeed(t.Context())
	if got := wait(t, throttles[1], "a", "192.0.2.200"); got != 0 {
		t.Errorf("after a success elsewhere it waits %s", got)
	}
}

func TestConcurrentGuessesAtSeveralReplicasGainNothing(t *testing.T) {
	list, engine, _ := replicas(t)
	for _, one := range list {
		one.timeout = time.Minute // beyond it each replica counts for itself
	}
	var all sync.WaitGroup
	var logins, secrets atomic.Int64
	for i := range 200 {
		all.Go(func() {
			if wait, err := list[i%2].Count(t.Context(), []ratelimit.Count{{Name: "a", Free: freeAccountFailures}}); err == nil && wait == 0 {
				logins.Add(1)
			}
			if list[i%2].Allow(t.Context(), "key", secretChecksPerMinute).Allowed {
				secrets.Add(1)
			}
		})
	}
	all.Wait()
	// One that conflicts too often is refused, so fewer may pass and never more.
	if n := logins.Load(); n > freeAccountFailures+1 || n == 0 {
		t.Errorf("%d logins passed", n)
	}
	if n := secrets.Load(); n > secretChecksPerMinute || n == 0 {
		t.Errorf("%d guesses of a secret passed", n)
	}
	stored := 0
	if err := engine.Find(t.Context(), "throttles", database.Query{Limit: 10}, func(bson.Raw) error { stored++; return nil }); err != nil || stored != 2 {
		t.Errorf("%d documents, %v", stored, err)
	}
}

func TestGuessesOfASecretAreCountedHereWhileTheDatabaseIsAway(t *testing.T) {
	clock := testkit.NewClock()
	away := NewStoredLimits(database.NewThrottles(awayEngine{}), clock.Now, ratelimit.New(100, clock.Now))
	allowed := 0
	for range 3 * secretChecksPerMinute {
		if away.Allow(t.Context(), "key", secretChecksPerMinute).Allowed {
			allowed++
		}
	}
	if allowed != secretChecksPerMinute {
		t.Errorf("%d passed", allowed)
	}
}

// awayEngine answers nothing.
type awayEngine struct{ database.Engine }

func (awayEngine) Find(context.Context, string, database.Query, func(bson.Raw) error) error {
	return models.Unavailable(errors.New("away"))
}

func TestGuessesGivenBackAfterTheirLimitWasRefilledAllowNoOther(t *testing.T) {
	list, _, clock := replicas(t)
	var all []ratelimit.Decision
	for range 5 {
		all = append(all, list[0].Allow(t.Context(), "key", secretChecksPerMinute))
	}
	for _, d := range all[:4] {
		list[1].GiveBack(t.Context(), "key", d)
	}
	clock.Advance(time.Minute/secretChecksPerMinute + 100*time.Millisecond)
	allowed := 0
	guess := func() bool {
		d := list[0].Allow(t.Context(), "key", secretChecksPerMinute)
		if d.Allowed {
			allowed++
		}
		return d.Allowed
	}
	guess()
	guess()
	list[1].GiveBack(t.Context(), "key", all[4])
	for guess() {
	}
	if allowed != secretChecksPerMinute {
		t.Errorf("%d guesses at once", allowed)
	}
}

func TestAGuessIsGivenBackWhereItWasCounted(t *testing.T) {
	list, engine, clock := replicas(t)
	for i := range 3 * secretChecksPerMinute {
		d := list[i%2].Allow(t.Context(), "key", secretChecksPerMinute)
		if !d.Allowed || d.Fallback {
			t.Fatalf("attempt %d: %+v", i, d)
		}
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		list[(i+1)%2].GiveBack(gone, "key", d)
	}
	stored := list[0].Allow(t.Context(), "key", 2)
	away := NewStoredLimits(database.NewThrottles(awayEngine{}), clock.Now, ratelimit.New(100, clock.Now))
	here := away.Allow(t.Context(), "key", 2)
	if !here.Allowed || !here.Fallback {
		t.Fatalf("while the database is away: %+v", here)
	}
	away.GiveBack(t.Context(), "key", stored) // nothing happens
	if d := away.local.Peek("key", 2); d.Remaining != 1 {
		t.Errorf("what the database counted was given back here: %+v", d)
	}
	away.GiveBack(t.Context(), "key", here)
	if d := away.local.Peek("key", 2); d.Remaining != 2 {
		t.Errorf("still counted here: %+v", d)
	}
	list[0].GiveBack(t.Context(), "nobody", ratelimit.Decision{Allowed: true, Limit: 2})
	list[0].GiveBack(t.Context(), "nobody", ratelimit.Decision{Limit: 2})
	written := 0
	if err := engine.Find(t.Context(), "throttles", database.Query{Limit: 10}, func(bson.Raw) error { written++; return nil }); err != nil || written != 1 {
		t.Errorf("%d documents, %v", written, err)
	}
}

// contested is a database in which others change every tally first, until the time of
// the one who asks ends.
type contested struct {
	database.Engine
	updates int
}

func (c *contested) Update(ctx context.Context, _ string, _, _ bson.D, _ database.UpdateOptions) (int64, error) {
	if c.updates++; c.updates%2 == 1 {
		return 0, nil
	}
	<-ctx.Done()
	return 0, models.Unavailable(ctx.Err())
}

func TestGuessesThatConflictUntilTheirTimeEndsGetNoAllowanceOfTheReplica(t *testing.T) {
	list, engine, clock := replicas(t)
	list[0].Allow(t.Context(), "key", secretChecksPerMinute)
	busy := NewStoredLimits(database.NewThrottles(&contested{Engine: engine}), clock.Now, ratelimit.New(100, clock.Now))
	busy.timeout = 500 * time.Millisecond
	for range 3 {
		if d := busy.Allow(t.Context(), "key", secretChecksPerMinute); d.Allowed || d.Fallback || d.RetryAfter != conflictWait {
			t.Fatalf("%+v", d)
		}
	}
}
