package services

import (
	"cmp"
	"context"
	"errors"
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
	// endedAtOnce bounds what of one project is ended in one pass; the next
	// one goes on.
	endedAtOnce = 1000

	quotasJob = "quotas"
)

var _ EventConsumer = (*Quotas)(nil)

// Consume takes places for who and what is there now and gives back those of
// what has ended; what is there beyond a limit is removed. It comes after
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
		return cmp.Or(cmp.Compare(rank(a.Open), rank(b.Open)), a.JoinedAt.Compare(b.JoinedAt), cmp.Compare(a.ID, b.ID))
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
	subject        models.Subject
	room, identity string
}

func occupantOf(s *models.UsageSession) occupant {
	return occupant{s.ProjectID, s.Subject, s.RoomName, s.Identity}
}

func rank(open bool) int {
	if open {
		return 1
	}
	return 0
}

// concerned gives the ids of the sessions that events begin or end, and the
// quotas of their projects, as far as those have any of what is there at the
// same time.
func (s *Quotas) concerned(ctx context.Context, events []models.LiveKitEvent) (map[string]*models.Quotas, error) {
	out := map[string]*models.Quotas{}
	for i := range events {
		e := &events[i]
		if e.ProjectID == "" {
			continue
		}
		switch e.Event {
		case models.EventRoomStarted, models.EventRoomFinished, models.EventParticipantJoined, models.EventParticipantLeft,
			models.EventParticipantAborted, models.EventFoundPresent, models.EventFoundGone:
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
		for _, id := range touches(e) {
			out[id] = &limits.quotas
		}
	}
	return out, nil
}

// seat gives a session that is open its place, or ends it if there is none,
// and takes the place of one that has ended.
func (s *Quotas) seat(ctx context.Context, session *models.UsageSession, q *models.Quotas) error {
	var c claim
	var end func() error
	switch {
	case session.Meter() == models.MeterParticipantSeconds && q.ConcurrentParticipants > 0:
		c = s.participant(session.ProjectID, q.ConcurrentParticipants, session.RoomName, session.Identity)
		end = func() error {
			return s.cluster.RemoveParticipant(ctx, models.QualifyRoom(session.ProjectID, session.RoomName), session.Identity)
		}
	case session.Subject == models.SubjectRoom && q.Rooms > 0:
		c = s.room(session.ProjectID, q.Rooms, session.RoomName)
		end = func() error { return s.cluster.EndRoom(ctx, models.QualifyRoom(session.ProjectID, session.RoomName)) }
	}
	if session.Subject == models.SubjectRoom && !session.Open && q.ConcurrentParticipants > 0 {
		s.places.RoomEnded(session.ProjectID, session.RoomName)
	}
	switch {
	case end == nil:
		return nil
	case !session.Open:
		return s.places.Vacate(ctx, c.owner, c.quota, c.holder, session.ID)
	}
	used, err := s.places.Occupy(ctx, c, session.ID)
	if !errors.Is(err, errFull) {
		if err == nil {
			s.tell(ctx, c.owner, c.quota, c.limit, float64(used))
		}
		return err
	}
	s.tell(ctx, c.owner, c.quota, c.limit, float64(c.limit))
	s.o.Log.Info().Str("project_id", string(session.ProjectID)).Str("quota", string(c.quota)).Int64("limit", c.limit).
		Str("session_id", session.ID).Msg("quotas: ended what came beyond the limit")
	s.ended.WithLabelValues(string(c.quota)).Inc()
	if err := end(); err != nil {
		return models.Internal(err) // tried again for that room alone
	}
	return nil
}

// Run holds projects to their months until ctx ends, in one replica at a time.
func (s *Quotas) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		if err := s.turn(ctx); err != nil && ctx.Err() == nil {
			s.o.Log.Error().Err(err).Msg("quotas: a pass failed")
		}
		sleep(ctx, enforceEvery)
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
// thresholds of its month, and ends its rooms or egresses once that was used
// up for longer than the grace.
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
	q := &limits.quotas
	if q.ParticipantMinutes == 0 && q.EgressMinutes == 0 {
		return nil
	}
	month, err := s.month(ctx, p)
	if err != nil {
		return err
	}
	return errors.Join(
		s.enforceMonth(ctx, p, models.QuotaParticipantMinutes, q.ParticipantMinutes, month.participantMinutes, models.SubjectRoom,
			func(room *models.UsageSession) error {
				return s.cluster.EndRoom(ctx, models.QualifyRoom(p, room.RoomName))
			}),
		s.enforceMonth(ctx, p, models.QuotaEgressMinutes, q.EgressMinutes, month.egressMinutes, models.SubjectEgress,
			func(egress *models.UsageSession) error { return s.cluster.StopEgress(ctx, egress.ID) }))
}

// enforceMonth ends what of a subject is open once a month's limit was reached
// longer ago than the grace.
func (s *Quotas) enforceMonth(ctx context.Context, p models.ProjectID, name models.Quota, limit int64, used float64,
	subject models.Subject, end func(*models.UsageSession) error) error {
	if limit == 0 {
		return nil
	}
	s.tell(ctx, string(p), name, limit, used)
	if used < float64(limit) {
		return nil
	}
	reached, err := s.events.Get(ctx, s.threshold(string(p), name, limit, models.QuotaReachedPercent).ID)
	if err != nil {
		return err
	}
	if s.o.Now().Before(reached.At.Add(s.o.Grace)) {
		return nil
	}
	open, err := s.sessions.OpenSubject(ctx, p, subject, endedAtOnce)
	if err != nil {
		return err
	}
	var failed error
	for i := range open {
		if err := end(&open[i]); err != nil {
			failed = errors.Join(failed, err)
			continue
		}
		s.ended.WithLabelValues(string(name)).Inc()
	}
	if len(open) > 0 {
		s.o.Log.Info().Str("project_id", string(p)).Str("quota", string(name)).Int64("limit", limit).Int("ended", len(open)).
			Msg("quotas: the month is used up")
	}
	return failed
}
