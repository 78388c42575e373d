package worker_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pulse-control-plane/utils/worker"
)

func TestWorkersLookForWorkLessOftenWhileNothingHappensAndAtOnceWhenSomethingDoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		activity := worker.NewActivity(10 * time.Second)
		var passes, works atomic.Int64
		w, err := worker.New(worker.Config{Name: "seeker", Every: time.Second, Deadline: time.Second, Pass: func(context.Context) (int, error) {
			passes.Add(1)
			if works.Load() > 0 {
				works.Add(-1)
				return 1, nil
			}
			return 0, nil
		}}, worker.Options{Activity: activity, Quiet: 30 * time.Second, Jitter: -1})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- w.Run(ctx) }()
		during := func(d time.Duration) int64 {
			before := passes.Load()
			time.Sleep(d)
			synctest.Wait()
			return passes.Load() - before
		}
		if n := during(9500 * time.Millisecond); n != 10 {
			t.Errorf("%d passes in the first ten seconds", n)
		}
		during(time.Minute)
		if n := during(5 * time.Minute); n != 10 {
			t.Errorf("%d passes in five quiet minutes", n)
		}
		activity.Mark()
		synctest.Wait()
		if n := during(9500 * time.Millisecond); n < 9 {
			t.Errorf("%d passes in the ten seconds after something happened", n)
		}
		during(time.Minute)
		works.Store(1) // found by a pass in a quiet time
		if n := during(40 * time.Second); n < 10 {
			t.Errorf("%d passes in the time in which work was found: it is no activity", n)
		}
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
