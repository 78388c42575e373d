// Package auth owns authentication: API keys and their secrets, login sessions,
// access and refresh tokens, passwords, and the throttles on guessing them.
//
// It does not own organizations, projects or what a caller may do
// (models.Principal says that). Invariants: an unknown email address and a wrong
// password are indistinguishable, in time too; bcrypt compares a secret once, then
// a keyed digest does; writes invalidate the affected cache entries.
//
// Called by middleware (every request), by handlers of /v1/auth and by tenancy.
package auth
