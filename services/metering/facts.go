package metering

import (
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/utils/times"
)

// factRetention is the age up to which facts of an hour are written. Older facts
// are being deleted, and a total computed from the rest would be wrong, so such
// totals keep their value.
const factRetention = database.RawUsageRetention - 24*time.Hour

// meteredHours extends the hours for which a session has facts by those it covers
// now. An hour that it no longer covers is thereby corrected to zero.
func meteredHours(s *models.UsageSession) {
	if s.Open || s.Meter() == "" || !s.LeftAt.After(s.JoinedAt) {
		return
	}
	from := models.WindowHour.Start(s.JoinedAt)
	to := models.WindowHour.Next(models.WindowHour.Start(s.LeftAt.Add(-time.Nanosecond)))
	if s.MeteredFrom.IsZero() || from.Before(s.MeteredFrom) {
		s.MeteredFrom = from
	}
	if to.After(s.MeteredTo) {
		s.MeteredTo = to
	}
}

// factsOf splits a session at full hours: one fact per hour from MeteredFrom to
// MeteredTo, with the value zero for hours the session no longer covers. Hours
// older than factRetention have none.
func factsOf(s *models.UsageSession, now time.Time) []models.UsageFact {
	meter := s.Meter()
	if meter == "" || s.MeteredFrom.IsZero() {
		return nil
	}
	from := s.MeteredFrom
	if oldest := models.WindowHour.Start(now.Add(-factRetention)); from.Before(oldest) {
		from = oldest
	}
	var out []models.UsageFact
	for hour := from; hour.Before(s.MeteredTo); hour = hour.Add(time.Hour) {
		at, seconds := hour, 0.0
		if !s.Open {
			at, seconds = times.Overlap(s.JoinedAt, s.LeftAt, hour, hour.Add(time.Hour))
		}
		out = append(out, models.UsageFact{
			ID:        s.ID + "|" + string(meter) + "|" + hour.UTC().Format("2006-01-02T15"),
			ProjectID: s.ProjectID, Meter: meter, Timestamp: at, Value: seconds,
			SessionID: s.ID, RoomName: s.RoomName, EventIDs: s.EventIDs,
		})
	}
	return out
}

// touchedBy lists the hourly totals that a session's facts and peak are part of, or
// were as it was before; before is the zero value for a new one.
func touchedBy(s, before *models.UsageSession, facts []models.UsageFact, now time.Time) []models.UsageTotal {
	var out []models.UsageTotal
	for i := range facts {
		out = append(out, hourTotal(s.ProjectID, facts[i].Meter, facts[i].Timestamp))
	}
	was := before.Meter() == models.MeterParticipantSeconds
	if s.Meter() != models.MeterParticipantSeconds && !was || s.JoinedAt.IsZero() {
		return out
	}
	first, last := s.JoinedAt, s.Until(s.JoinedAt)
	if was {
		last = times.Latest(last, before.JoinedAt)
		if before.JoinedAt.Before(first) {
			first = before.JoinedAt
		}
	}
	if s.Open != before.Open { // it was or is counted in every hour until now
		last = times.Latest(last, now)
	}
	if !s.MeteredTo.IsZero() { // an earlier version of the session may have lasted longer
		last = times.Latest(last, s.MeteredTo.Add(-time.Second))
	}
	hour := models.WindowHour.Start(first)
	if oldest := models.WindowHour.Start(now.Add(-factRetention)); hour.Before(oldest) {
		hour = oldest
	}
	for ; !hour.After(last); hour = hour.Add(time.Hour) {
		out = append(out, hourTotal(s.ProjectID, models.MeterPeak, hour))
	}
	return out
}

func hourTotal(p models.ProjectID, m models.Meter, at time.Time) models.UsageTotal {
	return models.NewUsageTotal(p, m, models.WindowHour, at)
}
