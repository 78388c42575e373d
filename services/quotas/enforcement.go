package quotas

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"pulse-control-plane/models"
	"pulse-control-plane/services/evictions"
	"pulse-control-plane/services/metering"
	"pulse-control-plane/utils/required"
	"pulse-control-plane/utils/times"
)

const (
	// enforceParallel is how many projects are enforced at a time.
	enforceParallel = 8
	// endedAtOnce bounds the evictions of one project in one pass; the next pass
	// continues.
	endedAtOnce = 1000
)

// Enforcer evicts usage sessions over a limit: participants and rooms without a
// slot, and those that continue after the grace period of an exhausted month.
type Enforcer struct {
	c      EnforcerConfig
	limits *Limits
}

// EnforcerConfig of NewEnforcer; every field is required.
type EnforcerConfig struct {
	Limits    *Limits
	Evictions *evictions.Queue
	// Grace is how long open sessions may continue after a month is exhausted.
	Grace time.Duration
}

// NewEnforcer builds the service. It fails if a required field is missing.
func NewEnforcer(c EnforcerConfig) (*Enforcer, error) {
	return &Enforcer{c, c.Limits}, required.Fields(c)
}

var _ metering.Consumer = (*Enforcer)(nil)

// Consume assigns slots to sessions that are open and gives back those of
// sessions that ended; sessions beyond a limit are evicted.
func (s *Enforcer) Consume(ctx context.Context, b *metering.Batch) error {
	pending, err := s.pendingAdmissions(ctx, b.Changes)
	if err != nil || len(pending) == 0 {
		return err
	}
	sessions := make([]models.UsageSession, 0, len(pending))
	for i := range b.Changes {
		if session := &b.Changes[i].Session; pending[session.ID] != nil {
			sessions = append(sessions, *session)
		}
	}
	// Ended sessions release their slots first; then the earliest join wins.
	slices.SortFunc(sessions, func(a, b models.UsageSession) int {
		return cmp.Or(cmp.Compare(rank(a.Open), rank(b.Open)), a.JoinedAt.Compare(b.JoinedAt),
			cmp.Compare(a.RoomName, b.RoomName), cmp.Compare(a.Identity, b.Identity))
	})
	back := map[slotHolder]bool{}
	for i := range sessions {
		if sessions[i].Open {
			back[holderOf(&sessions[i])] = true
		}
	}
	byProject := map[models.ProjectID][]models.UsageSession{}
	for i := range sessions {
		if !sessions[i].Open && back[holderOf(&sessions[i])] {
			continue // a holder that came back keeps the slot
		}
		p := sessions[i].ProjectID
		byProject[p] = append(byProject[p], sessions[i])
	}
	group, working := errgroup.WithContext(ctx)
	group.SetLimit(enforceParallel)
	for _, of := range byProject {
		group.Go(func() error {
			for i := range of {
				if err := s.assign(working, &of[i], pending[of[i].ID]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// slotHolder is the participant or room of a usage session; it has at most one open
// session.
type slotHolder struct {
	project        models.ProjectID
	meter          models.Meter
	room, identity string
}

func holderOf(s *models.UsageSession) slotHolder {
	return slotHolder{s.ProjectID, s.Meter(), s.RoomName, s.Identity}
}

func rank(open bool) int {
	if open {
		return 1
	}
	return 0
}

// pendingAdmission is a session whose slot events may change.
type pendingAdmission struct {
	quotas *models.Quotas
	change *metering.Change
}

// new reports whether the session has only just become known: an event announces
// it, or would have, had the announcement not been missed.
func (a *pendingAdmission) new() bool {
	c := a.change
	return c.Announced || !c.HeardAt.IsZero() && !c.Session.RecordedAt.Before(c.HeardAt.Truncate(time.Millisecond))
}

// pendingAdmissions gives the sessions whose projects have quotas of what is
// there at the same time.
func (s *Enforcer) pendingAdmissions(ctx context.Context, changes []metering.Change) (map[string]*pendingAdmission, error) {
	out := map[string]*pendingAdmission{}
	for i := range changes {
		project := changes[i].Session.ProjectID
		limits, err := s.limits.limitsOf(ctx, project)
		if err != nil {
			return nil, err
		}
		limited := false
		for _, q := range models.SimultaneousQuotas() {
			if limits.quotas.Of(q) > 0 {
				limited = true
				continue
			}
			// Nobody counts from here on: a later limit begins anew.
			s.limits.slots.Forget(string(project), q)
		}
		if limited {
			out[changes[i].Session.ID] = &pendingAdmission{quotas: &limits.quotas, change: &changes[i]}
		}
	}
	return out, nil
}

// assign gives an open session its slot, or evicts it if it is new and no slot is
// free, and releases the slot of an ended one. Sessions from before the limit was
// set may continue.
func (s *Enforcer) assign(ctx context.Context, session *models.UsageSession, of *pendingAdmission) error {
	if session.Subject == models.SubjectRoom && !session.Open {
		for _, q := range [...]models.Quota{models.QuotaConcurrentParticipants, models.QuotaConcurrentAgents} {
			if of.quotas.Of(q) == 0 {
				continue
			}
			if err := s.limits.slots.RoomEnded(ctx, session.ProjectID, q, session.RoomName); err != nil {
				return err
			}
		}
	}
	c, limited := s.limits.claimOf(session, of.quotas)
	if !limited {
		return nil
	}
	if !session.Open {
		joined := session.JoinedAt
		if !session.Observed.Started {
			joined = time.Time{}
		}
		return s.limits.slots.Vacate(ctx, c, session.ID, joined)
	}
	used, err := s.limits.slots.Assign(ctx, c, session.ID)
	if err != nil && !errors.Is(err, errFull) {
		return err
	}
	s.limits.tell(ctx, c.owner, c.quota, c.limit, float64(used.used), s.limits.c.Now())
	if err == nil || !of.new() {
		return nil
	}
	return s.evict(ctx, session, c.quota)
}

// evict stores the eviction of a session that a quota does not allow.
func (s *Enforcer) evict(ctx context.Context, session *models.UsageSession, q models.Quota) error {
	v := models.EvictionOf(session, models.EvictedByQuota, s.limits.c.Now())
	v.Quota = q
	return s.c.Evictions.Add(ctx, v)
}

// Enforce checks every project with open sessions: it records reached thresholds
// of the month, evicts rooms or egresses once the month has been exhausted for
// longer than the grace period, and evicts everything of a deleted project.
func (s *Enforcer) Enforce(ctx context.Context) error {
	projects, err := s.limits.c.Sessions.OpenProjects(ctx)
	if err != nil {
		return err
	}
	var group errgroup.Group // without a context: a failed project must not cancel others
	group.SetLimit(enforceParallel)
	for _, p := range projects {
		group.Go(func() error { return s.enforce(ctx, p) })
	}
	return group.Wait()
}

func (s *Enforcer) enforce(ctx context.Context, p models.ProjectID) error {
	limits, err := s.limits.limitsOf(ctx, p)
	if err != nil {
		return err
	}
	if limits.gone {
		return errors.Join(
			s.endAll(ctx, p, models.SubjectRoom, models.EvictedByDeletion, ""),
			s.endAll(ctx, p, models.SubjectEgress, models.EvictedByDeletion, ""))
	}
	q, now := &limits.quotas, s.limits.c.Now()
	if q.ParticipantMinutes == 0 && q.EgressMinutes == 0 {
		return nil
	}
	month, err := s.limits.month(ctx, p, now)
	if err != nil {
		return err
	}
	return errors.Join(
		s.enforceMonth(ctx, limits, models.QuotaParticipantMinutes, models.SubjectRoom, month, now),
		s.enforceMonth(ctx, limits, models.QuotaEgressMinutes, models.SubjectEgress, month, now))
}

// enforceMonth evicts the open sessions of a subject once a month's limit was
// reached, or set, longer ago than the grace period.
func (s *Enforcer) enforceMonth(ctx context.Context, l *projectQuotas, name models.Quota, subject models.Subject, month *monthUse, now time.Time) error {
	limit, used := l.quotas.Of(name), month.of(name, &l.quotas)
	if limit == 0 {
		return nil
	}
	s.limits.tell(ctx, string(l.project), name, limit, used, now)
	if used < float64(limit) {
		return nil
	}
	reached, err := s.limits.c.Events.Get(ctx, threshold(string(l.project), name, limit, models.QuotaReachedPercent, now).ID)
	if err != nil {
		return err
	}
	if now.Before(times.Latest(reached.At, l.since).Add(s.c.Grace)) {
		return nil
	}
	return s.endAll(ctx, l.project, subject, models.EvictedByQuota, name)
}

// endAll evicts the open sessions of a subject of a project.
func (s *Enforcer) endAll(ctx context.Context, p models.ProjectID, subject models.Subject, cause models.EvictionCause, q models.Quota) error {
	open, err := s.limits.c.Sessions.OpenSubject(ctx, p, subject, endedAtOnce)
	if err != nil {
		return err
	}
	for i := range open {
		v := models.EvictionOf(&open[i], cause, s.limits.c.Now())
		v.Quota = q
		if err := s.c.Evictions.Add(ctx, v); err != nil {
			return err
		}
	}
	return nil
}
