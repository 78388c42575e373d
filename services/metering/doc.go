// Package metering owns the inbox of LiveKit's events and everything derived from
// them: usage sessions, usage facts, hourly and daily usage totals. It also owns
// the counters of tokens and requests, the reconciliation with the clusters'
// lists, and the queries of /v1/usage.
//
// It does not own limits. Invariants: an event is stored before it is answered
// and derived from at least once; every step may run again without harm
// (sessions, facts, marks, done); totals are functions of facts, facts of
// sessions, sessions of events.
//
// Called by handlers, quotas, evictions, tokens and the composition root.
package metering
