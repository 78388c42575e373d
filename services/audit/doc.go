// Package audit owns the audit trail: one chain of entries per organization, each
// with the hash of the one before, written before a change and completed after it
// (Begin). The exception is Record: the entry is written once, after a change whose own
// document was stored before it and has the caller. It also reads, exports and verifies
// the trail.
//
// It does not own the changes, nor the permission for them. Invariants: every
// field of an entry but its outcome is covered by its hash; the outcome has a
// hash of its own that a later entry seals; changing, deleting or reordering an
// entry breaks every hash after it. Missing entries at the end are detectable only
// with a known head or count, so an export ends with a line that contains both.
//
// Called by every service that changes something, by handlers (lists, exports,
// verification) and by the command "audit verify".
package audit
