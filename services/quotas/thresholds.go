package quotas

import (
	"context"
	"errors"
	"fmt"
	"time"

	"pulse-control-plane/models"
	"pulse-control-plane/services/events"
)

// refusal is the error of a claim that got no slot; taken is how many are used.
func (s *Limits) refusal(ctx context.Context, c claim, taken slotUse, err error, now time.Time) error {
	if !isFull(err) {
		return err
	}
	use := models.QuotaUse{Quota: c.quota, Limit: c.limit, Used: float64(taken.used), Reserved: taken.reserved}
	refused := s.exceeded(ctx, c.owner, use, now)
	if errors.Is(err, errClientShare) {
		refused.Message = fmt.Sprintf("Tokens for a key alone may reserve %d of the %d slots of the quota %s, and do: "+
			"reservations end when their participants join, at the latest after %s.", clientShare(c.limit), c.limit, c.quota, s.c.ReservationTTL)
	}
	return refused
}

// exceeded counts a refusal, records reached thresholds and returns the error.
func (s *Limits) exceeded(ctx context.Context, owner string, use models.QuotaUse, now time.Time) *models.Error {
	s.refused.WithLabelValues(string(use.Quota)).Inc()
	s.tell(ctx, owner, use.Quota, use.Limit, use.Used, now)
	return models.QuotaExceeded(use)
}

// tell stores an event for each reached threshold, once per period. If a write
// fails, the next call repeats it.
func (s *Limits) tell(ctx context.Context, owner string, q models.Quota, limit int64, used float64, now time.Time) {
	for _, percent := range []int64{models.QuotaWarningPercent, models.QuotaReachedPercent} {
		if used*100 < float64(limit*percent) {
			return
		}
		e := threshold(owner, q, limit, percent, now)
		if s.told.Contains(e.ID) {
			continue
		}
		e.Used, e.At, e.EventID = used, now.UTC().Truncate(time.Millisecond), events.QuotaEventID(&e)
		// The event first: tenants have received what the list of thresholds shows.
		if err := s.c.Told(ctx, &e); err != nil {
			s.c.Log.Error().Err(err).Str("owner", owner).Str("quota", string(q)).Msg("quotas: could not store the event of a threshold")
			return
		}
		switch err := s.c.Events.Insert(ctx, &e); {
		case err == nil:
			s.c.Log.Warn().Str("event_id", e.EventID).Str("owner", owner).Str("quota", string(q)).Int64("limit", limit).
				Float64("used", used).Msg(e.Type())
		case !models.IsKind(err, models.KindConflict):
			s.c.Log.Error().Err(err).Str("owner", owner).Str("quota", string(q)).Msg("quotas: could not record a threshold")
			return
		}
		s.told.Add(e.ID, struct{}{})
	}
}

// threshold is the event of a threshold in the period of a time, with its id but
// without the usage.
func threshold(owner string, q models.Quota, limit, percent int64, at time.Time) models.QuotaEvent {
	period := q.Period().Start(at)
	return models.QuotaEvent{
		ID: fmt.Sprintf("%s|%s|%d|%d|%s", owner, q, percent, limit, period.Format(time.DateOnly)), Owner: owner, Quota: q,
		Percent: percent, Limit: limit, Period: period,
	}
}
