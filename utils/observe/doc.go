// Package observe measures operations that can be slow: calls to other systems.
//
// It owns what is recorded of an operation: its duration and result as metrics,
// a span if tracing is on, and a log line if it was slow. It does not own
// retries, deadlines or the choice of what is an operation.
//
// Invariants: a Recorder records what its caller names and the error's text,
// never arguments or results, so that no tenant's data and no secret reaches a
// metric or trace; the labels of the metrics are few and fixed by the callers.
package observe
