// Package auth owns who is calling: API keys and their secrets, login sessions,
// access and refresh tokens, passwords, and the throttles on guessing them.
//
// It does not own organizations, projects or what a caller may do
// (models.Principal says that). Invariants: an unknown e-mail address and a wrong
// password are indistinguishable, in time too; a secret is compared by bcrypt
// once and then by a keyed digest; cached answers are dropped when what they say
// changes.
//
// Called by middleware (every request), by handlers of /v1/auth and by tenancy.
package auth
