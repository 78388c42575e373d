// Package quotas owns what a project may use at a time and in a month: Limits
// refuse what is beyond them, Slots hand out the numbered slots of concurrent
// participants, rooms and projects, the Enforcer evicts what is beyond a limit.
//
// It does not carry out evictions. Invariants: two replicas never hand out one
// slot twice, because a slot is a document named by its number; lowering a limit
// never evicts admitted participants; a threshold is announced once a period.
//
// Called by tokens, tenancy, handlers and the inbox's worker.
package quotas
