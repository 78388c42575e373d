// Package worker is the loop of long work: a pass every interval or when
// woken, with jitter, a deadline a pass, exponential backoff after errors, and,
// where several processes run the same work, leadership by a lease.
//
// An Activity, which workers of a process share, tells them whether anything
// happened lately that may have made work: while nothing does, they pause for
// longer, and the first thing that happens wakes them all.
//
// It owns when a pass runs and whether this process may run it. It does not own
// what a pass does, nor where leases are stored: the caller implements Lease.
//
// Invariants:
//   - passes of one Worker never overlap;
//   - every pass has a deadline, and its context ends when the worker stops or
//     the lease is lost, with ErrLeaseLost as its cause;
//   - a process believes in its lease for a shorter time than it asked for,
//     counted from before it asked and on its own monotonic clock: clocks of
//     different machines are never compared;
//   - the lease is renewed while a pass runs and between passes, and released
//     when the worker stops;
//   - a panic of a pass is an error of that pass;
//   - waking any number of times while a pass runs causes one more pass, and
//     waking never shortens a backoff.
package worker
