// Package evictions owns the queue of participants, rooms and egresses that must
// leave a cluster: each is a document, retried until the cluster confirms it or
// the cause no longer applies.
//
// It does not decide who must leave. Invariants: an eviction that was added is
// carried out at least once; a call that hangs delays no other; a participant
// who came back under the same identity is not evicted for an older session.
//
// Called by quotas and tokens.
package evictions
