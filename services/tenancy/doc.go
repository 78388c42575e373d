// Package tenancy owns organizations, their members, invitations and projects, and
// the projects' API keys.
//
// It does not own login sessions or the verification of secrets (auth), nor quotas.
// Invariants: every organization has an owner; a project has a usable key unless
// the last was deleted with force; each change is in the audit trail.
//
// Called by handlers.
package tenancy
