package models

import "time"

// Meter names a quantity of usage.
type Meter string

// The meters. Those in seconds add up what sessions lasted; MeterPeak is the
// most people at one time. Each participant that a tenant's token admits is in
// one of the first five.
const (
	MeterParticipantSeconds Meter = "participant_seconds"
	MeterAgentSeconds       Meter = "agent_seconds"
	MeterRecorderSeconds    Meter = "recorder_seconds"
	MeterSIPSeconds         Meter = "sip_seconds"
	MeterOtherSeconds       Meter = "other_seconds"
	MeterRoomSeconds        Meter = "room_seconds"
	MeterEgressSeconds      Meter = "egress_seconds"
	MeterIngressSeconds     Meter = "ingress_seconds"
	MeterTokensIssued       Meter = "tokens_issued"
	MeterAPIRequests        Meter = "api_requests"
	MeterPeak               Meter = "peak_participants"
)

// ParticipantMeters lists the meters of participants.
func ParticipantMeters() []Meter {
	return []Meter{MeterParticipantSeconds, MeterAgentSeconds, MeterRecorderSeconds, MeterSIPSeconds, MeterOtherSeconds}
}

// Meters lists the meters in the order they are shown.
func Meters() []Meter {
	return append(ParticipantMeters(), MeterRoomSeconds, MeterEgressSeconds, MeterIngressSeconds,
		MeterTokensIssued, MeterAPIRequests, MeterPeak)
}

// Valid reports whether m is one of the meters.
func (m Meter) Valid() bool {
	return m.Timed() || m == MeterTokensIssued || m == MeterAPIRequests || m == MeterPeak
}

// Timed reports whether m adds up the seconds of sessions.
func (m Meter) Timed() bool {
	switch m {
	case MeterRoomSeconds, MeterEgressSeconds, MeterIngressSeconds:
		return true
	case MeterTokensIssued, MeterAPIRequests, MeterPeak:
		return false
	case MeterParticipantSeconds, MeterAgentSeconds, MeterRecorderSeconds, MeterSIPSeconds, MeterOtherSeconds:
	}
	return m.OfParticipants()
}

// OfParticipants reports whether m adds up the seconds of participants.
func (m Meter) OfParticipants() bool {
	switch m {
	case MeterParticipantSeconds, MeterAgentSeconds, MeterRecorderSeconds, MeterSIPSeconds, MeterOtherSeconds:
		return true
	case MeterRoomSeconds, MeterEgressSeconds, MeterIngressSeconds, MeterTokensIssued, MeterAPIRequests, MeterPeak:
	}
	return false
}

// UsageFact is one metered fact: a quantity of one project within one hour,
// with the evidence for it. Its id is a function of its origin, so that
// writing it twice is writing it once.
type UsageFact struct {
	ID        string    `bson:"_id"`
	ProjectID ProjectID `bson:"project_id"`
	Meter     Meter     `bson:"event_type"`
	// Timestamp is where in time the quantity begins.
	Timestamp time.Time `bson:"timestamp"`
	Value     float64   `bson:"value"`
	// SessionID is the session it was measured by; empty for what is counted.
	SessionID string `bson:"session_id,omitempty"`
	RoomName  string `bson:"room_name,omitempty"`
	// EventIDs are the events that prove it.
	EventIDs []string `bson:"event_ids,omitempty"`
}

// CounterPage is what one process has counted in a minute so far, of several
// projects' meters. It stands for usage facts until those are stored.
type CounterPage struct {
	ID string `bson:"_id"`
	// Holder names the process, as its facts do.
	Holder    string         `bson:"holder"`
	Minute    time.Time      `bson:"minute"`
	WrittenAt time.Time      `bson:"written_at"`
	Counts    []CounterValue `bson:"counts"`
}

// CounterValue is what a project's meter has counted in the minute of a page.
type CounterValue struct {
	ProjectID ProjectID `bson:"p"`
	Meter     Meter     `bson:"m"`
	Value     float64   `bson:"v"`
}

// Window is the width of a row of usage.
type Window string

// The windows, in UTC.
const (
	WindowHour  Window = "hour"
	WindowDay   Window = "day"
	WindowMonth Window = "month"
)

// Valid reports whether w is one of the windows.
func (w Window) Valid() bool { return w == WindowHour || w == WindowDay || w == WindowMonth }

// Start is the beginning of the window that holds t.
func (w Window) Start(t time.Time) time.Time {
	t = t.UTC()
	switch w {
	case WindowMonth:
		return time.Date(t.Year(), t.Month(), 1, 0, 0, 0, 0, time.UTC)
	case WindowDay:
		return t.Truncate(24 * time.Hour)
	case WindowHour:
	}
	return t.Truncate(time.Hour)
}

// Next is the beginning of the window after the one that begins at start.
func (w Window) Next(start time.Time) time.Time {
	switch w {
	case WindowMonth:
		return start.AddDate(0, 1, 0)
	case WindowDay:
		return start.AddDate(0, 0, 1)
	case WindowHour:
	}
	return start.Add(time.Hour)
}

// UsageTotal is the quantity of a project within an hour or a day. It is
// computed from the facts of its hour, never added to, so nothing that is
// written twice is counted twice.
type UsageTotal struct {
	ID        string    `bson:"_id"`
	ProjectID ProjectID `bson:"project_id"`
	Meter     Meter     `bson:"meter"`
	Window    Window    `bson:"window"`
	Start     time.Time `bson:"start"`
	Value     float64   `bson:"value"`
	// Touches counts what may have changed the facts; Dirty tells that the
	// value was not computed since the last of them.
	Touches int64 `bson:"touches"`
	Dirty   bool  `bson:"dirty"`
}

// UsageTotalID names the total of a project's meter in a window.
func UsageTotalID(p ProjectID, m Meter, w Window, start time.Time) string {
	return string(p) + "|" + string(m) + "|" + string(w) + "|" + start.UTC().Format("2006-01-02T15")
}

// NewUsageTotal is the total, yet without a value, of the window that a time is in.
func NewUsageTotal(p ProjectID, m Meter, w Window, at time.Time) UsageTotal {
	start := w.Start(at)
	return UsageTotal{ID: UsageTotalID(p, m, w, start), ProjectID: p, Meter: m, Window: w, Start: start}
}
