package models

import (
	"slices"
	"time"
)

// Subject is what a usage session is about.
type Subject string

// The subjects.
const (
	SubjectParticipant Subject = "participant"
	SubjectRoom        Subject = "room"
	SubjectEgress      Subject = "egress"
	SubjectIngress     Subject = "ingress"
)

// Why a session ended, besides LiveKit's DisconnectReason in lower case.
const (
	EndedByAbort          = "connection_aborted"
	EndedByRoom           = "room_finished"
	EndedByReconciliation = "reconciled"
	EndedByEvent          = "ended"
	// EndedByDuplicate is LiveKit's reason for a participant whose identity
	// joined again.
	EndedByDuplicate = "duplicate_identity"
	// EndedByNewRoom is of a room whose name a newer one has.
	EndedByNewRoom = "room_replaced"
)

// UsageSession is one stay: a participant in a room (PA_…), a room's life
// (RM_…), an egress (EG_…), one run of an ingress (IN_…@start). What is
// metered is derived from it, and it names the events that prove it.
type UsageSession struct {
	ID        string    `bson:"_id"`
	Subject   Subject   `bson:"subject"`
	ProjectID ProjectID `bson:"project_id"`
	RoomName  string    `bson:"room_name"`
	RoomSID   string    `bson:"room_sid"`
	// Identity and Kind are of a participant; Kind is LiveKit's ParticipantInfo.Kind.
	Identity string  `bson:"identity,omitempty"`
	Kind     string  `bson:"kind,omitempty"`
	TokenID  TokenID `bson:"token_id,omitempty"`
	// TokenIssuedAt is when that token was issued.
	TokenIssuedAt time.Time `bson:"token_issued_at,omitempty"`
	// Cluster is an API key of the LiveKit cluster that reported it, the least of
	// several; empty if it was recorded before sessions had clusters.
	Cluster string `bson:"cluster,omitempty"`
	// Name is what LiveKit has one of at a time (SessionName): the session with
	// the later start ends the one before. Empty for egress and ingress.
	Name string `bson:"name,omitempty"`
	// Metered is the meter of a participant's seconds.
	Metered Meter `bson:"meter,omitempty"`

	Observed Observed `bson:"observed"`

	// Derived from Observed by Settle.
	JoinedAt  time.Time `bson:"joined_at,omitempty"`
	LeftAt    time.Time `bson:"left_at,omitempty"`
	Open      bool      `bson:"open"`
	EndReason string    `bson:"end_reason,omitempty"`
	EventIDs  []string  `bson:"event_ids"`
	// Clamped is true if a time of an event was implausible and replaced.
	Clamped bool `bson:"clamped,omitempty"`
	// RoomLost is true if the participant's room lost against its rival. Every write
	// derives it from the room again, because later events may change which room won.
	RoomLost bool `bson:"room_lost,omitempty"`

	// MeteredFrom and MeteredTo span the hours that facts were written for.
	MeteredFrom time.Time `bson:"metered_from,omitempty"`
	MeteredTo   time.Time `bson:"metered_to,omitempty"`
	// RecordedAt is when the record first knew of the session. What comparisons
	// with the cluster before that saw or did not see says nothing of it.
	RecordedAt time.Time `bson:"recorded_at"`
	// Version counts the writes: one who read an older one does not overwrite.
	Version int64 `bson:"version"`
}

// Observed is all that events have said of a session. Joining two of them in
// any order, any number of times, gives the same: times are joined by their
// least or greatest, ids as sets. So events may come late, twice or in any
// order.
type Observed struct {
	// StartedAt is the least start any event named.
	StartedAt time.Time `bson:"started_at,omitempty"`
	// ReportedAt is the greatest start that an egress or ingress reported: a worker
	// names the time at which it took a recording, then the one at which it began. It
	// counts before StartedAt.
	ReportedAt time.Time `bson:"reported_at,omitempty"`
	// Started is true if it was there at all: an aborted connection never was.
	Started   bool     `bson:"started"`
	StartedBy []string `bson:"started_by,omitempty"`
	// Witness is the least id of other events that spoke of the start: proof
	// where the event that should have announced it never came.
	Witness string `bson:"witness,omitempty"`
	// EndedAt is the greatest end an event of its own named.
	EndedAt     time.Time `bson:"ended_at,omitempty"`
	EndedReason string    `bson:"ended_reason,omitempty"`
	EndedBy     []string  `bson:"ended_by,omitempty"`
	AbortedAt   time.Time `bson:"aborted_at,omitempty"`
	AbortedBy   []string  `bson:"aborted_by,omitempty"`
	// RoomEndedAt is when its room finished.
	RoomEndedAt time.Time `bson:"room_ended_at,omitempty"`
	RoomEndedBy []string  `bson:"room_ended_by,omitempty"`
	// PresentAt and GoneAt are the latest reconciliation that found it there
	// or, by the time it was last seen, gone; GoneFoundAt is when it was
	// looked for in vain.
	PresentAt   time.Time `bson:"present_at,omitempty"`
	GoneAt      time.Time `bson:"gone_at,omitempty"`
	GoneFoundAt time.Time `bson:"gone_found_at,omitempty"`
	CorrectedBy []string  `bson:"corrected_by,omitempty"`
	// ReplacedAt is the least start of a later session with its name, and
	// ReplacedBy the events that announced it.
	ReplacedAt time.Time `bson:"replaced_at,omitempty"`
	ReplacedBy []string  `bson:"replaced_by,omitempty"`
	// RivalAt is its own start, if another session with its name began in the same
	// instant. RivalSeenAt is until when the others were there for certain, and
	// RivalID the one that was there the longest.
	RivalAt     time.Time `bson:"rival_at,omitempty"`
	RivalSeenAt time.Time `bson:"rival_seen_at,omitempty"`
	RivalID     string    `bson:"rival_id,omitempty"`
	// RoomStartedAt is the start of its room, and RoomReplacedAt that of the
	// next room of the same name.
	RoomStartedAt  time.Time `bson:"room_started_at,omitempty"`
	RoomReplacedAt time.Time `bson:"room_replaced_at,omitempty"`
	// Person is true if an event showed a STANDARD participant without the
	// permissions recorder and agent; Recorder and Agent that one had them.
	Person   bool `bson:"person,omitempty"`
	Recorder bool `bson:"recorder,omitempty"`
	Agent    bool `bson:"agent,omitempty"`
	Clamped  bool `bson:"clamped,omitempty"`
}

// Join adds what another has observed.
func (o *Observed) Join(other Observed) {
	o.StartedAt = earliest(o.StartedAt, other.StartedAt)
	o.ReportedAt = latest(o.ReportedAt, other.ReportedAt)
	o.Started = o.Started || other.Started
	o.StartedBy = union(o.StartedBy, other.StartedBy)
	if o.Witness == "" || other.Witness != "" && other.Witness < o.Witness {
		o.Witness = other.Witness
	}
	switch o.EndedAt.Compare(other.EndedAt) {
	case -1:
		o.EndedAt, o.EndedReason = other.EndedAt, other.EndedReason
	case 0:
		o.EndedReason = max(o.EndedReason, other.EndedReason)
	}
	o.EndedBy = union(o.EndedBy, other.EndedBy)
	o.AbortedAt = latest(o.AbortedAt, other.AbortedAt)
	o.AbortedBy = union(o.AbortedBy, other.AbortedBy)
	o.RoomEndedAt = latest(o.RoomEndedAt, other.RoomEndedAt)
	o.RoomEndedBy = union(o.RoomEndedBy, other.RoomEndedBy)
	o.PresentAt = latest(o.PresentAt, other.PresentAt)
	o.GoneAt = latest(o.GoneAt, other.GoneAt)
	o.GoneFoundAt = latest(o.GoneFoundAt, other.GoneFoundAt)
	o.CorrectedBy = union(o.CorrectedBy, other.CorrectedBy)
	switch {
	case o.ReplacedAt.Equal(other.ReplacedAt):
		o.ReplacedBy = union(o.ReplacedBy, other.ReplacedBy)
	case earliest(o.ReplacedAt, other.ReplacedAt).Equal(other.ReplacedAt):
		o.ReplacedAt, o.ReplacedBy = other.ReplacedAt, union(nil, other.ReplacedBy)
	}
	o.joinRival(&other)
	o.RoomStartedAt = earliest(o.RoomStartedAt, other.RoomStartedAt)
	o.RoomReplacedAt = earliest(o.RoomReplacedAt, other.RoomReplacedAt)
	o.Person, o.Recorder, o.Agent = o.Person || other.Person, o.Recorder || other.Recorder, o.Agent || other.Agent
	o.Clamped = o.Clamped || other.Clamped
}

// Settle derives when the session began and ended, why, which events prove it,
// and its meter. An end of its own counts before any other, unless its room had
// ended; then whichever of the room's end and reconciliation's finding came first.
// None is after the start of what replaced the session or its room.
func (s *UsageSession) Settle() {
	o := &s.Observed
	s.JoinedAt, s.LeftAt, s.EndReason, s.Clamped = o.StartedAt, time.Time{}, "", o.Clamped
	if !o.ReportedAt.IsZero() {
		s.JoinedAt = o.ReportedAt
	}
	if !o.RoomStartedAt.IsZero() && s.JoinedAt.Before(o.RoomStartedAt.Add(-clockTolerance)) {
		s.JoinedAt, s.Clamped = o.RoomStartedAt, true
	}
	s.EventIDs = union(union(nil, o.StartedBy), o.CorrectedBy)
	if len(o.StartedBy) == 0 && o.Witness != "" {
		s.EventIDs = union(s.EventIDs, []string{o.Witness})
	}
	gone := o.GoneAt
	if !o.PresentAt.Before(o.GoneFoundAt) {
		gone = time.Time{} // it was seen again
	}
	switch {
	case !o.EndedAt.IsZero():
		s.end(o.EndedAt, o.EndedReason, union(o.EndedBy, o.AbortedBy))
	case !o.AbortedAt.IsZero():
		s.end(o.AbortedAt, EndedByAbort, o.AbortedBy)
	case !o.RoomEndedAt.IsZero() && (gone.IsZero() || o.RoomEndedAt.Before(gone)):
		s.end(o.RoomEndedAt, EndedByRoom, o.RoomEndedBy)
	case !gone.IsZero():
		s.end(gone, EndedByReconciliation, nil)
	}
	if !o.RoomEndedAt.IsZero() && s.outlasts(o.RoomEndedAt.Add(startPrecision)) {
		s.end(o.RoomEndedAt, EndedByRoom, o.RoomEndedBy) // nobody is in a room that has ended
	}
	reason := EndedByDuplicate
	if s.Subject == SubjectRoom {
		reason = EndedByNewRoom
	}
	if s.outlasts(o.ReplacedAt) {
		s.end(o.ReplacedAt, reason, o.ReplacedBy)
	}
	if s.Lost() {
		s.end(o.StartedAt, reason, nil)
	}
	if s.outlasts(o.RoomReplacedAt) {
		s.end(o.RoomReplacedAt, EndedByNewRoom, nil)
	}
	if s.RoomLost && s.outlasts(o.RoomStartedAt) {
		s.end(o.RoomStartedAt, EndedByNewRoom, nil)
	}
	if !o.Started && !s.LeftAt.IsZero() {
		s.LeftAt = s.JoinedAt // it never was there
	}
	if !s.LeftAt.IsZero() && s.LeftAt.Before(s.JoinedAt) {
		s.LeftAt = s.JoinedAt
	}
	s.Open = s.LeftAt.IsZero()
	if s.Subject == SubjectParticipant {
		s.Metered = participantMeter(s.Kind, o)
	}
}

func (s *UsageSession) end(at time.Time, reason string, by []string) {
	s.LeftAt, s.EndReason = at, reason
	s.EventIDs = union(s.EventIDs, by)
}

// outlasts reports whether the session is open, or ended later, at a time that is
// known.
func (s *UsageSession) outlasts(at time.Time) bool {
	return !at.IsZero() && (s.LeftAt.IsZero() || s.LeftAt.After(at))
}

// SessionName is what LiveKit has one of at a time: an identity in a room, and a
// room's name in a project. A room without a sid is known by its name, because the
// identity alone would be that of participants of all tenants.
func SessionName(subject Subject, p ProjectID, room, roomSID, identity string) string {
	switch subject {
	case SubjectParticipant:
		if roomSID == "" {
			roomSID = QualifyRoom(p, room)
		}
		return roomSID + "/" + identity
	case SubjectRoom:
		return QualifyRoom(p, room)
	case SubjectEgress, SubjectIngress:
	}
	return ""
}

// Until is the end of the session, or now while it is open.
func (s *UsageSession) Until(now time.Time) time.Time {
	if !s.Open {
		return s.LeftAt
	}
	return latest(now, s.JoinedAt)
}

// Meter is what the session's seconds are counted under, "" for nothing.
func (s *UsageSession) Meter() Meter {
	switch s.Subject {
	case SubjectRoom:
		return MeterRoomSeconds
	case SubjectEgress:
		return MeterEgressSeconds
	case SubjectIngress:
		return MeterIngressSeconds
	case SubjectParticipant:
		if s.Metered == "" { // stored before participants had meters of their kind
			return participantMeter(s.Kind, &s.Observed)
		}
		return s.Metered
	}
	return ""
}

// participantMeter follows LiveKit's IsDependent (livekit-server,
// pkg/rtc/participant.go): the kind, or for a STANDARD participant the
// permissions agent and recorder. A kind that is not known here is not a person.
// What LiveKit's egress and ingress join rooms with is metered as egress and
// ingress: no tenant's token admits it.
func participantMeter(kind string, o *Observed) Meter {
	switch kind {
	case ParticipantStandard:
		switch {
		case o.Person:
		case o.Agent:
			return MeterAgentSeconds
		case o.Recorder:
			return MeterRecorderSeconds
		}
		return MeterParticipantSeconds
	case ParticipantAgent:
		return MeterAgentSeconds
	case ParticipantSIP:
		return MeterSIPSeconds
	case ParticipantEgress, ParticipantIngress, "":
		return ""
	}
	return MeterOtherSeconds
}

func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// union of two sets of ids, sorted. It does not change its arguments.
func union(a, b []string) []string {
	out := slices.Concat(a, b)
	slices.Sort(out)
	return slices.Compact(out)
}
