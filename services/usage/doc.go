// Package usage owns what /v1/usage answers: hourly and daily usage totals,
// computed from usage facts, and the reports, explanations, lists and exports made
// of them.
//
// It does not own usage sessions and facts, which services/metering derives, nor
// limits. Invariants: a total is a function of the facts (or, for a peak, of the
// usage sessions) of its window and is computed, never added to; a report equals
// the sum of what explains it; reading writes nothing.
//
// Called by handlers, quotas, operations and the composition root.
package usage
