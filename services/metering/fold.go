package metering

import (
	"cmp"
	"slices"
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

// touches lists the ids of the sessions that fold may change for an event.
func touches(e *models.LiveKitEvent) []string {
	var out []string
	if e.ProjectID == "" {
		return nil
	}
	if e.RoomSID != "" {
		out = append(out, e.RoomSID)
	}
	id := ""
	switch {
	case e.SessionID != "":
		id = e.SessionID
	case e.Participant != nil:
		id = e.Participant.SID
	case e.Media != nil:
		id = e.Media.ID
	}
	if id == "" {
		return out
	}
	out = append(out, id)
	if isOfParticipant(e) && e.RoomSID != "" {
		out = append(out, elsewhere(id, e.RoomSID))
	}
	return out
}

func isOfParticipant(e *models.LiveKitEvent) bool {
	return e.SessionID == "" && e.Participant != nil || e.SessionID != "" && e.Subject == models.SubjectParticipant
}

// elsewhere names the session of a participant that was first seen in another
// room: one that is moved or forwarded keeps its sid.
func elsewhere(sid, roomSID string) string { return sid + "@" + roomSID }

// inRoom gives the id of a participant's session in the room of an event: its
// sid, unless that is its session in another room.
func (l ledger) inRoom(e *models.LiveKitEvent, sid string) string {
	if other := elsewhere(sid, e.RoomSID); l[other] != nil {
		return other
	}
	if s := l[sid]; s != nil && s.RoomSID != "" && e.RoomSID != "" && s.RoomSID != e.RoomSID {
		return elsewhere(sid, e.RoomSID)
	}
	return sid
}

// sessionOf is the id of the session an event is about, "" if it is about its
// room only.
func (l ledger) sessionOf(e *models.LiveKitEvent) string {
	switch {
	case e.SessionID != "" && e.Subject == models.SubjectParticipant:
		return l.inRoom(e, e.SessionID)
	case e.SessionID != "":
		return e.SessionID
	case e.Participant != nil && e.Participant.SID != "":
		return l.inRoom(e, e.Participant.SID)
	case e.Media != nil:
		return e.Media.ID
	}
	return ""
}

// session gives the session with an id, made if it is new, with what the
// event knows of it.
func (l ledger) session(e *models.LiveKitEvent, id string, subject models.Subject) *models.UsageSession {
	s := l[id]
	if s == nil {
		s = &models.UsageSession{ID: id, Subject: subject, ProjectID: e.ProjectID, RoomName: e.RoomName}
		l[id] = s
	}
	if s.RoomSID == "" {
		s.RoomSID = e.RoomSID
	}
	if s.Cluster == "" || e.Cluster != "" && e.Cluster < s.Cluster {
		s.Cluster = e.Cluster
	}
	s.Observed.Clamped = s.Observed.Clamped || e.Clamped
	if p := e.Participant; p != nil && subject == models.SubjectParticipant {
		s.Identity, s.Kind = p.Identity, p.Kind
		if o := &s.Observed; e.Event != models.EventFoundGone { // what is not listed shows no permissions
			o.Person, o.Recorder, o.Agent = o.Person || !p.Recorder && !p.Agent, o.Recorder || p.Recorder, o.Agent || p.Agent
		}
		if p.TokenID != "" {
			s.TokenID, s.TokenIssuedAt = p.TokenID, p.TokenIssuedAt
		}
		// A token proves nothing in another room than its own. A participant whom a server
		// moved or forwarded joined with that of the first room.
		if first := l[p.SID]; s.TokenID == "" && first != nil && first != s && first.ProjectID == s.ProjectID && first.Identity == s.Identity {
			s.TokenID, s.TokenIssuedAt = first.TokenID, first.TokenIssuedAt
		}
	}
	s.Name = models.SessionName(subject, s.ProjectID, s.RoomName, s.RoomSID, s.Identity)
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
	l.session(e, l.sessionOf(e), models.SubjectParticipant).Observed.Join(seen)
}

func (l ledger) foldMedia(e *models.LiveKitEvent, subject models.Subject, started, ended string) {
	m := e.Media
	if m == nil || m.ID == "" || lacksStart(e) {
		return
	}
	seen, by := models.Observed{StartedAt: m.StartedAt, ReportedAt: m.StartedAt, Started: true}, []string{e.ID}
	end := m.EndedAt
	if e.Event == ended && end.IsZero() {
		end = e.At()
	}
	if seen.StartedAt.IsZero() {
		// It never ran, or was taken just now.
		seen.StartedAt, seen.ReportedAt = orElse(end, e.At()), end
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
			seen.StartedAt, seen.ReportedAt = orElse(e.Media.StartedAt, by), e.Media.StartedAt
		default:
			seen.StartedAt = e.RoomCreatedAt
		}
	case models.EventFoundGone:
		if l[l.sessionOf(e)] == nil {
			return // nothing can be gone that never was
		}
		seen.GoneAt, seen.GoneFoundAt = e.LastSeenAt, by
	}
	l.session(e, l.sessionOf(e), e.Subject).Observed.Join(seen)
}

// closeWith tells a session when its room began, and a participant when it
// ended. Egress and ingress have ends of their own.
func closeWith(s, room *models.UsageSession) {
	if room == nil || s == room {
		return
	}
	seen := models.Observed{RoomStartedAt: room.Observed.StartedAt}
	if s.Subject == models.SubjectParticipant {
		s.RoomLost = room.Lost()
		seen.RoomReplacedAt = room.Observed.ReplacedAt
		if !room.Observed.EndedAt.IsZero() {
			seen.RoomEndedAt, seen.RoomEndedBy = room.Observed.EndedAt, room.Observed.EndedBy
		}
	}
	s.Observed.Join(seen)
}

// succeed tells each session with a name when the next one with that name began.
// It gives the sessions that were told.
func (l ledger) succeed() []*models.UsageSession {
	named := map[string][]*models.UsageSession{}
	for _, s := range l {
		if s.Name != "" && !s.Observed.StartedAt.IsZero() {
			named[s.Name] = append(named[s.Name], s)
		}
	}
	var told []*models.UsageSession
	for _, of := range named {
		slices.SortFunc(of, func(a, b *models.UsageSession) int { return a.Observed.StartedAt.Compare(b.Observed.StartedAt) })
		for i, s := range of {
			for _, later := range of[i+1:] {
				if next := &later.Observed; next.StartedAt.After(s.Observed.StartedAt) {
					s.Observed.Join(models.Observed{ReplacedAt: next.StartedAt, ReplacedBy: next.StartedBy})
					told = append(told, s)
					break
				}
			}
		}
		told = append(told, rivals(of)...)
	}
	return told
}

// rivals tells sessions with one name, in order of their start, of others that
// began in the same instant, of which none is known to be later
// (models.Observed.RivalAt). It gives the sessions that were told.
func rivals(named []*models.UsageSession) []*models.UsageSession {
	var told []*models.UsageSession
	for rest := named; len(rest) > 1; {
		n := 1
		for n < len(rest) && rest[n].Observed.StartedAt.Equal(rest[0].Observed.StartedAt) {
			n++
		}
		group := slices.DeleteFunc(slices.Clone(rest[:n]), func(s *models.UsageSession) bool { return !s.Observed.Started })
		rest = rest[n:]
		if len(group) < 2 {
			continue
		}
		// The one that was there the longest is every other's rival.
		slices.SortFunc(group, func(a, b *models.UsageSession) int {
			return cmp.Or(b.Observed.SeenAt().Compare(a.Observed.SeenAt()), cmp.Compare(b.ID, a.ID))
		})
		first, second := group[0].Rival(), group[1].Rival()
		for _, s := range group[1:] {
			s.Observed.Join(first)
		}
		group[0].Observed.Join(second)
		told = append(told, group...)
	}
	return told
}

func orElse(t, otherwise time.Time) time.Time {
	if t.IsZero() {
		return otherwise
	}
	return t
}

// earliest of two times, of which either may not be known.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
