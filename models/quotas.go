package models

import (
	"fmt"
	"strconv"
	"time"
)

// Quota names a limit on what is used.
type Quota string

// The quotas. Minutes are counted by calendar months in UTC; the others count
// what is there at the same time.
const (
	// QuotaParticipantMinutes is the minutes of participants of every kind in a project's rooms.
	QuotaParticipantMinutes Quota = "participant_minutes_per_month"
	// QuotaConcurrentParticipants is the participants of every kind in a project's rooms.
	QuotaConcurrentParticipants Quota = "concurrent_participants"
	// QuotaConcurrentAgents is the agents in a project's rooms. Where it is set
	// they do not count as participants.
	QuotaConcurrentAgents Quota = "concurrent_agents"
	// QuotaRooms is the open rooms of a project.
	QuotaRooms Quota = "rooms"
	// QuotaEgressMinutes is the minutes of a project's egresses.
	QuotaEgressMinutes Quota = "egress_minutes_per_month"
	// QuotaConcurrentEgresses is the egresses of a project that have not ended.
	QuotaConcurrentEgresses Quota = "concurrent_egresses"
	// QuotaConcurrentIngresses is the ingresses of a project that may publish at the
	// same time: those that exist and have not ended.
	QuotaConcurrentIngresses Quota = "concurrent_ingresses"
	// QuotaProjects is the projects of an organization.
	QuotaProjects Quota = "projects"
)

// MaxQuota is the greatest limit there can be.
const MaxQuota = 100_000_000

// QuotaNames lists the quotas in the order they are shown.
func QuotaNames() []Quota {
	return []Quota{QuotaParticipantMinutes, QuotaConcurrentParticipants, QuotaConcurrentAgents, QuotaRooms, QuotaEgressMinutes,
		QuotaConcurrentEgresses, QuotaConcurrentIngresses, QuotaProjects}
}

// SimultaneousQuotas lists the quotas of what a project has at the same time.
func SimultaneousQuotas() []Quota {
	return []Quota{QuotaConcurrentParticipants, QuotaConcurrentAgents, QuotaRooms}
}

// InMonth reports whether the minutes of participants of a meter count in the
// month's.
func (q *Quotas) InMonth(m Meter) bool { return q.ParticipantQuota(m) == QuotaConcurrentParticipants }

// ParticipantQuota is the quota that a participant of a meter counts in.
func (q *Quotas) ParticipantQuota(m Meter) Quota {
	if m == MeterAgentSeconds && q.ConcurrentAgents > 0 {
		return QuotaConcurrentAgents
	}
	return QuotaConcurrentParticipants
}

// Monthly reports whether q adds up over a calendar month.
func (q Quota) Monthly() bool { return q == QuotaParticipantMinutes || q == QuotaEgressMinutes }

// Period is the time in which each of q's thresholds has one event: its month, or
// for what is counted at the same time the day, in UTC.
func (q Quota) Period() Window {
	if q.Monthly() {
		return WindowMonth
	}
	return WindowDay
}

// Quotas are limits; 0 is none.
type Quotas struct {
	ParticipantMinutes     int64
	ConcurrentParticipants int64
	ConcurrentAgents       int64
	Rooms                  int64
	EgressMinutes          int64
	ConcurrentEgresses     int64
	ConcurrentIngresses    int64
	// Projects is of an organization, the others of each of its projects.
	Projects int64
}

// Of gives the limit that has a name.
func (q *Quotas) Of(name Quota) int64 {
	if limit := q.field(name); limit != nil {
		return *limit
	}
	return 0
}

// Set changes the limit that has a name; false if none has.
func (q *Quotas) Set(name Quota, limit int64) bool {
	field := q.field(name)
	if field != nil {
		*field = limit
	}
	return field != nil
}

func (q *Quotas) field(name Quota) *int64 {
	switch name {
	case QuotaParticipantMinutes:
		return &q.ParticipantMinutes
	case QuotaConcurrentParticipants:
		return &q.ConcurrentParticipants
	case QuotaConcurrentAgents:
		return &q.ConcurrentAgents
	case QuotaRooms:
		return &q.Rooms
	case QuotaEgressMinutes:
		return &q.EgressMinutes
	case QuotaConcurrentEgresses:
		return &q.ConcurrentEgresses
	case QuotaConcurrentIngresses:
		return &q.ConcurrentIngresses
	case QuotaProjects:
		return &q.Projects
	}
	return nil
}

// Bound reports whether anything of a project is limited.
func (q *Quotas) Bound() bool {
	return q.ParticipantMinutes > 0 || q.ConcurrentParticipants > 0 || q.ConcurrentAgents > 0 || q.Rooms > 0 || q.EgressMinutes > 0 || q.ConcurrentEgresses > 0 ||
		q.ConcurrentIngresses > 0
}

// PlanQuotas are what the operator gives each project of an organization, by
// its plan.
type PlanQuotas map[Plan]Quotas

// For gives the quotas of a project: the plan's, but where the project has
// limits of its own.
func (p PlanQuotas) For(plan Plan, own *ProjectLimits) Quotas {
	q := p[plan]
	q.ParticipantMinutes = orPlans(own.ParticipantMinutes, q.ParticipantMinutes)
	q.ConcurrentParticipants = orPlans(own.ConcurrentParticipants, q.ConcurrentParticipants)
	q.ConcurrentAgents = orPlans(own.ConcurrentAgents, q.ConcurrentAgents)
	q.Rooms = orPlans(own.Rooms, q.Rooms)
	q.EgressMinutes = orPlans(own.EgressMinutes, q.EgressMinutes)
	q.ConcurrentEgresses = orPlans(own.ConcurrentEgresses, q.ConcurrentEgresses)
	q.ConcurrentIngresses = orPlans(own.ConcurrentIngresses, q.ConcurrentIngresses)
	return q
}

func orPlans(own, plans int64) int64 {
	if own > 0 {
		return own
	}
	return plans
}

// LimitProjects reports whether any plan limits how many projects there are.
func (p PlanQuotas) LimitProjects() bool {
	for _, q := range p {
		if q.Projects > 0 {
			return true
		}
	}
	return false
}

// QuotaUse is how much of a quota is used.
type QuotaUse struct {
	Quota Quota
	// Limit is 0 where there is none.
	Limit int64
	// Used is minutes, or how many are there; Reserved of them are promised to
	// who has a token and has not joined.
	Used     float64
	Reserved int64
	// Reset is when a month's quota begins anew; zero for the others.
	Reset time.Time
}

// QuotaExceeded refuses what would go beyond a limit, and says by how much.
func QuotaExceeded(use QuotaUse) *Error {
	text := fmt.Sprintf("The quota %s is used up: %s of %d", use.Quota, strconv.FormatFloat(use.Used, 'f', -1, 64), use.Limit)
	switch {
	case !use.Reset.IsZero():
		text += "; it begins anew at " + use.Reset.UTC().Format(time.RFC3339)
	case use.Quota == QuotaProjects:
	case use.Reserved > 0:
		text += fmt.Sprintf(", of which %d are held for tokens until their bearers join or they expire", use.Reserved)
	}
	e := NewError(KindQuotaExceeded, "quota_exceeded", text+".")
	e.Quota = &use
	return e
}

// Thresholds, in percent of a limit, that have events.
const (
	QuotaWarningPercent = 80
	QuotaReachedPercent = 100
)

// Types of quota events.
const (
	EventQuotaWarning  = "quota.warning"
	EventQuotaExceeded = "quota.exceeded"
)

// QuotaEvent says that a threshold of a quota was reached: once for each
// quota, limit and period.
type QuotaEvent struct {
	// ID is a function of owner, quota, threshold, limit and period.
	ID string `bson:"_id"`
	// EventID is what it is called outside: evt_….
	EventID string `bson:"event_id"`
	// Owner is the project, or for QuotaProjects the organization.
	Owner   string    `bson:"owner"`
	Quota   Quota     `bson:"quota"`
	Percent int64     `bson:"percent"`
	Limit   int64     `bson:"limit"`
	Used    float64   `bson:"used"`
	Period  time.Time `bson:"period"`
	At      time.Time `bson:"at"`
}

// Type is what kind of event it is.
func (e *QuotaEvent) Type() string {
	if e.Percent >= QuotaReachedPercent {
		return EventQuotaExceeded
	}
	return EventQuotaWarning
}

// Slot is one of the numbered slots that a quota of things at the same time
// has. A slot has one holder and a holder one slot, so that as many are let
// in as there are numbers, however many ask at once and of whichever replica.
type Slot struct {
	// ID is a function of owner, quota and number.
	ID    string `bson:"_id"`
	Owner string `bson:"owner"`
	Quota Quota  `bson:"quota"`
	// Number counts from 1.
	Number int64 `bson:"number"`
	// Holder is who or what the slot is for.
	Holder string `bson:"holder"`
	// Identity is the one participant it was reserved for, whose revocation
	// gives it back; empty if there were several, as for a room.
	Identity string `bson:"identity,omitempty"`
	// Client is true if a key alone reserved it, which may not reserve all.
	Client bool `bson:"client,omitempty"`
	// ReservedAt is when it was last reserved.
	ReservedAt time.Time `bson:"reserved_at,omitempty"`
	// Session is what took the slot, having begun at JoinedAt; until then it
	// is reserved up to ExpiresAt, and it has no end from then on.
	Session   string    `bson:"session,omitempty"`
	JoinedAt  time.Time `bson:"joined_at,omitempty"`
	ExpiresAt time.Time `bson:"expires_at,omitempty"`
}

// Live reports whether the slot is taken or reserved at that time.
func (p *Slot) Live(at time.Time) bool { return p.Session != "" || at.Before(p.ExpiresAt) }

// SlotID names a slot.
func SlotID(owner string, q Quota, number int64) string {
	return owner + "|" + string(q) + "|" + strconv.FormatInt(number, 10)
}
