package models

import (
	"slices"
	"time"
)

// Plan is what an organization has agreed with the operator; it sets limits.
type Plan string

// The plans. Only the operator changes an organization's plan.
const (
	PlanFree       Plan = "free"
	PlanPro        Plan = "pro"
	PlanEnterprise Plan = "enterprise"
)

// Plans lists the plans, from least to most.
func Plans() []Plan { return []Plan{PlanFree, PlanPro, PlanEnterprise} }

// Valid reports whether p is one of the plans.
func (p Plan) Valid() bool { return p == PlanFree || p == PlanPro || p == PlanEnterprise }

// RequestsPerMinute is how many requests a minute each project of an
// organization on the plan may make, unless its own limits say otherwise. free
// is what the installation gives the free plan
// (RATE_LIMIT_PROJECT_PER_MINUTE); the others are never less than that, and 0
// is no limit for any of them.
func (p Plan) RequestsPerMinute(free int64) int64 {
	if free == 0 {
		return 0
	}
	switch p {
	case PlanPro:
		return max(free, 10_000)
	case PlanEnterprise:
		return max(free, 100_000)
	case PlanFree:
	}
	return free
}

// MaxOwners is the most owners an organization may have.
const MaxOwners = 100

// Organization is a tenant.
type Organization struct {
	ID   OrganizationID `bson:"_id"`
	Name string         `bson:"name"`
	// NameKey is the name folded to lower case, for prefix search.
	NameKey string `bson:"name_key"`
	// AdminEmail is the lower-cased address it signed up with; unique.
	AdminEmail string `bson:"admin_email"`
	Plan       Plan   `bson:"plan"`
	// PlanChangedAt is when the plan was last changed.
	PlanChangedAt time.Time `bson:"plan_changed_at,omitempty"`
	// OwnerIDs are the people who own it, and the only record of it:
	// kept in one document, the rule that there is always an owner can be held
	// by one atomic write. LeavingIDs are people on their way out, who can not
	// become owners any more. MembersVersion counts changes of the two.
	OwnerIDs       []UserID `bson:"owner_ids"`
	LeavingIDs     []UserID `bson:"leaving_ids"`
	MembersVersion int64    `bson:"members_version"`
	// SuspendedAt is set while the operator keeps its people and keys out.
	SuspendedAt *time.Time `bson:"suspended_at,omitempty"`
	// Version counts changes, so that each is made of what it read; 0 is not stored.
	Version int64 `bson:"version,omitempty"`
	// IsDeleted hides the organization from every read; it stays stored.
	IsDeleted bool       `bson:"is_deleted"`
	CreatedAt time.Time  `bson:"created_at"`
	UpdatedAt time.Time  `bson:"updated_at"`
	DeletedAt *time.Time `bson:"deleted_at,omitempty"`
	// Deletion is set from the deletion until all that belonged to it is deleted too.
	Deletion *OrganizationDeletion `bson:"deletion,omitempty"`
}

// OrganizationDeletion is what is left to do of a deletion.
type OrganizationDeletion struct {
	// Pending is always true.
	Pending bool `bson:"pending"`
	// Kind, UserID, SessionID and Origin are those of the caller, whom the trail names.
	Kind      CallerKind `bson:"kind"`
	UserID    UserID     `bson:"user_id,omitempty"`
	SessionID SessionID  `bson:"session_id,omitempty"`
	Origin    Origin     `bson:"origin"`
}

// Actor is the caller as far as the trail names it. It may do nothing.
func (d *OrganizationDeletion) Actor(org OrganizationID) *Principal {
	return &Principal{Kind: d.Kind, OrgID: org, UserID: d.UserID, SessionID: d.SessionID, Origin: d.Origin}
}

// Suspended reports whether the operator keeps its people and keys out.
func (o *Organization) Suspended() bool { return o.SuspendedAt != nil }

// RoleOf is what a person of the organization is in it: an owner if it is
// listed as one, otherwise what the person's own document says below that.
func (o *Organization) RoleOf(u *User) Role {
	switch {
	case slices.Contains(o.OwnerIDs, u.ID):
		return RoleOwner
	case u.Role == RoleOwner:
		return RoleAdmin
	}
	return u.Role
}
