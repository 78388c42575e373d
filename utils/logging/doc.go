// Package logging builds a process's structured log.
//
// It owns the two output formats: JSON lines, written in batches (see lineio),
// and text for a developer's terminal. It does not own what is logged.
//
// Invariants: a line at error level or above is on the stream, with all lines
// before it, when the call that logged it returns; text has colours only on a
// terminal, and never with NO_COLOR set (https://no-color.org).
package logging
