// Package auditlog is the chain of the audit trail: what is hashed, and what
// makes a sequence of entries whole.
//
// It does not own storage or permission. Invariants: every field of an entry
// but its outcome is covered by its hash, which covers the hash before it; the
// outcome is covered by a hash of its own, which a later entry seals; so
// whoever changes, removes or reorders an entry must rewrite all that follow,
// and whoever kept the hash of the last one notices. Entries cut off the end
// show only to who knows how many there were, which is why an export ends with
// a line that says so.
package auditlog
