// Package tenancy owns organizations, their members and invitations, their
// projects and the API keys of those.
//
// It does not own sessions or secrets' verification (auth) nor quotas.
// Invariants: every organization has an owner; a project has a usable key unless
// the last was removed with force; each change is in the audit trail.
//
// Called by handlers.
package tenancy
