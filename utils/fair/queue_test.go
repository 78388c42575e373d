package fair_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pulse-control-plane/utils/fair"
)

const (
	turn = 250 * time.Millisecond // what bcrypt takes at cost 12
	wait = 3 * time.Second
)

func queue() *fair.Queue { return fair.New(fair.Config{Slots: 2, Wait: wait, PerShare: 16, Most: 512}) }

// work enters, works for one turn, and tells how long it all took.
func work(ctx context.Context, q *fair.Queue, share string) (took time.Duration, err error) {
	began := time.Now()
	leave, err := q.Enter(ctx, share)
	if err != nil {
		return time.Since(began), err
	}
	defer leave()
	<-time.After(turn)
	return time.Since(began), nil
}

func TestNineOfTenHonestSharesAreDoneWithinASecondBeside60HostileOnes(t *testing.T) {
	for name, address := range map[string]func(int) string{
		"from one address":     func(int) string { return "hostile" },
		"from an address each": func(n int) string { return fmt.Sprint("hostile ", n) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				q := queue()
				ctx, cancel := context.WithCancel(t.Context())
				var all sync.WaitGroup
				var hostile atomic.Int64
				for n := range 60 {
					all.Go(func() {
						for ctx.Err() == nil {
							if _, err := work(ctx, q, address(n)); err == nil {
								hostile.Add(1)
							} else {
								<-time.After(10 * time.Millisecond)
							}
						}
					})
				}
				<-time.After(10 * time.Second)
				soon := 0
				for n := range 40 {
					took, err := work(t.Context(), q, fmt.Sprint("honest ", n))
					if err == nil && took <= time.Second {
						soon++
					}
					<-time.After(500 * time.Millisecond)
				}
				cancel()
				all.Wait()
				if soon < 36 {
					t.Errorf("%d of 40 were done within a second", soon)
				}
				if hostile.Load() == 0 {
					t.Error("the hostile ones got no turn: they are not to be starved")
				}
			})
		})
	}
}

func TestOneShareLeavesASlotForTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := fair.New(fair.Config{Slots: 3, Wait: wait, PerShare: 16, Most: 512})
		var done atomic.Int64
		for range 10 {
			go func() {
				if _, err := work(t.Context(), q, "greedy"); err == nil {
					done.Add(1)
				}
			}()
		}
		synctest.Wait()
		if took, err := work(t.Context(), q, "another"); err != nil || took != turn {
			t.Errorf("%v after %v", err, took)
		}
		<-time.After(10 * turn)
		if done.Load() != 10 {
			t.Errorf("%d of 10 were done", done.Load())
		}
	})
}

func TestEqualTurnsGoFirstToTheShareThatWaitedLongest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := fair.New(fair.Config{Slots: 1, Wait: time.Minute, PerShare: 16, Most: 512})
		if _, err := work(t.Context(), q, "known"); err != nil {
			t.Fatal(err)
		}
		for range 5 { // so that the known share starts at the present again
			if _, err := work(t.Context(), q, "clock"); err != nil {
				t.Fatal(err)
			}
		}
		leave, err := q.Enter(t.Context(), "clock")
		if err != nil {
			t.Fatal(err)
		}
		order := make(chan string, 2)
		for _, share := range []string{"new", "known"} { // the known one last
			go func() {
				leave, err := q.Enter(t.Context(), share)
				if err == nil {
					order <- share
					leave()
				}
			}()
			synctest.Wait()
		}
		leave()
		if first := <-order; first != "new" {
			t.Errorf("%s was first", first)
		}
		<-order
	})
}

func TestSharesTakeTurnsWhateverTheyAskedBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := fair.New(fair.Config{Slots: 1, Wait: time.Minute, PerShare: 16, Most: 512})
		leave, err := q.Enter(t.Context(), "a")
		if err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var order string
		ask := func(share string) {
			go func() {
				leave, err := q.Enter(t.Context(), share)
				if err != nil {
					return
				}
				mu.Lock()
				order += share
				mu.Unlock()
				leave()
			}()
			synctest.Wait()
		}
		for _, share := range []string{"a", "a", "a", "b", "b", "c"} {
			ask(share)
		}
		leave()
		synctest.Wait()
		if order != "cbbaaa" {
			t.Errorf("the order was %s", order)
		}
	})
}

func TestNothingWaitsLongerThanItMayAndItsSlotIsNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := queue()
		var leaves []func()
		for n := range 2 {
			leave, err := q.Enter(t.Context(), fmt.Sprint("a", n))
			if err != nil {
				t.Fatal(err)
			}
			leaves = append(leaves, leave)
		}
		if took, err := work(t.Context(), q, "b"); !errors.Is(err, fair.ErrBusy) || took != wait {
			t.Errorf("%v after %v", err, took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if took, err := work(ctx, q, "b"); !errors.Is(err, context.DeadlineExceeded) || took != time.Second {
			t.Errorf("%v after %v", err, took)
		}
		for _, leave := range leaves {
			leave()
		}
		for range 3 {
			if took, err := work(t.Context(), q, "b"); err != nil || took != turn {
				t.Errorf("%v after %v", err, took)
			}
		}
	})
}

func TestAShareAndAllTogetherWaitInBoundedNumber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := fair.New(fair.Config{Slots: 1, Wait: time.Hour, PerShare: 3, Most: 10})
		leave, err := q.Enter(t.Context(), "first")
		if err != nil {
			t.Fatal(err)
		}
		var busy, done atomic.Int64
		for n := range 100 {
			go func() {
				if _, err := work(t.Context(), q, fmt.Sprint(n%20)); errors.Is(err, fair.ErrBusy) {
					busy.Add(1)
				} else {
					done.Add(1)
				}
			}()
			synctest.Wait()
		}
		if busy.Load() != 90 {
			t.Errorf("%d of 100 were refused at once", busy.Load())
		}
		leave()
		<-time.After(time.Minute)
		synctest.Wait()
		if done.Load() != 10 {
			t.Errorf("%d were done", done.Load())
		}
		for range 10 {
			go func() {
				if _, err := work(t.Context(), q, "one"); errors.Is(err, fair.ErrBusy) {
					busy.Add(1)
				}
			}()
		}
		synctest.Wait()
		if busy.Load() != 90+10-1-3 {
			t.Errorf("%d of one share were refused", busy.Load()-90)
		}
		<-time.After(time.Minute)
	})
}

func TestManyAtOnceNeverRunMoreThanThereAreSlots(t *testing.T) {
	q := fair.New(fair.Config{Slots: 3, Wait: time.Minute, PerShare: 1000, Most: 10_000})
	var running, most, done atomic.Int64
	var all sync.WaitGroup
	for n := range 500 {
		all.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			if n%5 == 0 {
				go cancel()
			}
			defer cancel()
			leave, err := q.Enter(ctx, fmt.Sprint(n%17))
			if err != nil {
				return
			}
			if now := running.Add(1); now > most.Load() {
				most.Store(now)
			}
			done.Add(1)
			running.Add(-1)
			leave()
		})
	}
	all.Wait()
	if most.Load() > 3 || done.Load() < 400 {
		t.Fatalf("%d ran at a time, %d were done", most.Load(), done.Load())
	}
	for n := range 3 {
		if _, err := q.Enter(t.Context(), fmt.Sprint("after", n)); err != nil {
			t.Fatal(err)
		}
	}
}
