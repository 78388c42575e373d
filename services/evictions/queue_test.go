package evictions

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database"
	"pulse-control-plane/database/testkit"
	"pulse-control-plane/models"
)

// rig is a queue over usage sessions of the test and a cluster that fails for
// some identities.
type rig struct {
	*Queue
	t        *testing.T
	engine   *testkit.Engine
	now      time.Time
	sessions *database.UsageSessions
	store    *database.Evictions
	mu       sync.Mutex
	asked    []string
	// fails are the identities that the cluster does not evict; wait is called
	// before it answers for any other.
	fails []string
	wait  func(ctx context.Context)
}

func newRig(t *testing.T) *rig {
	r := &rig{t: t, engine: testkit.NewEngine(t), now: testkit.NewClock().Now()}
	r.store, r.sessions = database.NewEvictions(r.engine), database.NewUsageSessions(r.engine)
	r.Queue = testkit.Must[*Queue](t)(NewQueue(Config{Store: r.store, Sessions: r.sessions, Clusters: r.cluster, Wake: func() {}, Now: func() time.Time { return r.now }}))
	return r
}

func (r *rig) RemoveParticipant(ctx context.Context, _, identity string) error {
	r.mu.Lock()
	r.asked = append(r.asked, identity)
	r.mu.Unlock()
	if slices.Contains(r.fails, identity) {
		return models.Unavailable(errors.New("the cluster is down"))
	}
	if r.wait != nil {
		r.wait(ctx)
	}
	return ctx.Err()
}

// cluster gives the rig's cluster, or one that is away.
func (r *rig) cluster(key string) Cluster {
	if key == "away" {
		return away{}
	}
	return r
}

// away is a cluster that does not answer.
type away struct{ Cluster }

func (away) RemoveParticipant(context.Context, string, string) error {
	return models.Unavailable(errors.New("the cluster is away"))
}

func (r *rig) EndRoom(context.Context, string) error    { return nil }
func (r *rig) StopEgress(context.Context, string) error { return nil }

// has stores an open usage session of a participant and returns it.
func (r *rig) has(id, identity string) *models.UsageSession {
	r.t.Helper()
	s := &models.UsageSession{ID: id, Subject: models.SubjectParticipant, ProjectID: testkit.Project, RoomName: "hall", RoomSID: "RM_1",
		Identity: identity, Kind: models.ParticipantStandard, Open: true, JoinedAt: r.now, RecordedAt: r.now}
	if _, err := r.sessions.InsertMany(context.Background(), []*models.UsageSession{s}); err != nil {
		r.t.Fatal(err)
	}
	return s
}

func (r *rig) add(s *models.UsageSession, cause models.EvictionCause) {
	r.t.Helper()
	if err := r.Add(context.Background(), models.EvictionOf(s, cause, r.now)); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) work() {
	r.t.Helper()
	if _, err := r.Work(context.Background()); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) left() int64 {
	r.t.Helper()
	n, err := r.engine.Count(context.Background(), "evictions", bson.D{}, 0)
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

func TestARevocationIsCarriedOutWhenAQuotaEvictionOfTheSameSessionIsSpared(t *testing.T) {
	r := newRig(t)
	mallory := r.has("PA_1", "mallory")
	r.spare = (func(_ context.Context, _ *models.UsageSession, v *models.Eviction) (bool, error) {
		if v.Cause != models.EvictedByQuota {
			return false, nil
		}
		r.add(mallory, models.EvictedByRevocation) // while a slot is released
		return true, nil
	})
	r.add(mallory, models.EvictedByQuota)
	r.work()
	r.now = r.now.Add(time.Minute)
	r.work()
	if !slices.Equal(r.asked, []string{"mallory"}) {
		t.Errorf("evicted %v", r.asked)
	}
}

func TestAFailedEvictionCancelsNoOther(t *testing.T) {
	r := newRig(t)
	refused := make(chan struct{})
	r.spare = (func(_ context.Context, s *models.UsageSession, _ *models.Eviction) (bool, error) {
		if s.Identity == "bad" {
			defer close(refused)
			return false, models.Unavailable(errors.New("the database is down"))
		}
		return false, nil
	})
	r.wait = func(context.Context) { <-refused } // the others are running when it fails
	for _, name := range []string{"ann", "bob", "cyd"} {
		r.add(r.has("PA_"+name, name), models.EvictedByRevocation)
	}
	r.add(r.has("PA_bad", "bad"), models.EvictedByQuota)
	r.work()
	if len(r.asked) != 3 || r.left() != 1 {
		t.Errorf("asked for %v, %d are left", r.asked, r.left())
	}
}

func TestEvictionsThatNeverSucceedDelayNoNewOne(t *testing.T) {
	r := newRig(t)
	r.fails = []string{"stuck"}
	for n := range 3 * AtOnce {
		r.add(r.has("PA_"+string(rune('a'+n%26))+time.Duration(n).String(), "stuck"), models.EvictedByRevocation)
	}
	for range 3 {
		r.work()
		r.now = r.now.Add(time.Minute)
	}
	r.add(r.has("PA_new", "new"), models.EvictedByRevocation)
	before := len(r.asked)
	r.work()
	if at := slices.Index(r.asked[before:], "new"); at < 0 || at >= AtOnce {
		t.Errorf("asked for it after %d others", at)
	}
}

func TestAddingAnEvictionRepeatedlyDoesNotShortenItsRetryDelay(t *testing.T) {
	r := newRig(t)
	ann := r.has("PA_1", "ann")
	r.fails = []string{"ann"}
	for range 60 {
		for range 5 { // repeated adds
			r.add(ann, models.EvictedByDeletion)
		}
		r.work()
		r.now = r.now.Add(time.Second)
	}
	if n := len(r.asked); n > 8 { // 0.5, 1, 2, 4, 8, 16, 30 s
		t.Errorf("tried %d times in a minute", n)
	}
}

func TestAClockSetBackDelaysNoEviction(t *testing.T) {
	r := newRig(t)
	r.add(r.has("PA_1", "ann"), models.EvictedByQuota)
	r.now = r.now.Add(-time.Hour)
	r.work()
	if len(r.asked) != 1 {
		t.Errorf("asked for %v", r.asked)
	}
}

func TestAnEvictionAsksOnlyTheClusterOfItsSession(t *testing.T) {
	r := newRig(t)
	for _, cluster := range []string{"away", "here"} {
		s := &models.UsageSession{ID: "PA_" + cluster, Cluster: cluster, Subject: models.SubjectParticipant, ProjectID: testkit.Project, RoomName: cluster,
			Identity: "ann", Kind: models.ParticipantStandard, Open: true, JoinedAt: r.now, RecordedAt: r.now}
		if _, err := r.sessions.InsertMany(t.Context(), []*models.UsageSession{s}); err != nil {
			t.Fatal(err)
		}
		r.add(s, models.EvictedByRevocation)
	}
	r.work()
	if len(r.asked) != 1 || r.left() != 1 {
		t.Errorf("asked the living cluster for %v, %d evictions are left; want one and the dead cluster's", r.asked, r.left())
	}
}
