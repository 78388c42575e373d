// Package webhooks owns the endpoints that tenants name, the deliveries of events
// to them, and the worker that sends them.
//
// It does not own events, their order or their catalogue (services/events), nor
// which addresses may be reached (utils/safedial). Invariants: each event and
// endpoint have one delivery, whose id follows from theirs, so that a crash
// anywhere loses none and makes none twice; at most one process sends for an
// endpoint at a time; at most four requests to an endpoint are under way; no
// endpoint waits for another; an ordered endpoint gets the events of a room one
// after the other; secrets are sealed at rest and shown once; nothing that a
// tenant can read of an attempt names an address or an error's text.
//
// Called by handlers for endpoints and deliveries; its workers run as long as the
// process.
package webhooks
