// Package shards divides the shards of a kind of work fairly among the processes
// that do it.
//
// It owns the leases of shards and of the processes that take part. It does not
// know what a shard holds. Invariants: at most one process works on a shard at a
// time; no process compares its clock with another's; the shards of a process
// that died are taken over within TTL and two passes; the lease of a process that
// died is deleted after an hour. Called by metering for LiveKit's events and by
// webhooks for deliveries.
package shards
