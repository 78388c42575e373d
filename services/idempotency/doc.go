// Package idempotency owns the stored answers by which a request that is sent
// again gets the first answer (draft-ietf-httpapi-idempotency-key-header;
// Stripe's rules where that is silent).
//
// It does not know HTTP. Invariants: keys are per tenant and grade of key; stored
// answers are sealed, since they may hold secrets, and kept for 24 hours.
//
// Called by middleware.
package idempotency
