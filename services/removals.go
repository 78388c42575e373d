package services

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
)

const (
	// removalsPoll is how often removals are looked for that are due again or
	// come from another process.
	removalsPoll = time.Second
	// removalsAtOnce is how many are asked of the cluster at a time.
	removalsAtOnce = 16
	// removalLease is how long a removal stays with a process that does not
	// answer any more: longer than a call may take.
	removalLease = 2 * callTimeout
	// firstRemovalRetry and lastRemovalRetry bound the wait after a cluster
	// that could not be asked, which doubles.
	firstRemovalRetry = 500 * time.Millisecond
	lastRemovalRetry  = 30 * time.Second
)

// RemovalCluster is what ends something on a LiveKit cluster, by qualified
// names; that it has ended already is not an error.
type RemovalCluster interface {
	Remover
	EndRoom(ctx context.Context, room string) error
	StopEgress(ctx context.Context, id string) error
}

// Removals end on the cluster what may not go on. Whoever finds that out
// writes it down and goes on: a cluster that hangs or is away holds up
// nothing, and forgets nobody.
type Removals struct {
	store    *database.Removals
	sessions *database.UsageSessions
	cluster  RemovalCluster
	log      zerolog.Logger
	now      func() time.Time
	// spare tells that what a removal was for has passed meanwhile.
	spare func(context.Context, *models.UsageSession, *models.Removal) (bool, error)
	// arrived wakes the worker of this process.
	arrived chan struct{}
	ended   *prometheus.CounterVec
}

// NewRemovals ends sessions on a cluster.
func NewRemovals(store *database.Removals, sessions *database.UsageSessions, cluster RemovalCluster, log zerolog.Logger, now func() time.Time) *Removals {
	return &Removals{store: store, sessions: sessions, cluster: cluster, log: log, now: now, arrived: make(chan struct{}, 1),
		spare: func(context.Context, *models.UsageSession, *models.Removal) (bool, error) { return false, nil },
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "pulse_removals_total",
			Help: "Participants, rooms and egresses that were ended on the cluster."}, []string{"subject", "cause"})}
}

// SpareIf lets removals be dropped that are no longer called for.
func (r *Removals) SpareIf(spare func(context.Context, *models.UsageSession, *models.Removal) (bool, error)) {
	r.spare = spare
}

// Register offers the number of removals as a metric.
func (r *Removals) Register(registry prometheus.Registerer) { registry.MustRegister(r.ended) }

// Add has a session ended, now or as soon as the cluster is there.
func (r *Removals) Add(ctx context.Context, v models.Removal) error {
	err := r.store.Insert(ctx, &v)
	if models.IsKind(err, models.KindConflict) {
		err = nil
		if v.Cause != models.RemovedByQuota { // which may be spared, the others not
			err = r.store.Because(ctx, v.ID, v.Cause, v.DueAt)
		}
	}
	if err != nil {
		return err
	}
	select {
	case r.arrived <- struct{}{}:
	default:
	}
	return nil
}

// Run works until ctx ends. Several processes may: each claims its own.
func (r *Removals) Run(ctx context.Context) error {
	poll := time.NewTicker(removalsPoll)
	defer poll.Stop()
	for ctx.Err() == nil {
		worked, err := r.Work(ctx)
		if err != nil && ctx.Err() == nil {
			r.log.Error().Err(err).Msg("removals: the database is away")
			sleep(ctx, outagePause)
			continue
		}
		if worked > 0 {
			continue
		}
		select {
		case <-ctx.Done():
		case <-r.arrived:
		case <-poll.C:
		}
	}
	return nil
}

// Work claims what is due, as much as is done at a time, and tells how much
// that was. An error is the database's; what the cluster did not do is due
// again later.
func (r *Removals) Work(ctx context.Context) (int, error) {
	group, working := errgroup.WithContext(ctx)
	claimed := 0
	var failed error
	for ; claimed < removalsAtOnce; claimed++ {
		now := r.now()
		v, err := r.store.Claim(ctx, now, now.Add(removalLease))
		if models.IsKind(err, models.KindNotFound) {
			break
		}
		if err != nil {
			failed = err
			break
		}
		group.Go(func() error { return r.end(working, &v) })
	}
	if err := group.Wait(); err != nil {
		failed = err
	}
	return claimed, failed
}

// end ends one session, if it goes on and has to end still.
func (r *Removals) end(ctx context.Context, v *models.Removal) error {
	session, err := r.sessions.Get(ctx, v.ProjectID, v.ID)
	if err != nil && !models.IsKind(err, models.KindNotFound) {
		return err
	}
	if err != nil || !session.Open {
		return r.store.Done(ctx, v.ID) // who bears the name now may be somebody else
	}
	if spared, err := r.spare(ctx, &session, v); err != nil || spared {
		if err != nil {
			return err
		}
		return r.store.Done(ctx, v.ID)
	}
	if err := r.ask(ctx, v); err != nil {
		wait := firstRemovalRetry
		for range v.Attempts - 1 {
			wait = min(2*wait, lastRemovalRetry)
		}
		r.log.Warn().Err(err).Str("session_id", v.ID).Str("cause", string(v.Cause)).Int64("attempts", v.Attempts).Msg("removals: the cluster did not do it")
		return r.store.Postpone(ctx, v.ID, r.now().Add(wait))
	}
	r.ended.WithLabelValues(string(v.Subject), string(v.Cause)).Inc()
	r.log.Info().Str("project_id", string(v.ProjectID)).Str("session_id", v.ID).Str("cause", string(v.Cause)).
		Str("quota", string(v.Quota)).Msg("removals: ended")
	return r.store.Done(ctx, v.ID)
}

// ask has the cluster end what a removal is of.
func (r *Removals) ask(ctx context.Context, v *models.Removal) error {
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
