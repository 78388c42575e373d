package models

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"
)

// EventState is how far an event from LiveKit has come.
type EventState string

// The states of an event: pending until everything was derived from it, then
// done; dead when that failed too often and an operator must look.
const (
	EventPending EventState = "pending"
	EventDone    EventState = "done"
	EventDead    EventState = "dead"
)

// Kinds of event: LiveKit's webhook names
// (https://docs.livekit.io/home/server/webhooks/), and those Pulse writes into
// the same record when reconciliation finds that one was missed.
const (
	EventRoomStarted        = "room_started"
	EventRoomFinished       = "room_finished"
	EventParticipantJoined  = "participant_joined"
	EventParticipantLeft    = "participant_left"
	EventParticipantAborted = "participant_connection_aborted"
	EventEgressStarted      = "egress_started"
	EventEgressUpdated      = "egress_updated"
	EventEgressEnded        = "egress_ended"
	EventIngressStarted     = "ingress_started"
	EventIngressEnded       = "ingress_ended"

	// EventUnreadable stands for a signed body that is no event.
	EventUnreadable = "unreadable"

	// EventFoundPresent corrects: the cluster lists what no event announced,
	// or what was taken for gone.
	EventFoundPresent = "pulse_found_present"
	// EventFoundGone corrects: the cluster no longer lists what is open.
	EventFoundGone = "pulse_found_gone"
)

// Kinds of participant, as LiveKit names them (ParticipantInfo.Kind).
const (
	ParticipantStandard = "STANDARD"
	ParticipantIngress  = "INGRESS"
	ParticipantEgress   = "EGRESS"
	ParticipantSIP      = "SIP"
	ParticipantAgent    = "AGENT"
)

// LiveKitEvent is one entry of the record that usage is proved with: an event
// a LiveKit cluster sent, as it was understood when it came, or a correction
// by reconciliation.
type LiveKitEvent struct {
	// ID is LiveKit's id of the event; it sends the same one again until it is
	// answered.
	ID string `bson:"_id"`
	// Cluster is the API key that signed the event.
	Cluster string `bson:"cluster"`
	Event   string `bson:"event"`
	// ProjectID is empty for a room that is not a tenant's.
	ProjectID ProjectID `bson:"project_id,omitempty"`
	// RoomName is the tenant's name of the room.
	RoomName      string    `bson:"room_name,omitempty"`
	RoomSID       string    `bson:"room_sid,omitempty"`
	RoomCreatedAt time.Time `bson:"room_created_at,omitempty"`

	Participant *EventParticipant `bson:"participant,omitempty"`
	Media       *EventMedia       `bson:"media,omitempty"`
	// SessionID, Subject and LastSeenAt are of a correction: which session it
	// is about, and when that was last listed.
	SessionID  string    `bson:"session_id,omitempty"`
	Subject    Subject   `bson:"subject,omitempty"`
	LastSeenAt time.Time `bson:"last_seen_at,omitempty"`

	// CreatedAt is LiveKit's time of the event, in whole seconds; ReceivedAt
	// is when it first reached Pulse.
	CreatedAt  time.Time `bson:"created_at"`
	ReceivedAt time.Time `bson:"received_at"`
	// Clamped is true if a time LiveKit sent was implausible and replaced.
	Clamped bool `bson:"clamped,omitempty"`
	// Body is the JSON that was sent, without its secrets.
	Body string `bson:"body,omitempty"`

	// RoomKey orders: events with the same one are worked on in the order of
	// Seq, the nanosecond of their arrival. Shard divides the keys among
	// workers.
	RoomKey  string     `bson:"room_key"`
	Shard    int64      `bson:"shard"`
	Seq      int64      `bson:"seq"`
	State    EventState `bson:"state"`
	Attempts int64      `bson:"attempts"`
	// DueAt is when it may be tried again, by the clock of the process that
	// works on its shard; DueAtOnce if nothing has failed.
	DueAt     time.Time `bson:"due_at"`
	LastError string    `bson:"last_error,omitempty"`
}

// EventParticipant is what an event says of a participant. Kind and JoinedAt
// are empty in track events. Kind is LiveKit's ParticipantInfo.Kind as it was
// sent, whether this version knows it or not.
type EventParticipant struct {
	SID string `bson:"sid"`
	// Identity is as it is kept (KeptIdentity).
	Identity string    `bson:"identity"`
	Kind     string    `bson:"kind,omitempty"`
	JoinedAt time.Time `bson:"joined_at,omitempty"`
	// Reason is LiveKit's DisconnectReason in lower case.
	Reason string `bson:"reason,omitempty"`
	// Recorder and Agent are its permissions of these names.
	Recorder bool `bson:"recorder,omitempty"`
	Agent    bool `bson:"agent,omitempty"`
	// TokenID names the token it joined with, and TokenIssuedAt when that was
	// issued: as its attribute pulse.token proves, else empty.
	TokenID       TokenID   `bson:"token_id,omitempty"`
	TokenIssuedAt time.Time `bson:"token_issued_at,omitempty"`
}

// maxKeptIdentity bounds the identity of a participant that is kept as it is, in
// bytes. LiveKit's own limit is 256, but where it connects with the parameter publish
// the bearer of a token appends "#" and a text of any length.
const maxKeptIdentity = 1 << 10

// KeptIdentity is the identity of a participant as it is kept: of a longer one the
// beginning and a hash. It is then longer than any that is kept as it is, so that no two
// identities become one.
func KeptIdentity(identity string) string {
	if len(identity) <= maxKeptIdentity {
		return identity
	}
	sum := sha256.Sum256([]byte(identity))
	return strings.ToValidUTF8(identity[:maxKeptIdentity], "") + hex.EncodeToString(sum[:])
}

// IsShortened reports whether KeptIdentity shortened an identity.
func IsShortened(identity string) bool { return len(identity) > maxKeptIdentity }

// EventMedia is what an event says of an egress or ingress: EG_… or IN_… and
// its times, which LiveKit gives in nanoseconds.
type EventMedia struct {
	ID        string    `bson:"id"`
	Status    string    `bson:"status"`
	StartedAt time.Time `bson:"started_at,omitempty"`
	EndedAt   time.Time `bson:"ended_at,omitempty"`
}

// At estimates when the event happened. LiveKit gives whole seconds only, so
// the truth is in [CreatedAt, CreatedAt+1s) and before ReceivedAt: an event
// that arrived within its second happened just before it arrived; of one that
// came later the middle of the second is at most half a second off.
func (e *LiveKitEvent) At() time.Time {
	switch late := e.ReceivedAt.Sub(e.CreatedAt); {
	case late < 0: // our clock is behind
		return e.CreatedAt
	case late < time.Second:
		return e.ReceivedAt
	}
	return e.CreatedAt.Add(time.Second / 2)
}

// DueAtOnce is before every clock's time.
func DueAtOnce() time.Time { return time.Unix(0, 0).UTC() }

const (
	// clockTolerance is how far the clocks of LiveKit's nodes and of Pulse may
	// be apart for a time to be believed.
	clockTolerance = 24 * time.Hour
	// oldestRoom bounds how long ago a room may have been made.
	oldestRoom = 366 * 24 * time.Hour
)

// Believe replaces times that cannot be: outside of [the room's start - 1 day,
// received + 1 day]. What is too late becomes the time of the event, what is too
// early the start of its room; that of the event itself and of its room become
// the time it was received. Either marks the event. Without a time of its own an
// event happened in the second it was received, and what it begins or ends began
// at the latest when it happened.
func (e *LiveKitEvent) Believe(received time.Time) {
	if e.CreatedAt.IsZero() {
		e.CreatedAt = received.Truncate(time.Second)
	}
	earliest, latest, late := received.Add(-oldestRoom), received.Add(clockTolerance), received
	clamp := func(t *time.Time, early time.Time) {
		switch {
		case t.IsZero():
		case t.After(latest):
			*t, e.Clamped = late, true
		case t.Before(earliest):
			*t, e.Clamped = early, true
		}
	}
	clamp(&e.RoomCreatedAt, received)
	if !e.RoomCreatedAt.IsZero() {
		earliest = e.RoomCreatedAt.Add(-clockTolerance)
	}
	clamp(&e.CreatedAt, received)
	late = e.CreatedAt
	early := late
	if !e.RoomCreatedAt.IsZero() {
		early = e.RoomCreatedAt
	}
	switch e.Event {
	case EventRoomStarted, EventRoomFinished:
		e.begunBy(&e.RoomCreatedAt)
	case EventIngressStarted:
		if e.Media != nil {
			e.begunBy(&e.Media.StartedAt)
		}
	default:
		if BeginsOrEndsParticipant(e.Event) && e.Participant != nil {
			e.begunBy(&e.Participant.JoinedAt)
		}
	}
	if e.Participant != nil {
		clamp(&e.Participant.JoinedAt, early)
	}
	if e.Media != nil {
		clamp(&e.Media.StartedAt, early)
		clamp(&e.Media.EndedAt, early)
	}
}

// BeginsOrEndsParticipant tells the events of the beginning or end of a participant,
// which carry its times, from those of its tracks.
func BeginsOrEndsParticipant(event string) bool {
	return event == EventParticipantJoined || event == EventParticipantLeft || event == EventParticipantAborted
}

// begunBy sets a start that LiveKit did not name to when the event happened.
func (e *LiveKitEvent) begunBy(start *time.Time) {
	if start.IsZero() {
		*start, e.Clamped = e.CreatedAt, true
	}
}
