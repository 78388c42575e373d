package models

import "time"

// Plan is what an organization has agreed with the operator; it sets limits.
type Plan string

// The plans. Only the operator changes an organization's plan.
const (
	PlanFree       Plan = "free"
	PlanPro        Plan = "pro"
	PlanEnterprise Plan = "enterprise"
)

// Valid tells whether p is one of the plans.
func (p Plan) Valid() bool { return p == PlanFree || p == PlanPro || p == PlanEnterprise }

// Organization is a tenant.
type Organization struct {
	ID   OrganizationID `bson:"_id"`
	Name string         `bson:"name"`
	// NameKey is the name folded to lower case, for prefix search.
	NameKey string `bson:"name_key"`
	// AdminEmail is the lower-cased address it signed up with; unique.
	AdminEmail string `bson:"admin_email"`
	Plan       Plan   `bson:"plan"`
	// IsDeleted hides the organization from every read; it stays stored.
	IsDeleted bool       `bson:"is_deleted"`
	CreatedAt time.Time  `bson:"created_at"`
	UpdatedAt time.Time  `bson:"updated_at"`
	DeletedAt *time.Time `bson:"deleted_at,omitempty"`
}
