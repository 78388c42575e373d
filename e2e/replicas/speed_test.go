package replicas_test

import (
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pulse-control-plane/e2e/harness"
)

const (
	// databaseLatency delays every answer of the database while events are counted.
	databaseLatency = 10 * time.Millisecond
	// eventsASecond is what one replica works on at that latency, and twoReplicas how much more two do.
	eventsASecond, twoReplicas = 1000, 1.8
)

// worked is how many events a second some replicas take in and work on.
func worked(t *testing.T, clocks ...time.Duration) float64 {
	t.Helper()
	const people = 3000
	f := startFleet(t, clocks...)
	account := f.account(t, "acme")
	project := f.project(t, account, "acme")
	hour := hourOfEvents()
	time.Sleep(5 * time.Second) // shards are shared
	for _, r := range f.replicas {
		r.line.Latency(databaseLatency)
	}
	began := time.Now()
	var next atomic.Int64
	var senders sync.WaitGroup
	for n := range 64 {
		senders.Go(func() {
			r := f.replicas[n%len(f.replicas)]
			for n := next.Add(1) - 1; n < 2*people; n = next.Add(1) - 1 {
				kind := [2]string{"participant_joined", "participant_left"}[n/people]
				if err := r.deliver(t.Context(), event(project.ID(), hour, kind, int(n)%people)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	senders.Wait()
	path := "/v1/usage?start=" + hour.Format(time.RFC3339) + "&end=" + hour.Add(time.Hour).Format(time.RFC3339)
	harness.Eventually(t, time.Minute, "the whole usage", func() error {
		var report struct {
			Totals struct {
				ParticipantSeconds float64 `json:"participant_seconds"`
			} `json:"totals"`
		}
		err := f.replicas[0].api.Do(t.Context(), http.MethodGet, path, harness.AsServer(project), nil, &report)
		if got, want := report.Totals.ParticipantSeconds, people*inRoom.Seconds(); err == nil && got != want {
			err = fmt.Errorf("%g of %g seconds", got, want)
		}
		return err
	})
	return 2 * people / time.Since(began).Seconds()
}

// TestTwoReplicasWorkOnNearlyTwiceAsManyEvents needs cores that are not the bottleneck: it runs when soaking.
func TestTwoReplicasWorkOnNearlyTwiceAsManyEvents(t *testing.T) {
	if !soaking() {
		t.Skip("PULSE_SOAK is not set: throughput of a machine that others use says nothing")
	}
	one := worked(t, 0)
	two := worked(t, 0, 0)
	t.Logf("at %s of database latency: one replica %.0f events a second, two %.0f, %.2f times as many", databaseLatency, one, two, two/one)
	if one < eventsASecond {
		t.Errorf("one replica works on %.0f events a second, want %d", one, eventsASecond)
	}
	if two < twoReplicas*one {
		t.Errorf("two replicas work on %.2f times as many events as one, want %g", two/one, twoReplicas)
	}
}
