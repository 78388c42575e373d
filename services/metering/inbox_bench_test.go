package metering

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pulse-control-plane/database/testkit"
	"pulse-control-plane/services/usage"
	"pulse-control-plane/utils/worker"
)

// BenchmarkEvents receives events as LiveKit sends them, 32 at a time, while the
// worker processes them. It reports events a second from the first request to the
// last processed event, and the latency of a response.
func BenchmarkEvents(b *testing.B) {
	r := newRig(b)
	clock := func() time.Time { return time.Now().UTC() }
	r.inbox.now, r.metering.now = clock, clock
	totals := testkit.Must[*usage.Totals](b)(usage.NewTotals(usage.TotalsConfig{Totals: r.stored, Facts: r.facts, Sessions: r.sessions, Now: clock}))
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	w := r.worker("bench")
	running.Go(func() { _ = w.Run(ctx) })
	settling := testkit.Must[*worker.Worker](b)(worker.New(worker.Config{
		Name: "totals", Pass: worker.Simple(totals.Settle), Every: time.Second, Deadline: time.Minute}, worker.Options{Rest: 4}))
	running.Go(func() { _ = settling.Run(ctx) })
	bodies, tokens := make([][]byte, b.N), make([]string, b.N)
	now := time.Now()
	for n := range bodies {
		kind, person := "participant_joined", n/2
		if n%2 == 1 {
			kind = "participant_left"
		}
		bodies[n] = fmt.Appendf(nil, `{"event":%q,"id":"EV_%d","createdAt":"%d","room":{"sid":"RM_%d","name":"%s_room-%d",
			"creationTimeMs":"%d","turnPassword":"x","enabledCodecs":[{"mime":"audio/PCMU"},{"mime":"audio/PCMA"},{"mime":"audio/opus"},
			{"mime":"video/VP8"},{"mime":"video/H264"},{"mime":"video/VP9"},{"mime":"video/AV1"}]},
			"participant":{"sid":"PA_%d","identity":"somebody-%d","state":"ACTIVE","joinedAt":"%d","joinedAtMs":"%d","version":2,
			"permission":{"canSubscribe":true,"canPublish":true,"canPublishData":true}}}`,
			kind, n, now.Unix(), person/20, testProject, person/20, now.UnixMilli(), person, person, now.Unix()-60, now.UnixMilli()-60_000)
		tokens[n] = signed(b, testCluster(), bodies[n])
	}
	took := make([]time.Duration, b.N)
	var next atomic.Int64
	b.ResetTimer()
	var senders sync.WaitGroup
	for range 32 {
		senders.Go(func() {
			for {
				n := int(next.Add(1)) - 1
				if n >= b.N {
					return
				}
				began := time.Now()
				if err := r.inbox.Receive(ctx, tokens[n], bytes.NewReader(bodies[n])); err != nil {
					b.Error(err)
					return
				}
				took[n] = time.Since(began)
			}
		})
	}
	senders.Wait()
	for {
		pending, err := r.inbox.Backlog(ctx)
		if err != nil {
			b.Fatal(err)
		}
		if pending == 0 {
			break
		}
		<-time.After(time.Millisecond)
	}
	b.StopTimer()
	cancel()
	running.Wait()
	slices.Sort(took)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(took[b.N*99/100].Microseconds())/1000, "p99-ms")
}
