package replicas_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pulse-control-plane/e2e/harness"
)

const (
	// mintedFor is how long exchanges are counted before and while the database hangs.
	mintedFor = 3 * time.Second
	// asFast is the share of the throughput that stays.
	asFast = 0.9
)

func TestKnownKeysAreServedAsFastWhileTheDatabaseHangs(t *testing.T) {
	f := startFleet(t, 0)
	r := f.replicas[0]
	project := f.project(t, f.account(t, "acme"), "acme")
	minted := func() float64 {
		t.Helper()
		var done atomic.Int64
		var all sync.WaitGroup
		began := time.Now()
		for range 4 {
			all.Go(func() {
				for time.Since(began) < mintedFor {
					if _, err := r.api.CreateToken(t.Context(), harness.AsServer(project), harness.TokenRequest{RoomName: "hall", ParticipantIdentity: "ann"}); err != nil {
						t.Error(err)
						return
					}
					done.Add(1)
				}
			})
		}
		all.Wait()
		return float64(done.Load()) / time.Since(began).Seconds()
	}
	minted() // it knows the pair
	before := minted()
	r.line.Freeze(true)
	defer r.line.Freeze(false)
	during := minted()
	t.Logf("%.0f exchanges a second before, %.0f while the database hangs", before, during)
	least := asFast
	if !soaking() {
		least /= 3 // the generator has the machine to share with others
	}
	if during < least*before {
		t.Errorf("%.2f of the throughput is left", during/before)
	}
}
