// Package passwords tells the passwords that everybody tries first.
//
// It owns the list and the one disguise it sees through, digits after a word.
// It does not hash, and it does not judge strength beyond that: length is the
// request's rule, and NIST SP 800-63B (5.1.1.2) asks for a list of common
// values and against rules about character classes.
//
// Invariant: a password is never kept, logged or compared anywhere but here in
// memory.
package passwords
