package replicas_test

import (
	"fmt"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
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
	// saturated is the share of busy cores at which two replicas can do no more than one.
	saturated = 0.85
)

// busy is how long the machine's cores have worked, and how long they have existed, in ticks (proc(5), "cpu").
func busy(t *testing.T) (worked, all float64) {
	t.Helper()
	text, err := os.ReadFile("/proc/stat")
	if err != nil {
		t.Fatal(err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	for i, field := range strings.Fields(line)[1:9] { // user nice system idle iowait irq softirq steal
		n, err := strconv.ParseFloat(field, 64)
		if err != nil {
			t.Fatal(err)
		}
		all += n
		if i != 3 && i != 4 {
			worked += n
		}
	}
	return worked, all
}

// worked is how many events a second some replicas take in and work on, and the share of the machine's cores that was
// busy meanwhile.
func worked(t *testing.T, clocks ...time.Duration) (perSecond, share float64) {
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
	busyBefore, allBefore := busy(t)
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
	busyAfter, allAfter := busy(t)
	return 2 * people / time.Since(began).Seconds(), (busyAfter - busyBefore) / (allAfter - allBefore)
}

// TestTwoReplicasWorkOnNearlyTwiceAsManyEvents needs cores that are not the bottleneck: it runs when soaking.
func TestTwoReplicasWorkOnNearlyTwiceAsManyEvents(t *testing.T) {
	if !soaking() {
		t.Skip("PULSE_SOAK is not set: throughput of a machine that others use says nothing")
	}
	one, shareOfOne := worked(t, 0)
	two, shareOfTwo := worked(t, 0, 0)
	t.Logf("at %s of database latency: one replica %.0f events a second with %.0f %% of the cores busy, two %.0f with %.0f %%, %.2f times as many",
		databaseLatency, one, 100*shareOfOne, two, 100*shareOfTwo, two/one)
	if one < eventsASecond {
		t.Errorf("one replica works on %.0f events a second, want %d", one, eventsASecond)
	}
	if shareOfTwo > saturated {
		t.Skipf("%d cores have no room for a second replica beside the generator and the database", runtime.NumCPU())
	}
	if two < twoReplicas*one {
		t.Errorf("two replicas work on %.2f times as many events as one, want %g", two/one, twoReplicas)
	}
}
