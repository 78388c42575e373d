package quotas

import (
	"context"
	"errors"
	"time"

	"pulse-control-plane/models"
)

// Spare reports whether a session to be evicted for a quota may continue, because a
// slot is free by now or the limit changed. It implements evictions.Spare.
func (s *Limits) Spare(ctx context.Context, session *models.UsageSession, v *models.Eviction) (bool, error) {
	if v.Cause != models.EvictedByQuota {
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
		month, err := s.month(ctx, v.ProjectID, s.c.Now())
		return err == nil && month.of(v.Quota, &limits.quotas) < float64(limit), err
	}
	c, limited := s.claimOf(session, &limits.quotas)
	if !limited {
		return true, nil
	}
	if _, err = s.slots.Assign(ctx, c, session.ID); errors.Is(err, errFull) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	// If the session ended meanwhile, nothing else would release the slot.
	now, err := s.c.Sessions.Get(ctx, v.ProjectID, v.ID)
	if err != nil || now.Open {
		return err == nil, err
	}
	return true, s.slots.Vacate(ctx, c, session.ID, time.Time{})
}

// claimOf is the claim of a usage session to a slot.
func (s *Limits) claimOf(session *models.UsageSession, q *models.Quotas) (c claim, limited bool) {
	switch {
	case session.Meter().OfParticipants():
		c = s.participant(session.ProjectID, q, session.Meter(), session.RoomName, session.Identity)
	case session.Subject == models.SubjectRoom:
		c = s.room(session.ProjectID, q.Rooms, session.RoomName, "")
	}
	c.joined = session.JoinedAt
	return c, c.limit > 0
}
