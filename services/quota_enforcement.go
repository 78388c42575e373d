package services

import (
	"cmp"
	"context"
	"errors"
	"pulse-control-plane/utils/times"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"pulse-control-plane/models"
)

const (
	// enforceEvery is how often the months of projects with something open are
	// looked at.
	enforceEvery = 5 * time.Second
	// enforceLease is how long that waits for a replica that died.
	enforceLease = 20 * time.Second
	// enforceParallel is how many projects are held to their quotas at a time.
	enforceParallel = 8
	// endedAtOnce bounds what of one project is to be ended in one pass; the
	// next one goes on.
	endedAtOnce = 1000

	quotasJob = "quotas"
)

var _ EventConsumer = (*Quotas)(nil)

// Consume takes places for who and what is there now and gives back those of
// what has ended; what is there beyond a limit it has removed. It comes after
// Metering, which knows what is open.
func (s *Quotas) Consume(ctx context.Context, events []models.LiveKitEvent) error {
	concerned, err := s.concerned(ctx, events)
	if err != nil || len(concerned) == 0 {
		return err
	}
	ids := make([]string, 0, len(concerned))
	for id := range concerned {
		ids = append(ids, id)
	}
	sessions, err := s.sessions.Named(ctx, ids)
	if err != nil {
		return err
	}
	// Who left makes room for who came, and of those the first.
	slices.SortFunc(sessions, func(a, b models.UsageSession) int {
		return cmp.Or(cmp.Compare(rank(a.Open), rank(b.Open)), a.JoinedAt.Compare(b.JoinedAt),
			cmp.Compare(a.RoomName, b.RoomName), cmp.Compare(a.Identity, b.Identity))
	})
	back := map[occupant]bool{}
	for i := range sessions {
		if sessions[i].Open {
			back[occupantOf(&sessions[i])] = true
		}
	}
	byProject := map[models.ProjectID][]models.UsageSession{}
	for i := range sessions {
		if !sessions[i].Open && back[occupantOf(&sessions[i])] {
			continue // whoever came back keeps the place
		}
		p := sessions[i].ProjectID
		byProject[p] = append(byProject[p], sessions[i])
	}
	group, working := errgroup.WithContext(ctx)
	group.SetLimit(enforceParallel)
	for _, of := range byProject {
		group.Go(func() error {
			for i := range of {
				if err := s.seat(working, &of[i], concerned[of[i].ID]); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// occupant is who or what a session is of, which is there once at a time.
type occupant struct {
	project        models.ProjectID
	meter          models.Meter
	room, identity string
}

func occupantOf(s *models.UsageSession) occupant {
	return occupant{s.ProjectID, s.Meter(), s.RoomName, s.Identity}
}

func rank(open bool) int {
	if open {
		return 1
	}
	return 0
}

// concern is what events say of a session that quotas care for.
type concern struct {
	quotas *models.Quotas
	// begins tells that one of them announces it; heard is when the last one
	// came that would, had the announcement been missed.
	begins bool
	heard  time.Time
}

// new tells whether a session has only just become known.
func (c *concern) new(s *models.UsageSession) bool {
	return c.begins || !c.heard.IsZero() && !s.RecordedAt.Before(c.heard.Truncate(time.Millisecond))
}

// concerned gives the sessions that events begin or end, as far as their
// projects have quotas of what is there at the same time.
func (s *Quotas) concerned(ctx context.Context, events []models.LiveKitEvent) (map[string]*concern, error) {
	out := map[string]*concern{}
	for i := range events {
		e := &events[i]
		if e.ProjectID == "" {
			continue
		}
		announced := ""
		switch e.Event {
		case models.EventRoomStarted:
			announced = e.RoomSID
		case models.EventParticipantJoined:
			if e.Participant != nil {
				announced = e.Participant.SID
			}
		case models.EventFoundPresent:
			announced = e.SessionID
		case models.EventRoomFinished, models.EventParticipantLeft, models.EventParticipantAborted, models.EventFoundGone:
		default:
			continue
		}
		limits, err := s.limitsOf(ctx, e.ProjectID)
		if err != nil {
			return nil, err
		}
		unlimited := 0
		for _, q := range [...]models.Quota{models.QuotaConcurrentParticipants, models.QuotaRooms} {
			if limits.quotas.Of(q) == 0 {
				// Nobody keeps count from here on: should there be a limit again, it begins anew.
				s.places.Forget(string(e.ProjectID), q)
				unlimited++
			}
		}
		if unlimited == 2 {
			continue
		}
		for _, id := range Touches(e) {
			c := out[id]
			if c == nil {
				c = &concern{quotas: &limits.quotas}
				out[id] = c
			}
			c.begins = c.begins || id == announced
			if announced != "" {
				c.heard = times.Latest(c.heard, e.ReceivedAt)
			}
		}
	}
	return out, nil
}

// seat gives a session that is open its place, or has it ended if it is new
// and there is none, and takes the place of one that has ended. What was there
// before there was a limit stays.
func (s *Quotas) seat(ctx context.Context, session *models.UsageSession, of *concern) error {
	if session.Subject == models.SubjectRoom && !session.Open && of.quotas.ConcurrentParticipants > 0 {
		if err := s.places.RoomEnded(ctx, session.ProjectID, session.RoomName); err != nil {
			return err
		}
	}
	c, limited := s.claimOf(session, of.quotas)
	if !limited {
		return nil
	}
	if !session.Open {
		joined := session.JoinedAt
		if !session.Observed.Started {
			joined = time.Time{}
		}
		return s.places.Vacate(ctx, c, session.ID, joined)
	}
	used, err := s.places.Occupy(ctx, c, session.ID)
	if err != nil && !errors.Is(err, errFull) {
		return err
	}
	s.tell(ctx, c.owner, c.quota, c.limit, float64(used.used), s.o.Now())
	if err == nil || !of.new(session) {
		return nil
	}
	return s.remove(ctx, session, c.quota)
}

// claimOf is the claim of a session to be there at the same time as others.
func (s *Quotas) claimOf(session *models.UsageSession, q *models.Quotas) (c claim, limited bool) {
	switch {
	case session.Meter() == models.MeterParticipantSeconds:
		c = s.participant(session.ProjectID, q.ConcurrentParticipants, session.RoomName, session.Identity)
	case session.Subject == models.SubjectRoom:
		c = s.room(session.ProjectID, q.Rooms, session.RoomName, "")
	}
	c.joined = session.JoinedAt
	return c, c.limit > 0
}

// remove has a session ended that a quota does not allow.
func (s *Quotas) remove(ctx context.Context, session *models.UsageSession, q models.Quota) error {
	v := models.RemovalOf(session, models.RemovedByQuota, s.o.Now())
	v.Quota = q
	return s.removals.Add(ctx, v)
}

// spare tells whether a session that a quota did not allow may stay: somebody
// left meanwhile, or the limit is another.
func (s *Quotas) spare(ctx context.Context, session *models.UsageSession, v *models.Removal) (bool, error) {
	if v.Cause != models.RemovedByQuota {
		return false, nil
	}
	limits, err := s.limitsOf(ctx, v.ProjectID)
	if err != nil {
		return false, err
	}
	limit := limits.quotas.Of(v.Quota)
	switch {
	case limits.gone:
		return false, nil
	case limit == 0:
		return true, nil
	case v.Quota.Monthly():
		month, err := s.month(ctx, v.ProjectID, s.o.Now())
		return err == nil && month.of(v.Quota) < float64(limit), err
	}
	c, limited := s.claimOf(session, &limits.quotas)
	if !limited {
		return true, nil
	}
	if _, err = s.places.Occupy(ctx, c, session.ID); errors.Is(err, errFull) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	// They may have left meanwhile, and then nobody else would give it back.
	now, err := s.sessions.Get(ctx, v.ProjectID, v.ID)
	if err != nil || now.Open {
		return err == nil, err
	}
	return true, s.places.Vacate(ctx, c, session.ID, time.Time{})
}

// Run holds projects to their months until ctx ends, in one replica at a time.
func (s *Quotas) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := s.turn(ctx); err != nil && ctx.Err() == nil {
			s.o.Log.Error().Err(err).Msg("quotas: a pass failed")
		}
		Sleep(ctx, enforceEvery)
	}
	return nil
}

func (s *Quotas) turn(ctx context.Context) error {
	now := s.o.Now()
	held, err := s.o.Leases.Acquire(ctx, quotasJob, s.o.Holder, now, now.Add(enforceLease))
	if err != nil || !held {
		return err
	}
	return s.Enforce(ctx)
}

// Enforce looks at every project that has something open: it tells of the
// thresholds of its month, has its rooms or egresses ended once that was used
// up for longer than the grace, and everything if the project was deleted.
func (s *Quotas) Enforce(ctx context.Context) error {
	projects, err := s.sessions.OpenProjects(ctx)
	if err != nil {
		return err
	}
	var group errgroup.Group // one that fails keeps nobody else from being looked at
	group.SetLimit(enforceParallel)
	for _, p := range projects {
		group.Go(func() error { return s.enforce(ctx, p) })
	}
	return group.Wait()
}

func (s *Quotas) enforce(ctx context.Context, p models.ProjectID) error {
	limits, err := s.limitsOf(ctx, p)
	if err != nil {
		return err
	}
	if limits.gone {
		return errors.Join(
			s.endAll(ctx, p, models.SubjectRoom, models.RemovedByDeletion, ""),
			s.endAll(ctx, p, models.SubjectEgress, models.RemovedByDeletion, ""))
	}
	q, now := &limits.quotas, s.o.Now()
	if q.ParticipantMinutes == 0 && q.EgressMinutes == 0 {
		return nil
	}
	month, err := s.month(ctx, p, now)
	if err != nil {
		return err
	}
	return errors.Join(
		s.enforceMonth(ctx, limits, models.QuotaParticipantMinutes, models.SubjectRoom, month, now),
		s.enforceMonth(ctx, limits, models.QuotaEgressMinutes, models.SubjectEgress, month, now))
}

// enforceMonth has what of a subject is open ended once a month's limit was
// reached, or set, longer ago than the grace.
func (s *Quotas) enforceMonth(ctx context.Context, l *projectQuotas, name models.Quota, subject models.Subject, month *monthUse, now time.Time) error {
	limit, used := l.quotas.Of(name), month.of(name)
	if limit == 0 {
		return nil
	}
	s.tell(ctx, string(l.project), name, limit, used, now)
	if used < float64(limit) {
		return nil
	}
	reached, err := s.events.Get(ctx, threshold(string(l.project), name, limit, models.QuotaReachedPercent, now).ID)
	if err != nil {
		return err
	}
	if now.Before(times.Latest(reached.At, l.since).Add(s.o.Grace)) {
		return nil
	}
	return s.endAll(ctx, l.project, subject, models.RemovedByQuota, name)
}

// endAll has everything of a subject ended that a project has open.
func (s *Quotas) endAll(ctx context.Context, p models.ProjectID, subject models.Subject, cause models.RemovalCause, q models.Quota) error {
	open, err := s.sessions.OpenSubject(ctx, p, subject, endedAtOnce)
	if err != nil {
		return err
	}
	for i := range open {
		v := models.RemovalOf(&open[i], cause, s.o.Now())
		v.Quota = q
		if err := s.removals.Add(ctx, v); err != nil {
			return err
		}
	}
	return nil
}
