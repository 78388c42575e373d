package metering

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database"
	"pulse-control-plane/database/testkit"
	"pulse-control-plane/models"
	"pulse-control-plane/services/shards"
	"pulse-control-plane/utils/worker"
)

// process is one of several that share a database and its inbox, with a clock of
// its own.
type process struct {
	*InboxWorker
	inbox *Inbox
	seen  *stubborn
	ahead time.Duration
	now   *time.Time
}

func newProcess(t testing.TB, e database.Engine, name string, now *time.Time, ahead time.Duration) *process {
	t.Helper()
	return newProcessWith(t, e, name, now, ahead, nil)
}

// newProcessWith has leases last by the process's own clock.
func newProcessWith(t testing.TB, e database.Engine, name string, now *time.Time, ahead time.Duration, own func() time.Time) *process {
	t.Helper()
	p := &process{seen: &stubborn{}, ahead: ahead, now: now}
	clock := func() time.Time { return p.now.Add(p.ahead) }
	p.inbox = testkit.Must[*Inbox](t)(NewInbox(InboxConfig{Events: database.NewLiveKitEvents(e), Sequences: database.NewSequences(e),
		Clusters: testClusters(t), Now: clock}))
	p.InboxWorker = testkit.Must[*InboxWorker](t)(NewInboxWorker(InboxWorkerConfig{
		Inbox: p.inbox, Events: database.NewLiveKitEvents(e), Leases: database.NewLeases(e), Site: worker.Site{Owner: name, Now: own},
		Recorder: NewRecorder(database.NewUsageSessions(e), database.NewUsageMetrics(e), database.NewUsageTotals(e), clock),
		Steps:    []Step{{TurnQuotas, p.seen}}}))
	return p
}

func (p *process) pass(t *testing.T) int {
	t.Helper()
	n, err := p.Work(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// holds is how many shards a process may work on.
func (p *process) holds() int { return len(p.shares.Idle()) }

func TestShardsAreSharedFairlyAndTakenOverWhateverTheClocksSay(t *testing.T) {
	for _, ahead := range []time.Duration{0, 10 * time.Second, -time.Hour} {
		e, now := testkit.NewEngine(t), aMorning
		one, two := newProcess(t, e, "one", &now, 0), newProcess(t, e, "two", &now, ahead)
		three := newProcess(t, e, "three", &now, -ahead)
		step := func(processes ...*process) {
			for _, p := range processes {
				p.pass(t)
			}
			now = now.Add(shards.PassInterval)
		}
		step(one)
		if one.holds() != inboxShards {
			t.Fatalf("alone it has %d", one.holds())
		}
		for range 3 {
			step(one, two)
		}
		if one.holds() != inboxShards/2 || two.holds() != inboxShards/2 {
			t.Errorf("ahead %v: one has %d, two %d", ahead, one.holds(), two.holds())
		}
		for range 4 {
			step(one, two, three)
		}
		for _, p := range []*process{one, two, three} {
			if n := p.holds(); n < 2 || n > 3 {
				t.Errorf("ahead %v: one of three has %d", ahead, n)
			}
		}
		killed := now
		for one.holds()+two.holds() < inboxShards { // three was killed
			step(one, two)
			if now.Sub(killed) > 5*time.Second {
				t.Fatalf("ahead %v: after %v the others have %d and %d", ahead, now.Sub(killed), one.holds(), two.holds())
			}
		}
		if err := two.shares.Leave(t.Context()); err != nil { // it stops
			t.Fatal(err)
		}
		step(one)
		if one.holds() != inboxShards {
			t.Errorf("ahead %v: one has %d after two has left", ahead, one.holds())
		}
	}
}

func TestTheOnlyProcessTakesItsShardsBackAtOnce(t *testing.T) {
	e, now := testkit.NewEngine(t), aMorning
	newProcess(t, e, "the only process", &now, 0).pass(t)
	again := newProcess(t, e, "the only process", &now, 0)
	again.pass(t)
	if again.holds() != inboxShards {
		t.Errorf("after kill -9 it has %d", again.holds())
	}
}

func TestEventsOfARoomAreWorkedOnInOrderOfArrivalWhateverTheClocksSay(t *testing.T) {
	e, now := testkit.NewEngine(t), aMorning
	one, two := newProcess(t, e, "one", &now, 0), newProcess(t, e, "two", &now, -10*time.Second)
	var want []string
	for n := range 20 {
		event := models.LiveKitEvent{ID: fmt.Sprint("EV_", n), Event: "x", RoomKey: "room"}
		want = append(want, event.ID)
		if _, err := []*process{one, two}[n%2].inbox.Keep(t.Context(), &event); err != nil {
			t.Fatal(err)
		}
	}
	two.pass(t) // whose clock says that half of them come from the future
	if !slices.Equal(two.seen.seen, want) {
		t.Errorf("in the order %v", two.seen.seen)
	}
}

func TestAConflictIsTriedAgainAndNeverMakesAnEventDead(t *testing.T) {
	r := newRig(t)
	r.keep(numbered("a", 0, 2))
	s := &conflicting{left: 3 * maxAttempts}
	w := r.worker("one", s)
	for range 4 * maxAttempts {
		if _, err := w.Work(t.Context()); err != nil && !models.IsKind(err, models.KindConflict) {
			t.Fatal(err)
		}
		r.now = r.now.Add(lastRetry)
	}
	if dead, _ := r.inbox.Dead(t.Context()); dead != 0 || s.events != 2 {
		t.Errorf("%d dead, %d worked on", dead, s.events)
	}
}

// conflicting answers with conflicts for a while.
type conflicting struct{ left, events int }

func (c *conflicting) Consume(_ context.Context, b *Batch) error {
	if c.left--; c.left >= 0 {
		return models.Conflict("concurrent_change", "Another process was first.")
	}
	c.events += len(b.Events)
	return nil
}

// distant is a database at some distance.
type distant struct {
	database.Engine
	latency time.Duration
}

func (d distant) away() { <-time.After(d.latency) }

func (d distant) Insert(ctx context.Context, c string, doc any) error {
	d.away()
	return d.Engine.Insert(ctx, c, doc)
}

func (d distant) InsertMany(ctx context.Context, c string, docs []any) ([]int, error) {
	d.away()
	return d.Engine.InsertMany(ctx, c, docs)
}

func (d distant) FindOne(ctx context.Context, c string, q database.Query, out any) error {
	d.away()
	return d.Engine.FindOne(ctx, c, q, out)
}

func (d distant) Find(ctx context.Context, c string, q database.Query, each func(bson.Raw) error) error {
	d.away()
	return d.Engine.Find(ctx, c, q, each)
}

func (d distant) Update(ctx context.Context, c string, filter, update bson.D, o database.UpdateOptions) (int64, error) {
	d.away()
	return d.Engine.Update(ctx, c, filter, update, o)
}

func (d distant) FindOneAndUpdate(ctx context.Context, c string, filter, update bson.D, o database.FindAndUpdateOptions, out any) error {
	d.away()
	return d.Engine.FindOneAndUpdate(ctx, c, filter, update, o, out)
}

func (d distant) Sum(ctx context.Context, c string, filter bson.D, field string, groupBy ...string) ([]database.Group, error) {
	d.away()
	return d.Engine.Sum(ctx, c, filter, field, groupBy...)
}

// backlog stores joins and leaves of many rooms that wait to be worked on.
func backlog(t testing.TB, e database.Engine, n int) {
	t.Helper()
	r := rigOver(t, e)
	var events []models.LiveKitEvent
	for i := range n {
		person, kind := i/2, models.EventParticipantJoined
		if i%2 == 1 {
			kind = models.EventParticipantLeft
		}
		room := fmt.Sprint("room-", person%64)
		events = append(events, models.LiveKitEvent{ID: fmt.Sprint("EV_", i), Event: kind, ProjectID: testProject, RoomName: room, RoomSID: "RM_" + room,
			RoomKey: models.QualifyRoom(testProject, room), RoomCreatedAt: aMorning, CreatedAt: aMorning, ReceivedAt: aMorning,
			Participant: &models.EventParticipant{SID: fmt.Sprint("PA_", person), Identity: fmt.Sprint("somebody-", person), Kind: "STANDARD", JoinedAt: aMorning}})
	}
	for batch := range slices.Chunk(events, database.MaxBatch) {
		r.keep(batch)
	}
}

// drained tells how long processes need for a backlog at a database 10 ms away.
func drained(t testing.TB, processes, events int) time.Duration {
	t.Helper()
	e := testkit.NewEngine(t)
	backlog(t, e, events)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var running sync.WaitGroup
	defer running.Wait()
	defer stop()
	var all []*process
	for n := range processes {
		epoch := time.Time{}
		p := newProcess(t, distant{e, 10 * time.Millisecond}, fmt.Sprint("process-", n), &epoch, 0)
		clock := func() time.Time { return time.Now() }
		p.inbox.now = clock
		all = append(all, p)
	}
	for range 3 { // until each has its share
		for _, p := range all {
			if err := p.share(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	began := time.Now()
	for _, p := range all {
		running.Go(func() { _ = p.Run(ctx) })
	}
	for {
		left, err := all[0].inbox.c.Events.CountIn(ctx, models.EventPending, 1)
		if err != nil {
			t.Fatal(err)
		}
		if left == 0 {
			return time.Since(began)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func BenchmarkInboxAtTenMilliseconds(b *testing.B) {
	const events = 8000
	for _, processes := range []int{1, 2} {
		b.Run(fmt.Sprint(processes, "-processes"), func(b *testing.B) {
			for range b.N {
				took := drained(b, processes, events)
				b.ReportMetric(events/took.Seconds(), "events/s")
			}
		})
	}
}
