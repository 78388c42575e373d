// Package hashing hashes what must be checked and never read again: secrets of
// API keys and passwords of people, with bcrypt; and remembers for a minute
// which pairs it has just checked.
//
// It does not own the form of keys (utils/apikey), rules for passwords, or
// what the caller is told about a mismatch (services).
//
// Invariants: no input is cut off, whatever its length or content; at most
// GOMAXPROCS bcrypt computations run at a time and none waits without bound;
// nothing is remembered in a form that could be turned back into a secret.
package hashing
