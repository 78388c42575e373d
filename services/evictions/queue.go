package evictions

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/livekit"
	"pulse-control-plane/utils/required"
)

const (
	// AtOnce is how many are asked of the cluster at a time;
	// evictionsInTurn how many one pass claims.
	AtOnce          = 16
	evictionsInTurn = 500
	// evictionLease is how long a eviction stays with a process that does not
	// answer any more: longer than a call, and the wait for the one before it,
	// may take.
	evictionLease = 3 * livekit.CallTimeout
	// firstEvictionRetry and lastEvictionRetry bound the wait after a cluster
	// that could not be asked, which doubles.
	firstEvictionRetry = 500 * time.Millisecond
	lastEvictionRetry  = 30 * time.Second
)

// Cluster is what ends something on a LiveKit cluster, by qualified
// names; that it has ended already is not an error.
type Cluster interface {
	RemoveParticipant(ctx context.Context, room, identity string) error
	EndRoom(ctx context.Context, room string) error
	StopEgress(ctx context.Context, id string) error
}

// Queue end on the cluster what may not go on. Whoever finds that out
// writes it down and goes on: a cluster that hangs or is away holds up
// nothing, and forgets nobody.
type Queue struct {
	store    *database.Evictions
	sessions *database.UsageSessions
	cluster  Cluster
	log      zerolog.Logger
	now      func() time.Time
	// spare tells that what a eviction was for has passed meanwhile.
	spare Spare
	wake  func()
	ended *prometheus.CounterVec
}

// Spare tells that what an eviction was for has passed meanwhile, so that the
// session may go on.
type Spare func(ctx context.Context, session *models.UsageSession, v *models.Eviction) (bool, error)

// Config of NewQueue; every field but Log is required, save Spare, without which
// every eviction is carried out.
type Config struct {
	Store    *database.Evictions
	Sessions *database.UsageSessions
	Cluster  Cluster
	Spare    Spare `optional:"true"`
	// Wake has this process work on the queue at once.
	Wake func()
	Log  zerolog.Logger
	Now  func() time.Time
}

// NewQueue ends sessions on a cluster. It fails if a required field is missing.
func NewQueue(c Config) (*Queue, error) {
	if err := required.Fields(c); err != nil {
		return nil, err
	}
	if c.Spare == nil {
		c.Spare = func(context.Context, *models.UsageSession, *models.Eviction) (bool, error) { return false, nil }
	}
	return &Queue{store: c.Store, sessions: c.Sessions, cluster: c.Cluster, spare: c.Spare, log: c.Log, now: c.Now, wake: c.Wake,
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pulse_evictions_total",
			Help: "Participants, rooms and egresses that were ended on the cluster."}, []string{"subject", "cause"})}, nil
}

// Register offers the number of evictions as a metric.
func (r *Queue) Register(registry prometheus.Registerer) { registry.MustRegister(r.ended) }

// Add has a session ended, now or as soon as the cluster is there.
func (r *Queue) Add(ctx context.Context, v models.Eviction) error {
	for range 2 {
		err := r.store.Insert(ctx, &v)
		if err == nil {
			break
		}
		if !models.IsKind(err, models.KindConflict) {
			return err
		}
		if v.Cause == models.EvictedByQuota {
			break // which may be spared, the other causes not
		}
		changed, err := r.store.Because(ctx, v.ID, v.Cause, v.DueAt)
		if err != nil {
			return err
		}
		if changed {
			break
		}
		// It has that cause already, or was done just now.
	}
	r.wake()
	return nil
}

// Work claims what is due, one after the other, has the cluster asked for
// several at a time, and tells how many there were. An error is the database's;
// what the cluster did not do is due again later.
func (r *Queue) Work(ctx context.Context) (int, error) {
	var group errgroup.Group // one that fails keeps no other from being ended
	group.SetLimit(AtOnce)
	claimed := 0
	for ; claimed < evictionsInTurn && ctx.Err() == nil; claimed++ {
		now := r.now()
		v, err := r.store.Claim(ctx, now, now.Add(evictionLease), now.Add(2*lastEvictionRetry))
		if models.IsKind(err, models.KindNotFound) {
			break
		}
		if err != nil {
			return claimed, errors.Join(err, group.Wait())
		}
		group.Go(func() error { return r.end(ctx, &v) })
	}
	return claimed, group.Wait()
}

// end ends one session, if it goes on and has to end still.
func (r *Queue) end(ctx context.Context, v *models.Eviction) error {
	session, err := r.sessions.Get(ctx, v.ProjectID, v.ID)
	if models.IsKind(err, models.KindNotFound) || err == nil && !session.Open {
		return r.store.Done(ctx, v.ID, v.Cause)
	}
	if err != nil {
		return err
	}
	replaced, err := r.replaced(ctx, &session)
	if err != nil {
		return err
	}
	spared := false
	if !replaced {
		spared, err = r.spare(ctx, &session, v)
	}
	switch {
	case replaced, err == nil && spared:
		return r.store.Done(ctx, v.ID, v.Cause)
	case err == nil:
		err = r.ask(ctx, v)
	}
	if err != nil {
		wait := firstEvictionRetry
		for range v.Attempts - 1 {
			wait = min(2*wait, lastEvictionRetry)
		}
		r.log.Warn().Err(err).Str("session_id", v.ID).Str("cause", string(v.Cause)).Int64("attempts", v.Attempts).Msg("evictions: not done yet")
		return r.store.Postpone(ctx, v.ID, r.now().Add(wait))
	}
	r.ended.WithLabelValues(string(v.Subject), string(v.Cause)).Inc()
	r.log.Info().Str("project_id", string(v.ProjectID)).Str("session_id", v.ID).Str("cause", string(v.Cause)).
		Str("quota", string(v.Quota)).Msg("evictions: ended")
	return r.store.Done(ctx, v.ID, v.Cause)
}

// replaced tells whether the same participant came, or a room of the same name
// was made, later: the cluster knows them by name, and who bears it now is
// another. The session that is asked about has ended, though nobody said so.
func (r *Queue) replaced(ctx context.Context, session *models.UsageSession) (bool, error) {
	if session.Subject != models.SubjectParticipant && session.Subject != models.SubjectRoom {
		return false, nil // known by its id
	}
	like, err := r.sessions.OpenLike(ctx, session, database.MaxBatch)
	if err != nil {
		return false, err
	}
	for i := range like {
		if like[i].ID != session.ID && like[i].JoinedAt.After(session.JoinedAt) {
			return true, nil
		}
	}
	return false, nil
}

// ask has the cluster end what a eviction is of.
func (r *Queue) ask(ctx context.Context, v *models.Eviction) error {
	switch v.Subject {
	case models.SubjectParticipant:
		return r.cluster.RemoveParticipant(ctx, models.QualifyRoom(v.ProjectID, v.RoomName), v.Identity)
	case models.SubjectRoom:
		return r.cluster.EndRoom(ctx, models.QualifyRoom(v.ProjectID, v.RoomName))
	case models.SubjectEgress:
		return r.cluster.StopEgress(ctx, v.ID)
	case models.SubjectIngress:
	}
	return nil // nothing limits an ingress by itself
}
