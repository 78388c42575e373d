// Package lifecycle runs the servers and workers of a process and shuts them
// down in order:
//
//	readiness off → notice → requests finish → workers finish → closers, last registered first
//
// A buffer that must be flushed is a closer registered after the database it is
// flushed to. The package does not own signals (the caller cancels the context)
// or logging.
//
// Invariants: every closer is called once, whatever failed before it; each step
// is bounded in time; a worker that fails or panics ends the process in the same
// order, so that a supervisor restarts it.
package lifecycle
