// Package secret protects confidential values: Value prints as [redacted], and
// Box encrypts bytes at rest.
//
// It does not own hashing or the source of keys.
//
// Invariants: only Reveal returns a Value's text; a Box opens only values sealed
// under the same key for the same purpose, and every other value gets the same
// error.
package secret
