package metering

import (
	"context"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"pulse-control-plane/database"
	"pulse-control-plane/database/testkit"
	"pulse-control-plane/models"
	"pulse-control-plane/services/clusters"
	"pulse-control-plane/services/livekit"
	"pulse-control-plane/services/shards"
	"pulse-control-plane/services/usage"
	"pulse-control-plane/utils/cursor"
	"pulse-control-plane/utils/worker"
)

// rig is the inbox and everything derived from it, over an embedded database.
type rig struct {
	t        testing.TB
	engine   *testkit.Engine
	now      time.Time
	kept     int64
	inbox    *Inbox
	metering *Recorder
	totals   *usage.Totals
	usage    *usage.Reports
	events   *database.LiveKitEvents
	sessions *database.UsageSessions
	facts    *database.UsageMetrics
	stored   *database.UsageTotals
	// compared is what several made.
	compared *Reconciliation
}

func newRig(t testing.TB) *rig {
	t.Helper()
	return rigOver(t, testkit.NewEngine(t))
}

// rigOver makes a process over an engine.
func rigOver(t testing.TB, e database.Engine) *rig {
	r := &rig{t: t, engine: &testkit.Engine{Engine: e}, now: aMorning.Add(30 * time.Hour)}
	clock := func() time.Time { return r.now }
	r.events, r.sessions = database.NewLiveKitEvents(r.engine), database.NewUsageSessions(r.engine)
	r.facts, r.stored = database.NewUsageMetrics(r.engine), database.NewUsageTotals(r.engine)
	clusters := testkit.Must[*clusters.Set](t)(clusters.New([]livekit.Cluster{testCluster()}, nil, nil, zerolog.Nop(), clock))
	r.inbox = testkit.Must[*Inbox](t)(NewInbox(InboxConfig{Events: r.events, Sequences: database.NewSequences(r.engine),
		Clusters: clusters, Exclusive: true, Now: clock}))
	r.metering = NewRecorder(r.sessions, r.facts, r.stored, clock)
	r.totals = testkit.Must[*usage.Totals](t)(usage.NewTotals(usage.TotalsConfig{
		Totals: r.stored, Facts: r.facts, Sessions: r.sessions, Now: clock}))
	r.usage = testkit.Must[*usage.Reports](t)(usage.New(usage.Config{
		Projects: database.NewProjects(r.engine), Sessions: r.sessions, Facts: r.facts, Events: r.events,
		Totals: r.totals, Cursors: cursor.New([]byte("cursors")), Now: clock}))
	return r
}

func (r *rig) worker(holder string, consumers ...Consumer) *InboxWorker {
	var steps []Step
	for i, c := range consumers {
		steps = append(steps, Step{Turn(i), c})
	}
	return testkit.Must[*InboxWorker](r.t)(NewInboxWorker(InboxWorkerConfig{
		Inbox: r.inbox, Events: r.events, Leases: database.NewLeases(r.engine), Site: worker.Site{Owner: holder}, Recorder: r.metering, Steps: steps}))
}

func (r *rig) record(ctx context.Context, events []models.LiveKitEvent) error {
	_, err := r.metering.Record(ctx, events)
	return err
}

// keep stores events with their own times of arrival.
func (r *rig) keep(events []models.LiveKitEvent) {
	r.t.Helper()
	seen := map[string]bool{}
	var docs []models.LiveKitEvent
	for _, e := range events {
		if seen[e.ID] {
			continue
		}
		seen[e.ID] = true
		r.kept++
		e.State, e.Seq, e.DueAt, e.Shard = models.EventPending, r.kept, e.ReceivedAt, shardOf(e.RoomKey)
		docs = append(docs, e)
	}
	if _, err := r.events.InsertMany(context.Background(), docs); err != nil {
		r.t.Fatal(err)
	}
}

// drain works until no event is pending.
func (r *rig) drain(w *InboxWorker) error {
	for {
		n, err := w.Work(context.Background())
		if err != nil || n == 0 {
			return err
		}
	}
}

// owner is a server-grade caller of the test's project.
func owner() *models.Principal {
	return &models.Principal{Kind: models.CallerServerKey, Scopes: []models.Scope{models.ScopeAll}, OrgID: "org_1",
		Project: &models.Project{ID: testProject, OrgID: "org_1"}}
}

// report returns the usage of the test's project over the two days of its
// history.
func (r *rig) report(w models.Window) usage.Report {
	r.t.Helper()
	for range 5 { // as the worker does, until no total is dirty
		if err := r.totals.Settle(context.Background()); err != nil {
			r.t.Fatal(err)
		}
	}
	out, err := r.usage.Get(context.Background(), owner(), usage.Query{
		Start: models.WindowDay.Start(aMorning), End: models.WindowDay.Start(aMorning).Add(48 * time.Hour), Window: w})
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

// truth sums the true seconds of a subject.
func (h *history) truth(subject models.Subject) (seconds float64) {
	for i := range h.visits {
		s := &h.visits[i]
		end := s.left
		if end.IsZero() {
			end = s.roomEnded
		}
		if s.subject == subject && !s.aborted && (subject != models.SubjectParticipant || s.kind == models.ParticipantStandard) {
			seconds += end.Sub(s.joined).Seconds()
		}
	}
	return seconds
}

func (h *history) mustMatch(t *testing.T, r usage.Report) {
	t.Helper()
	for subject, meter := range map[models.Subject]models.Meter{models.SubjectParticipant: models.MeterParticipantSeconds,
		models.SubjectRoom: models.MeterRoomSeconds, models.SubjectEgress: models.MeterEgressSeconds} {
		truth, slack := h.truth(subject), float64(len(h.visits))
		if got := r.Totals[meter]; got < truth-slack || got > truth+slack {
			t.Errorf("%s: %f metered, %f true", meter, got, truth)
		}
	}
}

func TestUsageOfRandomHistoriesEqualsTheTruth(t *testing.T) {
	h := newHistory(11, aMorning)
	r := newRig(t)
	random := rand.New(rand.NewPCG(1, 2))
	events, _ := h.disturbed(random, func() bool { return false })
	r.keep(events)
	if err := r.drain(r.worker("one")); err != nil {
		t.Fatal(err)
	}
	hours, days := r.report(models.WindowHour), r.report(models.WindowDay)
	h.mustMatch(t, hours)
	for _, m := range models.Meters() {
		if d := hours.Totals[m] - days.Totals[m]; d > 1e-6 || d < -1e-6 {
			t.Errorf("%s: hours say %f, days %f", m, hours.Totals[m], days.Totals[m])
		}
	}
	if hours.Totals[models.MeterPeak] < 1 {
		t.Error("no peak")
	}
}

func TestReplayingEveryEventCountsNothingTwice(t *testing.T) {
	h := newHistory(12, aMorning)
	r := newRig(t)
	r.keep(h.events)
	if err := r.drain(r.worker("one")); err != nil {
		t.Fatal(err)
	}
	before := r.report(models.WindowHour)
	for range 2 {
		if err := r.record(context.Background(), h.events); err != nil {
			t.Fatal(err)
		}
	}
	after := r.report(models.WindowHour)
	for _, m := range models.Meters() {
		if before.Totals[m] != after.Totals[m] {
			t.Errorf("%s: %f became %f", m, before.Totals[m], after.Totals[m])
		}
	}
	if before.Totals[models.MeterParticipantSeconds] == 0 {
		t.Error("nothing was metered at all")
	}
}

func TestAWorkerKilledAtAnyWriteLosesAndRepeatsNothing(t *testing.T) {
	h := newHistory(13, aMorning)
	clean := newRig(t)
	clean.keep(h.events)
	if err := clean.drain(clean.worker("one")); err != nil {
		t.Fatal(err)
	}
	want := clean.report(models.WindowHour)
	writes := clean.engine.Writes.Load()
	for fatal := int64(1); fatal <= writes; fatal++ {
		r := newRig(t)
		r.keep(h.events)
		r.engine.Writes.Store(0)
		r.engine.Fatal = fatal
		err := r.drain(r.worker("killed"))
		if err == nil {
			err = r.totals.Settle(context.Background())
		}
		if err == nil {
			break // it finished before the fatal write
		}
		next := rigOver(t, r.engine.Engine)
		successor := next.worker("next")
		if _, err := successor.Work(context.Background()); err != nil { // sees the dead one's leases
			t.Fatal(err)
		}
		next.now = next.now.Add(shards.TTL) // and that they stand still
		if err := next.drain(successor); err != nil {
			t.Fatal(err)
		}
		got := next.report(models.WindowHour)
		for _, m := range models.Meters() {
			if got.Totals[m] != want.Totals[m] {
				t.Fatalf("killed at write %d: %s is %f, not %f", fatal, m, got.Totals[m], want.Totals[m])
			}
		}
	}
}

func TestConcurrentWorkersMergeTheirWrites(t *testing.T) {
	h := newHistory(14, aMorning)
	r := newRig(t)
	ctx := context.Background()
	var failed atomic.Value
	done := make(chan struct{})
	for half := range 4 {
		go func() {
			defer func() { done <- struct{}{} }()
			for i := half; i < len(h.events); i += 4 {
				for {
					err := r.record(ctx, h.events[i:i+1])
					if err == nil {
						break
					}
					if !models.IsKind(err, models.KindUnavailable) && !models.IsKind(err, models.KindConflict) {
						failed.Store(err)
						return
					}
				}
			}
		}()
	}
	for range 4 {
		<-done
	}
	if err := failed.Load(); err != nil {
		t.Fatal(err)
	}
	// The last word of each event is in, in whichever order they came.
	if err := r.record(ctx, h.events[:min(len(h.events), database.MaxBatch/2)]); err != nil {
		t.Fatal(err)
	}
	h.mustMatch(t, r.report(models.WindowHour))
}

func TestAStaleTotalDoesNotReplaceANewerOne(t *testing.T) {
	r := newRig(t)
	ctx := context.Background()
	total := hourTotal(testProject, models.MeterTokensIssued, aMorning)
	touch := func() models.UsageTotal {
		t.Helper()
		if err := r.stored.Touch(ctx, []models.UsageTotal{total}); err != nil {
			t.Fatal(err)
		}
		dirty, err := r.stored.Dirty(ctx, models.WindowHour, 10)
		if err != nil || len(dirty) != 1 {
			t.Fatalf("%v, %v", dirty, err)
		}
		return dirty[0]
	}
	slow := touch()
	quick := touch()
	slow.Value, quick.Value = 1, 2
	for _, settled := range []*models.UsageTotal{&quick, &slow} {
		if err := r.stored.Settle(ctx, settled); err != nil {
			t.Fatal(err)
		}
	}
	now, err := r.stored.Of(ctx, testProject, models.WindowHour, aMorning, aMorning.Add(time.Hour), 10)
	if err != nil || len(now) != 1 || now[0].Value != 2 || now[0].Dirty {
		t.Errorf("%+v, %v", now, err)
	}
}
