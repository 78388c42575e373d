// Package idempotency owns the stored responses of requests with an
// Idempotency-Key: a repeated request gets the first response
// (draft-ietf-httpapi-idempotency-key-header; Stripe's rules where that is silent).
//
// It does not know HTTP. Invariants: keys are per tenant and grade of key; stored
// responses are sealed, since they may contain secrets, and kept for 24 hours.
//
// Called by middleware.
package idempotency
