// Package counters counts tokens and requests: what happens too often to be stored one by
// one. It owns the counter journal and the metrics of single projects.
//
// It does not own totals (services/usage), nor what LiveKit's events tell
// (services/metering). Invariants: what a flush acknowledged is durable, in a usage fact
// or in the journal; values only grow, so that writing them again changes nothing; what
// changes a fact marks the totals it is part of.
//
// Called by middleware, tokens and the composition root.
package counters
