// Package lifecycle starts what runs for as long as the process does and ends
// it in order:
//
//	readiness off → requests under way finish → workers finish → closers, last opened first
//
// A buffer that must be written out is a closer registered after the database
// it is written to. The package does not own signals (main ends the context;
// the second one is the system's), nor logging.
//
// Invariants: every closer registered is called once, whatever failed before
// it; each step of the end is bounded in time; a worker that fails or panics
// ends the process in the same order, so that its supervisor starts it anew.
package lifecycle
