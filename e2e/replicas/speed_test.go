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
	// eventsASecond is what one replica works on at that latency, and twoReplicas how many times as many two do on a machine
	// that nobody else uses; surely is what they do on any.
	eventsASecond, twoReplicas, surely = 1000, 1.8, 1.4
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

// load is what some replicas are asked to work on.
type load struct {
	// people join and leave, with an event each.
	people int
	// senders is how many events are delivered to one replica at a time.
	senders int
	// cores is the CPU time that a replica gets; 0 is all there is.
	cores float64
}

// worked is how many events a second some replicas take in and work on, and the share of the machine's cores that was
// busy meanwhile.
func (l load) worked(t *testing.T, replicas int) (perSecond, share float64) {
	t.Helper()
	people := l.people
	f := startFleet(t, make([]time.Duration, replicas)...)
	account := f.account(t, "acme")
	project := f.project(t, account, "acme")
	hour := hourOfEvents()
	time.Sleep(5 * time.Second) // shards are shared
	for _, r := range f.replicas {
		r.line.Latency(databaseLatency)
		if l.cores == 0 {
			continue
		}
		if err := limitCPU(t, r.Pid(), l.cores); err != nil {
			t.Skipf("this machine cannot limit the CPU time of a process: %v", err)
		}
	}
	began := time.Now()
	busyBefore, allBefore := busy(t)
	var next atomic.Int64
	var senders sync.WaitGroup
	for n := range l.senders * replicas {
		senders.Go(func() {
			r := f.replicas[n%len(f.replicas)]
			for n := next.Add(1) - 1; n < 2*int64(people); n = next.Add(1) - 1 {
				kind := [2]string{"participant_joined", "participant_left"}[n/int64(people)]
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
		if got, want := report.Totals.ParticipantSeconds, float64(people)*inRoom.Seconds(); err == nil && got != want {
			err = fmt.Errorf("%g of %g seconds", got, want)
		}
		return err
	})
	busyAfter, allAfter := busy(t)
	return 2 * float64(people) / time.Since(began).Seconds(), (busyAfter - busyBefore) / (allAfter - allBefore)
}

func TestOneReplicaWorksOnAThousandEventsASecondOfASlowDatabase(t *testing.T) {
	if !soaking() {
		t.Skip("PULSE_SOAK is not set: throughput of a machine that others use says nothing")
	}
	perSecond, share := load{people: 3000, senders: 64}.worked(t, 1)
	t.Logf("at %s of database latency one replica works on %.0f events a second with %.0f %% of the cores busy", databaseLatency, perSecond, 100*share)
	if perSecond < eventsASecond {
		t.Errorf("one replica works on %.0f events a second, want %d", perSecond, eventsASecond)
	}
}

// The generator, the database and both replicas share the machine's cores. So that a second replica adds CPU time as a
// machine of its own would, each gets a fixed part of a core.
func TestTwoReplicasWorkOnNearlyTwiceAsManyEventsOfASlowDatabase(t *testing.T) {
	l := load{people: 500, senders: 64, cores: 0.1}
	one, shareOfOne := l.worked(t, 1)
	l.people *= 2
	two, shareOfTwo := l.worked(t, 2)
	t.Logf("at %s of database latency and with %.2g cores each: one replica %.0f events a second with %.0f %% of the machine's cores busy, two %.0f with %.0f %%, %.2f times as many",
		databaseLatency, l.cores, one, 100*shareOfOne, two, 100*shareOfTwo, two/one)
	if shareOfTwo > saturated {
		t.Skipf("%d cores have no room for a second replica beside the generator and the database", runtime.NumCPU())
	}
	want := surely
	if soaking() {
		want = twoReplicas
	}
	if two < want*one {
		t.Errorf("two replicas work on %.2f times as many events as one, want %g", two/one, want)
	}
}
