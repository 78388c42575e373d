package worker

import (
	"context"
	"testing"
	"time"
)

func TestAMarkDuringWhichItBecomesQuietWakesTheWorkers(t *testing.T) {
	a := NewActivity(10 * time.Second)
	// Active when Mark first looks, quiet for a worker that looks a moment later.
	times := []time.Duration{10*time.Second - 1, 10*time.Second + 1}
	a.since = func() time.Duration {
		now := times[0]
		times = times[1:]
		return now
	}
	w, err := New(Config{Name: "seeker", Every: time.Second, Deadline: time.Second,
		Pass: func(context.Context) (int, error) { return 0, nil }}, Options{Activity: a})
	if err != nil {
		t.Fatal(err)
	}
	a.Mark()
	if len(w.woken) != 1 {
		t.Error("a worker that found it quiet meanwhile pauses on")
	}
}
