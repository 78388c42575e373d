// Package audit owns the trail: one chain of entries an organization, each
// covering the hash of the one before, written before a change and completed
// after it; reading, exporting and verifying it.
//
// It does not own what is changed, nor who may change it. Invariants: every
// field of an entry but its outcome is covered by its hash; the outcome has a
// hash of its own that a later entry seals; changing, removing or reordering an
// entry breaks every hash after it. Entries cut off the end show only against a
// known head or count, so an export ends with a line that states both.
//
// Called by every service that changes something, by handlers (lists, exports,
// verification) and by the command "audit verify".
package audit
