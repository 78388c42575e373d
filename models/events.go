package models

import (
	"strings"
	"time"
)

// Event is one thing that happened, as tenants are informed of it.
type Event struct {
	// ID is evt_…: a function of what happened, so that the same thing told again
	// is the same event.
	ID   string `bson:"_id"`
	Type string `bson:"type"`
	// Family is the type up to its first dot.
	Family string `bson:"family"`
	// Seq is the order of arrival over all replicas. Numbers are given before an
	// event is stored; a number that none was stored under is an event of type
	// EventGap.
	Seq   int64          `bson:"seq"`
	OrgID OrganizationID `bson:"org_id,omitempty"`
	// ProjectID is empty for what concerns the whole organization.
	ProjectID ProjectID `bson:"project_id,omitempty"`
	// Order names what an ordered endpoint keeps the order of: the room.
	Order string `bson:"order,omitempty"`
	// SourceID is LiveKit's id of the event it was made of; for Pulse's own events
	// the id of the audit entry or object that it follows from.
	SourceID string `bson:"source_id,omitempty"`
	// Only is the one endpoint that a test event is for.
	Only EndpointID `bson:"only,omitempty"`
	// At is when it happened; ReceivedAt when it was stored, for its expiry.
	At         time.Time `bson:"at"`
	ReceivedAt time.Time `bson:"received_at"`
	// Data is a JSON object without any secret.
	Data string `bson:"data"`
}

// EventGap is the type of a number that no event was stored under.
const EventGap = "gap"

// EventsKept is how long events, and so the payloads of deliveries, are kept;
// DeliveriesKept how long the outcome of a delivery is.
const (
	EventsKept     = 30 * 24 * time.Hour
	DeliveriesKept = 90 * 24 * time.Hour
)

// FamilyOf gives a type of event up to its first dot.
func FamilyOf(eventType string) string {
	family, _, _ := strings.Cut(eventType, ".")
	return family
}

// EventMatches reports whether a type of event matches a pattern: "*", "family.*"
// or the type itself.
func EventMatches(pattern, eventType string) bool {
	if family, ok := strings.CutSuffix(pattern, ".*"); ok {
		return family == FamilyOf(eventType)
	}
	return pattern == "*" || pattern == eventType
}
