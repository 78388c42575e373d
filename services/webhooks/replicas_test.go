package webhooks

import (
	"context"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"pulse-control-plane/database/testkit"
	"pulse-control-plane/models"
)

// TestTwoReplicasShareTheWorkAndSendNoAttemptTwice runs two processes on one
// database, of which the second starts late and the first stops early. Nothing is
// sent twice, since no lease expires.
func TestTwoReplicasShareTheWorkAndSendNoAttemptTwice(t *testing.T) {
	const before, between, after = 5, 20, 5
	engine := testkit.NewEngine(t)
	one := rigOn(t, engine, testkit.NewClock(), rigOptions{holder: "one", now: time.Now})
	two := rigOn(t, engine, one.clock, rigOptions{holder: "two", now: time.Now})
	var mu sync.Mutex
	came, by := map[string]int{}, map[string]int{}
	server := newReceiver(t, func(_ http.ResponseWriter, r *http.Request, _ int) {
		mu.Lock()
		defer mu.Unlock()
		came[r.URL.Path+" "+r.Header.Get("Webhook-Id")]++
	})
	list := make([]models.Endpoint, models.MaxEndpoints)
	for i := range list {
		list[i], _ = one.endpoint(server.URL + "/" + string(rune('a'+i)))
	}
	total := func() int {
		mu.Lock()
		defer mu.Unlock()
		return len(came)
	}
	sent := 0
	send := func(r *rig, n int) {
		t.Helper()
		for range n {
			sent++
			r.event(sent, "room.started", "lobby")
		}
		r.fan()
	}
	until := func(what string, done func() bool) {
		t.Helper()
		for began := time.Now(); !done(); <-time.After(time.Millisecond) {
			if time.Since(began) > 30*time.Second {
				t.Fatalf("%s: %d of %d came", what, total(), sent*len(list))
			}
		}
	}
	run := func(r *rig) (stop func()) {
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { _ = r.worker.Run(ctx) })
		return func() { cancel(); running.Wait() }
	}
	stopOne := run(one)
	until("the first has every shard", func() bool { return len(one.worker.shares.Own()) == models.EndpointShards })
	send(one, before)
	stopTwo := run(two)
	until("the second has its half", func() bool { return len(two.worker.shares.Own()) == models.EndpointShards/2 })
	if own := len(one.worker.shares.Own()); own > models.EndpointShards/2 {
		t.Errorf("the first kept %d shards", own)
	}
	// Events are fanned out by one; the other finds what is its own.
	two.worker.passes[1].Wake()
	send(one, between)
	wake := func() { one.worker.passes[1].Wake(); two.worker.passes[1].Wake() }
	until("both work", func() bool { wake(); return total() == sent*len(list) })
	for _, r := range []*rig{one, two} {
		by[r.worker.c.Site.Owner] = int(testutil.ToFloat64(r.worker.metrics.attempts.WithLabelValues("delivered")))
	}
	if by["one"] == 0 || by["two"] == 0 {
		t.Errorf("attempts by process: %v", by)
	}
	send(one, after)
	stopOne()
	until("the second does the rest", func() bool { wake(); return total() == sent*len(list) })
	stopTwo()
	for what, n := range came {
		if n != 1 {
			t.Errorf("%s was sent %d times", what, n)
		}
	}
	t.Logf("attempts by process: %v, %d deliveries in all", by, total())
}
