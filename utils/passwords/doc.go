// Package passwords recognises common passwords.
//
// It owns the list of common passwords and recognises them also with digits or
// signs appended. It does not hash, and it does not rate strength: NIST SP
// 800-63B (5.1.1.2) requires a check against a list of common values and advises
// against rules about character classes.
//
// Invariant: a password is never kept or logged.
package passwords
