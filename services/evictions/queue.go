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
	// AtOnce is how many calls to the cluster run at a time; evictionsPerPass is
	// how many evictions one pass claims.
	AtOnce           = 16
	evictionsPerPass = 500
	// evictionLease is how long a claimed eviction belongs to its process: longer
	// than one call plus the wait for the call before it.
	evictionLease = 3 * livekit.CallTimeout
	// The wait after a failed call doubles from firstEvictionRetry to
	// lastEvictionRetry.
	firstEvictionRetry = 500 * time.Millisecond
	lastEvictionRetry  = 30 * time.Second
)

// Cluster ends sessions on a LiveKit cluster, by qualified names. Ending one that
// has already ended is not an error.
type Cluster interface {
	RemoveParticipant(ctx context.Context, room, identity string) error
	EndRoom(ctx context.Context, room string) error
	StopEgress(ctx context.Context, id string) error
}

// Queue ends usage sessions on the cluster. Callers only store an eviction, so a
// cluster that hangs or is down delays no caller and no eviction is lost.
type Queue struct {
	store    *database.Evictions
	sessions *database.UsageSessions
	clusters func(key string) Cluster
	log      zerolog.Logger
	now      func() time.Time
	spare    Spare
	wake     func()
	ended    *prometheus.CounterVec
}

// Spare reports whether the cause of an eviction no longer applies, so that the
// usage session may continue.
type Spare func(ctx context.Context, session *models.UsageSession, v *models.Eviction) (bool, error)

// Config of NewQueue. Log and Spare are optional; without Spare every eviction is
// carried out.
type Config struct {
	Store    *database.Evictions
	Sessions *database.UsageSessions
	// Clusters gives the cluster of an API key, or all as one if none has the key.
	Clusters func(key string) Cluster
	Spare    Spare `optional:"true"`
	// Wake starts a pass of this process at once.
	Wake func()
	Log  zerolog.Logger
	Now  func() time.Time
}

// NewQueue fails if a required field is missing.
func NewQueue(c Config) (*Queue, error) {
	if err := required.Fields(c); err != nil {
		return nil, err
	}
	if c.Spare == nil {
		c.Spare = func(context.Context, *models.UsageSession, *models.Eviction) (bool, error) { return false, nil }
	}
	q := &Queue{store: c.Store, sessions: c.Sessions, clusters: c.Clusters, spare: c.Spare, log: c.Log, now: c.Now, wake: c.Wake,
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pulse_evictions_total",
			Help: "Participants, rooms and egresses that were evicted from the cluster."}, []string{"subject", "cause"})}
	for _, subject := range []models.Subject{models.SubjectParticipant, models.SubjectRoom, models.SubjectEgress} {
		for _, cause := range []models.EvictionCause{models.EvictedByQuota, models.EvictedByRevocation, models.EvictedByDeletion} {
			q.ended.WithLabelValues(string(subject), string(cause)) // a rate needs the 0 before the first one
		}
	}
	return q, nil
}

// Register registers the number of evictions as a metric.
func (r *Queue) Register(registry prometheus.Registerer) { registry.MustRegister(r.ended) }

// Add stores an eviction; a usage session has at most one. A cause that can't be
// spared replaces EvictedByQuota.
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
			break // the stored cause is at least as strong
		}
		changed, err := r.store.Because(ctx, v.ID, v.Cause, v.DueAt)
		if err != nil {
			return err
		}
		if changed {
			break
		}
		// It has this cause already, or was completed meanwhile.
	}
	r.wake()
	return nil
}

// Work claims the due evictions, carries out several at a time, and returns how
// many it claimed. Errors are those of the database; an eviction that the cluster
// refused is due again later.
func (r *Queue) Work(ctx context.Context) (int, error) {
	var group errgroup.Group // without a context: a failed eviction must not cancel others
	group.SetLimit(AtOnce)
	claimed := 0
	for ; claimed < evictionsPerPass && ctx.Err() == nil; claimed++ {
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

// end ends one usage session, if it is open and still has to end.
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
		err = ask(ctx, r.clusters(session.Cluster), v)
	}
	if err != nil {
		wait := firstEvictionRetry
		for range v.Attempts - 1 {
			wait = min(2*wait, lastEvictionRetry)
		}
		r.log.Warn().Err(err).Str("session_id", v.ID).Str("cause", string(v.Cause)).Int64("attempts", v.Attempts).Msg("evictions: the cluster did not evict; will retry")
		return r.store.Postpone(ctx, v.ID, r.now().Add(wait))
	}
	r.ended.WithLabelValues(string(v.Subject), string(v.Cause)).Inc()
	r.log.Info().Str("project_id", string(v.ProjectID)).Str("session_id", v.ID).Str("cause", string(v.Cause)).
		Str("quota", string(v.Quota)).Msg("evictions: evicted")
	return r.store.Done(ctx, v.ID, v.Cause)
}

// replaced reports whether a later usage session has the same identity, or room
// name. The cluster knows only names, so evicting would hit the later one; the
// older one has ended without an event.
func (r *Queue) replaced(ctx context.Context, session *models.UsageSession) (bool, error) {
	if session.Subject != models.SubjectParticipant && session.Subject != models.SubjectRoom {
		return false, nil // the cluster knows these by id
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

// ask makes a cluster carry out an eviction.
func ask(ctx context.Context, cluster Cluster, v *models.Eviction) error {
	switch v.Subject {
	case models.SubjectParticipant:
		return cluster.RemoveParticipant(ctx, models.QualifyRoom(v.ProjectID, v.RoomName), v.Identity)
	case models.SubjectRoom:
		return cluster.EndRoom(ctx, models.QualifyRoom(v.ProjectID, v.RoomName))
	case models.SubjectEgress:
		return cluster.StopEgress(ctx, v.ID)
	case models.SubjectIngress:
	}
	return nil // no rule evicts an ingress
}
