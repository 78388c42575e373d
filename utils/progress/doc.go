// Package progress shows people how far a long task is: a bar that is redrawn on
// a terminal, a line now and then elsewhere.
//
// It owns no task. Invariants: it writes at most ten times a second to a terminal
// and once in ten seconds elsewhere, besides the last line; a failed write stops
// nothing.
package progress
