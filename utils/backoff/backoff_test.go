package backoff_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"pulse-control-plane/utils/backoff"
)

// almostOne is the largest number a random source gives.
func almostOne() float64 { return math.Nextafter(1, 0) }

func TestCeilingsDoubleUpToTheCap(t *testing.T) {
	b := backoff.New(100*time.Millisecond, time.Second, almostOne)
	for _, want := range []time.Duration{100, 200, 400, 800, 1000, 1000, 1000} {
		if got := b.Next(); got.Round(time.Millisecond) != want*time.Millisecond || got > want*time.Millisecond {
			t.Fatalf("got %v, want just below %v", got, want*time.Millisecond)
		}
	}
	b.Reset()
	if got := b.Next(); got > 100*time.Millisecond {
		t.Fatalf("after a success: %v", got)
	}
}

func TestAWaitLiesAnywhereBetweenZeroAndItsCeiling(t *testing.T) {
	for _, share := range []float64{0, 0.25, 0.5} {
		b := backoff.New(time.Second, time.Minute, func() float64 { return share })
		if got, want := b.Next(), time.Duration(share*float64(time.Second)); got != want {
			t.Errorf("share %v: got %v, want %v", share, got, want)
		}
	}
}

func TestNoCapIsEverExceeded(t *testing.T) {
	for _, most := range []time.Duration{1, time.Second, math.MaxInt64} {
		b := backoff.New(time.Hour, most, almostOne)
		for range 200 {
			if got := b.Next(); got < 0 || got > most {
				t.Fatalf("cap %v: got %v", most, got)
			}
		}
	}
}

func TestAWaitTakesItsTimeAndEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := backoff.New(time.Second, time.Minute, func() float64 { return 0.5 })
		begin := time.Now()
		if err := b.Wait(t.Context()); err != nil || time.Since(begin) != 500*time.Millisecond {
			t.Errorf("got %v after %v", err, time.Since(begin))
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		begin = time.Now()
		if err := b.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != time.Millisecond {
			t.Errorf("got %v after %v", err, time.Since(begin))
		}
	})
}
