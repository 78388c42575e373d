package models

import (
	"crypto/sha256"
	"time"
)

type (
	// EndpointID names an endpoint: "whe_…".
	EndpointID string
	// DeliveryID names a delivery: "dlv_…", a function of event and endpoint.
	DeliveryID string
)

// Prefixes of the ids.
const (
	EndpointPrefix = "whe_"
	DeliveryPrefix = "dlv_"
)

// EndpointShards is into how many shards endpoints are divided.
const EndpointShards = 16

// ShardOfEndpoint is the shard of an endpoint.
func ShardOfEndpoint(id EndpointID) int64 {
	sum := sha256.Sum256([]byte(id))
	return int64(sum[0] % EndpointShards)
}

// MaxEndpoints is how many endpoints a project, or an organization for all its
// projects, may have.
const MaxEndpoints = 20

// Endpoint is a tenant's URL that events are sent to.
type Endpoint struct {
	ID    EndpointID     `bson:"_id"`
	OrgID OrganizationID `bson:"org_id"`
	// ProjectID is empty for an endpoint that receives the events of the whole organization.
	ProjectID ProjectID `bson:"project_id,omitempty"`
	// Owner is the project, or else the organization.
	Owner string `bson:"owner"`
	// Slot is the endpoint's number among those of its owner, from 0: no two that
	// are not deleted have the same. Absent once it is deleted.
	Slot        *int64   `bson:"slot,omitempty"`
	URL         string   `bson:"url"`
	Description string   `bson:"description,omitempty"`
	Events      []string `bson:"events"`
	// Ordered keeps the order of the events of each room.
	Ordered bool `bson:"ordered"`
	Enabled bool `bson:"enabled"`
	// DisabledReason says why Pulse disabled it: EndpointGone or EndpointFailing.
	DisabledReason string     `bson:"disabled_reason,omitempty"`
	DisabledAt     *time.Time `bson:"disabled_at,omitempty"`
	// Announcing is set until the owner was informed that Pulse disabled it.
	Announcing bool `bson:"announcing"`
	// FailingSince is when the first attempt failed after the last success.
	FailingSince *time.Time `bson:"failing_since,omitempty"`
	// Secret is sealed. PreviousSecret signs too until PreviousUntil.
	Secret         string     `bson:"secret"`
	PreviousSecret string     `bson:"previous_secret,omitempty"`
	PreviousUntil  *time.Time `bson:"previous_until,omitempty"`
	// While it is Recovering, what waits to be tried again is made due, and the
	// events that happened since RecoverSince are delivered that were not;
	// RecoverFrom is the number of the last one seen to.
	Recovering   bool       `bson:"recovering"`
	RecoverSince *time.Time `bson:"recover_since,omitempty"`
	RecoverFrom  int64      `bson:"recover_from"`
	// Version counts changes of what tenants see of it, so that each is made of what it read; 0 is not stored.
	Version   int64     `bson:"version,omitempty"`
	CreatedAt time.Time `bson:"created_at"`
	UpdatedAt time.Time `bson:"updated_at"`
	IsDeleted bool      `bson:"is_deleted"`
}

// Why Pulse disables an endpoint.
const (
	EndpointGone    = "gone"
	EndpointFailing = "failing"
)

// DeliveryState is how far a delivery has come.
type DeliveryState string

// The states of a delivery.
const (
	DeliveryPending   DeliveryState = "pending"
	DeliveryDelivered DeliveryState = "delivered"
	DeliveryFailed    DeliveryState = "failed"
)

// MaxAttemptsKept bounds the attempts that a delivery remembers: the latest.
const MaxAttemptsKept = 20

// Delivery is one event sent to one endpoint.
type Delivery struct {
	ID         DeliveryID     `bson:"_id"`
	EndpointID EndpointID     `bson:"endpoint_id"`
	OrgID      OrganizationID `bson:"org_id"`
	// Owner is the endpoint's.
	Owner     string `bson:"owner"`
	EventID   string `bson:"event_id"`
	EventType string `bson:"event_type"`
	// Seq and Order are the event's.
	Seq   int64  `bson:"seq"`
	Order string `bson:"order,omitempty"`
	// Shard is that of the endpoint; one process at a time sends for a shard.
	Shard int64         `bson:"shard"`
	State DeliveryState `bson:"state"`
	// DueAt is when it is tried again, by the clock of the process that tried it;
	// DueAtOnce for a new one.
	DueAt time.Time `bson:"due_at"`
	// Tries counts the attempts since it was last made pending; it says which
	// line of the table of retries is next.
	Tries     int64     `bson:"tries"`
	Attempts  []Attempt `bson:"attempts,omitempty"`
	CreatedAt time.Time `bson:"created_at"`
	UpdatedAt time.Time `bson:"updated_at"`
}

// Attempt is one request of a delivery.
type Attempt struct {
	At time.Time `bson:"at"`
	// URL is what the endpoint's was.
	URL string `bson:"url"`
	// Status is that of the answer; 0 without one.
	Status int   `bson:"status"`
	Millis int64 `bson:"ms"`
	// Error is a code of why there was no usable answer, or "".
	Error string `bson:"error,omitempty"`
	// Answer is the first KiB of the body.
	Answer string `bson:"answer,omitempty"`
}
