package lookup

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pulse-control-plane/models"
)

// backing is a database of one value, which can hang or fail.
type backing struct {
	asked atomic.Int64
	value atomic.Int64
	hangs atomic.Bool
	err   atomic.Pointer[error]
}

func (b *backing) load(ctx context.Context, _ string) (int64, error) {
	b.asked.Add(1)
	if b.hangs.Load() {
		<-ctx.Done()
		return 0, models.Unavailable(ctx.Err())
	}
	if err := b.err.Load(); err != nil {
		return 0, *err
	}
	return b.value.Load(), nil
}

func newCache(t *testing.T, b *backing) *Cache[int64] {
	t.Helper()
	c, err := New(Config[int64]{Size: 10, Now: time.Now, Load: b.load})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (b *backing) fail(err error) { b.err.Store(&err) }

func get(t *testing.T, c *Cache[int64], want int64) {
	t.Helper()
	began := time.Now()
	got, err := c.Get(t.Context(), "k")
	if err != nil || got != want {
		t.Fatalf("got %d, %v; want %d", got, err, want)
	}
	if waited := time.Since(began); waited > 0 {
		t.Fatalf("a known key waited %s", waited)
	}
}

func TestAKnownKeyNeverWaitsForADatabaseThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b backing
		c := newCache(t, &b)
		get(t, c, 0)
		b.hangs.Store(true)
		for range 100 {
			time.Sleep(freshFor / 4)
			get(t, c, 0)
		}
		synctest.Wait()
		if asked := b.asked.Load(); asked > 101 {
			t.Errorf("asked %d times", asked)
		}
		time.Sleep(LoadTimeout)
	})
}

func TestAnEntryIsRefreshedInTheBackgroundOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b backing
		c := newCache(t, &b)
		get(t, c, 0)
		b.value.Store(1)
		time.Sleep(freshFor)
		for range 5 {
			get(t, c, 0) // the refresh is under way
		}
		synctest.Wait()
		get(t, c, 1)
		if asked := b.asked.Load(); asked != 2 {
			t.Errorf("asked %d times", asked)
		}
	})
}

func TestEveryFailureButNotFoundServesTheKnownValue(t *testing.T) {
	for _, failure := range []error{models.Unavailable(errors.New("away")), models.Internal(errors.New("odd")), context.DeadlineExceeded} {
		synctest.Test(t, func(t *testing.T) {
			var b backing
			c := newCache(t, &b)
			get(t, c, 0)
			b.fail(failure)
			for range 3 {
				time.Sleep(freshFor)
				get(t, c, 0)
				synctest.Wait()
			}
		})
	}
}

func TestEntriesNoLongerFoundAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b backing
		c := newCache(t, &b)
		get(t, c, 0)
		b.fail(models.NotFound())
		time.Sleep(freshFor)
		get(t, c, 0)
		synctest.Wait()
		if _, err := c.Get(t.Context(), "k"); !models.IsKind(err, models.KindNotFound) {
			t.Errorf("got %v", err)
		}
	})
}

func TestACacheThatWaitsServesTheKnownValueIfTheReadFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b backing
		c, err := New(Config[int64]{Size: 10, Wait: 100 * time.Millisecond, Fresh: 5 * time.Second, Now: time.Now, Load: b.load})
		if err != nil {
			t.Fatal(err)
		}
		get(t, c, 0)
		b.value.Store(1)
		time.Sleep(5 * time.Second)
		get(t, c, 1)
		b.fail(models.Unavailable(errors.New("away")))
		time.Sleep(5 * time.Second)
		get(t, c, 1)
	})
}

func TestACacheThatWaitsServesTheKnownValueWhileTheDatabaseHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b backing
		c, err := New(Config[int64]{Size: 10, Wait: 100 * time.Millisecond, Fresh: 5 * time.Second, Now: time.Now, Load: b.load})
		if err != nil {
			t.Fatal(err)
		}
		get(t, c, 0)
		b.hangs.Store(true)
		b.value.Store(1)
		time.Sleep(5 * time.Second)
		began := time.Now()
		for n := range 10 {
			asked := time.Now()
			if got, err := c.Get(t.Context(), "k"); err != nil || got != 0 {
				t.Fatalf("got %d, %v", got, err)
			}
			if waited := time.Since(asked); waited > 100*time.Millisecond {
				t.Fatalf("call %d waited %s", n, waited)
			}
			get(t, c, 0) // without a wait
			time.Sleep(retryAfterOutage)
		}
		if waited := time.Since(began) - 10*retryAfterOutage; waited > time.Second {
			t.Errorf("all waited %s", waited)
		}
		b.hangs.Store(false)
		time.Sleep(LoadTimeout)
		_, _ = c.Get(t.Context(), "k")
		synctest.Wait()
		get(t, c, 1)
	})
}
