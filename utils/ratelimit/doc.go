// Package ratelimit decides whether one more request fits a limit per minute,
// by the generic cell rate algorithm (GCRA, ITU-T I.371): one timestamp a key,
// no windows that begin or end, no timers.
//
// It does not own which key a request is counted under, nor the headers an
// answer carries (middleware).
//
// Invariants: a key is let through at most limit times at once, and after that
// once every minute/limit; a refused request costs nothing; no more keys are
// remembered than there is room for. When there are more, the one unused
// longest is forgotten and starts afresh: the limiter then errs on the side of
// letting through. Counts are those of this process, or with Shared those of
// every process that shares a Redis.
package ratelimit
