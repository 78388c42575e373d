// Package quotas owns what a project may use concurrently and per month: Limits
// refuses requests over a limit, Slots hands out the numbered slots of concurrent
// participants, rooms and projects, Enforcer evicts sessions over a limit.
//
// It does not carry out evictions. Invariants: two replicas never hand out one
// slot twice, because a slot is a document named by its number; lowering a limit
// never evicts admitted participants; a threshold is announced once a period.
//
// Called by tokens, tenancy, handlers and the inbox's worker.
package quotas
