package ratelimit

import (
	"math"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

type fixedClock struct{ at time.Time }

func (c *fixedClock) now() time.Time          { return c.at }
func (c *fixedClock) advance(d time.Duration) { c.at = c.at.Add(d) }

func limiter(capacity int) (*Limiter, *fixedClock) {
	clock := &fixedClock{at: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	return New(capacity, clock.now), clock
}

func TestABurstOfTheLimitIsAllowedAndNotOneMore(t *testing.T) {
	for _, limit := range []PerMinute{1, 7, 100, 1000, 10_000} {
		l, _ := limiter(10)
		for i := range int(limit) {
			d := l.Allow("k", limit)
			if !d.Allowed || d.Limit != int(limit) || d.Remaining != int(limit)-1-i || d.RetryAfter != 0 {
				t.Fatalf("limit %d, request %d: %+v", limit, i+1, d)
			}
		}
		if d := l.Allow("k", limit); d.Allowed || d.Remaining != 0 {
			t.Fatalf("limit %d: one more was let through: %+v", limit, d)
		}
	}
}

func TestAfterABurstRequestsAreAllowedAtEvenIntervals(t *testing.T) {
	l, clock := limiter(10)
	for range 100 {
		l.Allow("k", 100)
	}
	allowed := 0
	for range 600 { // one minute in tenths of a second
		clock.advance(100 * time.Millisecond)
		if l.Allow("k", 100).Allowed {
			allowed++
		}
	}
	if allowed != 100 {
		t.Fatalf("%d requests in a minute", allowed)
	}
}

func TestRetryAfterIsExactlyWhenTheNextRequestIsAllowed(t *testing.T) {
	l, clock := limiter(10)
	for range 60 {
		l.Allow("k", 60)
	}
	clock.advance(300 * time.Millisecond)
	d := l.Allow("k", 60)
	if d.Allowed || d.RetryAfter != 700*time.Millisecond {
		t.Fatalf("got %+v", d)
	}
	clock.advance(d.RetryAfter - 1)
	if l.Allow("k", 60).Allowed {
		t.Fatal("let through early")
	}
	clock.advance(1)
	if !l.Allow("k", 60).Allowed {
		t.Fatal("refused when it was told to come back")
	}
}

func TestResetAfterIsExactlyWhenTheFullLimitIsBack(t *testing.T) {
	l, clock := limiter(10)
	var d Decision
	for range 30 {
		d = l.Allow("k", 60)
	}
	if d.ResetAfter != 30*time.Second || d.Remaining != 30 {
		t.Fatalf("got %+v", d)
	}
	clock.advance(d.ResetAfter)
	if d = l.Allow("k", 60); d.Remaining != 59 {
		t.Fatalf("got %+v", d)
	}
}

func TestIdleTimeAccumulatesNoMoreThanTheLimit(t *testing.T) {
	l, clock := limiter(10)
	l.Allow("k", 60)
	clock.advance(time.Hour)
	for range 60 {
		if !l.Allow("k", 60).Allowed {
			t.Fatal("the limit is not back")
		}
	}
	if l.Allow("k", 60).Allowed {
		t.Fatal("more than the limit was let through at once")
	}
}

func TestRefusedRequestsCostNothing(t *testing.T) {
	l, clock := limiter(10)
	for range 1000 {
		l.Allow("k", 60)
	}
	clock.advance(time.Second)
	if !l.Allow("k", 60).Allowed {
		t.Fatal("refused requests were counted")
	}
}

func TestKeysAreCountedApart(t *testing.T) {
	l, _ := limiter(10)
	l.Allow("a", 1)
	if l.Allow("a", 1).Allowed || !l.Allow("b", 1).Allowed {
		t.Fatal("keys are mixed up")
	}
}

func TestALimitOfZeroIsOff(t *testing.T) {
	l, _ := limiter(10)
	for _, limit := range []PerMinute{0, -1} {
		for range 10_000 {
			if d := l.Allow("k", limit); !d.Allowed || d.Limit != 0 {
				t.Fatalf("got %+v", d)
			}
		}
	}
	if l.accounts.Len() != 0 {
		t.Fatal("a key without a limit takes room")
	}
}

func TestAnAbsurdlyHighLimitDoesNotOverflow(t *testing.T) {
	l, _ := limiter(10)
	for range 10 {
		if d := l.Allow("k", math.MaxInt); !d.Allowed || d.Remaining < 0 || d.ResetAfter < 0 {
			t.Fatalf("got %+v", d)
		}
	}
}

func TestTheNumberOfKeysIsBounded(t *testing.T) {
	l, _ := limiter(100)
	l.Allow("used", 1)
	for i := range 10_000 {
		l.Allow(strconv.Itoa(i), 1)
		l.Allow("used", 1)
	}
	if l.accounts.Len() != 100 {
		t.Fatalf("%d keys", l.accounts.Len())
	}
	if l.Allow("used", 1).Allowed || !l.Allow("0", 1).Allowed {
		t.Fatal("not the key unused longest made room")
	}
}

func TestConcurrentRequestsGetExactlyTheLimit(t *testing.T) {
	l, _ := limiter(10)
	var allowed atomic.Int64
	var wait sync.WaitGroup
	for range 32 {
		wait.Go(func() {
			for range 100 {
				if l.Allow("k", 1000).Allowed {
					allowed.Add(1)
				}
			}
		})
	}
	wait.Wait()
	if allowed.Load() != 1000 {
		t.Fatalf("%d were let through", allowed.Load())
	}
}

func TestAKnownKeyAllocatesNothing(t *testing.T) {
	l, _ := limiter(10)
	l.Allow("k", 1000)
	if n := testing.AllocsPerRun(100, func() { l.Allow("k", 1000) }); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func BenchmarkAllow(b *testing.B) {
	l := New(100_000, time.Now)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			l.Allow("prj_01981e8a-7b2c-7def-8abc-0123456789ab", 1_000_000)
		}
	})
}

func TestPeekAnswersAsAllowWithoutCounting(t *testing.T) {
	l, clock := limiter(10)
	for left := 3; left > 0; left-- {
		for range 10 {
			if d := l.Peek("k", 3); !d.Allowed || d.Remaining != left || d.Limit != 3 {
				t.Fatalf("%d left: %+v", left, d)
			}
		}
		l.Allow("k", 3)
	}
	peeked, asked := l.Peek("k", 3), l.Allow("k", 3)
	if peeked.Allowed || peeked != asked {
		t.Fatalf("peeked %+v, asked %+v", peeked, asked)
	}
	clock.advance(20 * time.Second)
	if d := l.Peek("k", 3); !d.Allowed || d.Remaining != 1 {
		t.Fatalf("got %+v", d)
	}
	if d := l.Peek("k", 0); !d.Allowed || d.Limit != 0 {
		t.Fatalf("without a limit: %+v", d)
	}
}
