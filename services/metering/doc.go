// Package metering owns the inbox of LiveKit's events and what is derived from
// them: usage sessions and usage facts. It also owns the reconciliation with the
// clusters' lists.
//
// It does not own limits, nor totals and reports (services/usage), nor what Pulse
// counts itself (services/counters). Invariants: an
// event is stored before it is answered and derived from at least once; every step
// may run again without harm (sessions, facts, marks, done); facts are functions of
// sessions, sessions of events; what changes a fact marks the totals it is part of.
//
// Called by handlers, quotas, evictions, tokens and the composition root.
package metering
