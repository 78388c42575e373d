// Package backoff spaces out attempts at something that failed: exponentially,
// capped, with full jitter, so that many callers do not come back together
// (https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/).
//
// It does not own what is attempted, nor how often in all: the caller's loop
// and context bound that.
//
// Invariants: no wait is longer than the cap; a wait ends with its context.
package backoff
