// Package ratelimit decides whether one more request fits a limit per minute,
// by the generic cell rate algorithm (GCRA, ITU-T I.371): one timestamp a key,
// no windows that begin or end, no timers.
//
// It does not own the choice of keys or the headers of responses.
//
// Invariants: a key gets at most limit requests at once, and after that one every
// minute/limit; a refused request costs nothing; the number of keys is bounded:
// beyond it the key unused longest is forgotten and starts with its full limit.
// Counts are per process, or with Shared common to all processes that share a
// Redis.
package ratelimit
