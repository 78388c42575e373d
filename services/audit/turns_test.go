package audit

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"time"
)

func TestAChangeNeverWaitsForOneOfAnotherObject(t *testing.T) {
	all := turns{of: map[string]*turn{}}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var leave []func()
	for n := range 1000 {
		one, err := all.take(ctx, strconv.Itoa(n))
		if err != nil {
			t.Fatalf("object %d: %v", n, err)
		}
		leave = append(leave, one)
	}
	for _, one := range leave {
		one()
	}
	if len(all.of) != 0 {
		t.Errorf("%d objects are kept that nobody changes", len(all.of))
	}
}

func TestChangesOfAnObjectComeOneAfterTheOtherAndLeaveNothing(t *testing.T) {
	all := turns{of: map[string]*turn{}}
	changing, changes := 0, 0 // guarded by the turn: the race detector checks it
	var waiting sync.WaitGroup
	for n := range 100 {
		waiting.Go(func() {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if n%4 == 0 {
				cancel() // gets its turn, or gives up
			}
			leave, err := all.take(ctx, "prj_1")
			if err != nil {
				if n%4 != 0 {
					t.Error(err)
				}
				return
			}
			defer leave()
			if changing++; changing != 1 {
				t.Errorf("%d changes at once", changing)
			}
			changes++
			changing--
		})
	}
	waiting.Wait()
	if changes < 75 || len(all.of) != 0 {
		t.Errorf("%d changes were made, %d objects are kept", changes, len(all.of))
	}
}
