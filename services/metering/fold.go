package metering

import (
	"time"

	"pulse-control-plane/models"
)

// reasonMigration is LiveKit's reason for a participant that moves to another node
// of the cluster and remains in the room.
const reasonMigration = "migration"

// ledger is the usage sessions that events concern, by id. The result of folding
// events into it depends only on their set, not on their order or number.
type ledger map[string]*models.UsageSession

// fold adds an event. Events of rooms that belong to no tenant, and of kinds that
// start or end nothing, add nothing.
func (l ledger) fold(e *models.LiveKitEvent) {
	if e.ProjectID == "" {
		return
	}
	l.foldRoom(e)
	switch e.Event {
	case models.EventParticipantJoined, models.EventParticipantLeft, models.EventParticipantAborted:
		l.foldParticipant(e)
	case models.EventEgressStarted, models.EventEgressUpdated, models.EventEgressEnded:
		l.foldMedia(e, models.SubjectEgress, models.EventEgressStarted, models.EventEgressEnded)
	case models.EventIngressStarted, models.EventIngressEnded:
		l.foldMedia(e, models.SubjectIngress, models.EventIngressStarted, models.EventIngressEnded)
	case models.EventFoundPresent, models.EventFoundGone:
		l.foldCorrection(e)
	}
}

// Touches lists the ids of the sessions that fold may change for an event.
func Touches(e *models.LiveKitEvent) []string {
	var out []string
	if e.ProjectID == "" {
		return nil
	}
	if e.RoomSID != "" {
		out = append(out, e.RoomSID)
	}
	switch {
	case e.SessionID != "":
		out = append(out, e.SessionID)
	case e.Participant != nil && e.Participant.SID != "":
		out = append(out, e.Participant.SID)
	case e.Media != nil && e.Media.ID != "":
		out = append(out, e.Media.ID)
	}
	return out
}

// session returns the session with an id, created if it is new, completed with
// the event's fields.
func (l ledger) session(e *models.LiveKitEvent, id string, subject models.Subject) *models.UsageSession {
	s := l[id]
	if s == nil {
		s = &models.UsageSession{ID: id, Subject: subject, ProjectID: e.ProjectID, RoomName: e.RoomName}
		l[id] = s
	}
	if s.RoomSID == "" {
		s.RoomSID = e.RoomSID
	}
	if p := e.Participant; p != nil && subject == models.SubjectParticipant {
		s.Identity, s.Kind = p.Identity, p.Kind
		if p.TokenID != "" {
			s.TokenID = p.TokenID
		}
	}
	return s
}

// foldRoom adds a room from any event that contains its creation time.
func (l ledger) foldRoom(e *models.LiveKitEvent) {
	if e.RoomSID == "" || e.RoomCreatedAt.IsZero() || e.SessionID != "" {
		return
	}
	seen := models.Observed{StartedAt: e.RoomCreatedAt, Started: true}
	switch e.Event {
	case models.EventRoomStarted:
		seen.StartedBy = []string{e.ID}
	case models.EventRoomFinished:
		seen.EndedAt, seen.EndedReason, seen.EndedBy = e.At(), models.EndedByRoom, []string{e.ID}
	default:
		seen.Witness = e.ID
	}
	l.session(e, e.RoomSID, models.SubjectRoom).Observed.Join(seen)
}

func (l ledger) foldParticipant(e *models.LiveKitEvent) {
	p := e.Participant
	if p == nil || p.SID == "" || p.JoinedAt.IsZero() {
		return
	}
	seen, by := models.Observed{StartedAt: p.JoinedAt, Started: true}, []string{e.ID}
	switch {
	case e.Event == models.EventParticipantJoined:
		seen.StartedBy = by
	case e.Event == models.EventParticipantAborted:
		seen.Started, seen.AbortedAt, seen.AbortedBy = false, e.At(), by
	case p.Reason == reasonMigration:
		seen.Witness = e.ID
	default:
		seen.EndedAt, seen.EndedReason, seen.EndedBy = e.At(), p.Reason, by
	}
	l.session(e, p.SID, models.SubjectParticipant).Observed.Join(seen)
}

func (l ledger) foldMedia(e *models.LiveKitEvent, subject models.Subject, started, ended string) {
	m := e.Media
	if m == nil || m.ID == "" {
		return
	}
	seen, by := models.Observed{StartedAt: m.StartedAt, Started: true}, []string{e.ID}
	end := m.EndedAt
	if e.Event == ended && end.IsZero() {
		end = e.At()
	}
	if seen.StartedAt.IsZero() {
		seen.StartedAt = orElse(end, e.At()) // it never ran, or has just started
	}
	switch {
	case e.Event == started:
		seen.StartedBy = by
	case e.Event != ended:
		seen.Witness = e.ID
	}
	if !end.IsZero() {
		seen.EndedAt, seen.EndedReason, seen.EndedBy = end, models.EndedByEvent, by
	}
	l.session(e, m.ID, subject).Observed.Join(seen)
}

func (l ledger) foldCorrection(e *models.LiveKitEvent) {
	seen, by := models.Observed{CorrectedBy: []string{e.ID}}, e.CreatedAt
	switch e.Event {
	case models.EventFoundPresent:
		seen.Started, seen.PresentAt = true, by
		switch {
		case e.Participant != nil:
			seen.StartedAt = e.Participant.JoinedAt
		case e.Media != nil:
			seen.StartedAt = e.Media.StartedAt
		default:
			seen.StartedAt = e.RoomCreatedAt
		}
	case models.EventFoundGone:
		if l[e.SessionID] == nil {
			return // an unknown session can't be gone
		}
		seen.GoneAt, seen.GoneFoundAt = e.LastSeenAt, by
	}
	l.session(e, e.SessionID, e.Subject).Observed.Join(seen)
}

// closeWith ends a participant at the end of its room. Egress and ingress have
// their own end events.
func closeWith(s, room *models.UsageSession) {
	if s.Subject == models.SubjectParticipant && room != nil && !room.Observed.EndedAt.IsZero() {
		s.Observed.Join(models.Observed{RoomEndedAt: room.Observed.EndedAt, RoomEndedBy: room.Observed.EndedBy})
	}
}

func orElse(t, otherwise time.Time) time.Time {
	if t.IsZero() {
		return otherwise
	}
	return t
}
