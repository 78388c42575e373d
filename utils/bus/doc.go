// Package bus informs the caches of a process of what changed, so that a write names
// the change once instead of every cache that may hold it.
//
// It owns the delivery. It does not own what a change is (a type parameter),
// nor the way by which changes of other processes are learnt: a change stream
// or a poll hands them to Inject, and says Reset when it may have missed some.
//
// Invariants:
//   - delivery is synchronous: when Publish returns, every subscriber has dropped
//     what it must not answer from any more, and nothing is queued;
//   - no lock is held while subscribers run; publishers run side by side, so
//     that subscribers are safe for concurrent use and changes have no order
//     between publishers: a subscriber drops what it holds and reads again, it
//     never takes a value from a change;
//   - a subscriber that panics keeps no other from hearing a change, and is told
//     to drop everything, since it may not have dropped what it had to;
//   - a change that a subscriber publishes while it handles one is delivered
//     inside that call; chains longer than a process's stack are the caller's
//     fault, so subscribers do not publish.
package bus
