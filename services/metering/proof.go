package metering

import (
	"time"

	"pulse-control-plane/models"
)

// FactsOf gives the usage facts that a session must have at a time: one for each
// hour, as the Recorder writes them.
func FactsOf(s *models.UsageSession, now time.Time) []models.UsageFact { return factsOf(s, now) }

// FactsKept tells whether the facts of an hour are complete at a time: those of
// older hours are being deleted.
func FactsKept(hour, now time.Time) bool {
	return !hour.Before(models.WindowHour.Start(now.Add(-factRetention)))
}

// SessionsNamed gives the ids of which a usage session must have one once an
// event is processed that announces it; none if the event announces nothing.
func SessionsNamed(e *models.LiveKitEvent) []string {
	if e.ProjectID == "" || e.SessionID != "" {
		return nil
	}
	switch {
	case e.Event == models.EventRoomStarted && e.RoomSID != "" && !e.RoomCreatedAt.IsZero():
		return []string{e.RoomSID}
	case e.Event == models.EventParticipantJoined && e.Participant != nil && e.Participant.SID != "" && !e.Participant.JoinedAt.IsZero():
		return []string{e.Participant.SID, elsewhere(e.Participant.SID, e.RoomSID)}
	case (e.Event == models.EventEgressStarted || e.Event == models.EventIngressStarted) && e.Media != nil && e.Media.ID != "":
		return []string{e.Media.ID}
	}
	return nil
}

// HourTotalOf names the hourly total that a fact is part of.
func HourTotalOf(f *models.UsageFact) string { return hourTotal(f.ProjectID, f.Meter, f.Timestamp).ID }
