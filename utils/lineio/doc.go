// Package lineio batches the lines of a log: they are collected in memory and
// written together, at most Delay later. It does not own the format of a line.
//
// Invariants: lines are written whole and in order; none is dropped (when the
// buffer is full, callers wait for the underlying writer); an urgent line is
// written, with all lines before it, before the call returns; a failed write
// loses the lines of its batch and no later ones. SIGKILL loses the lines that
// wait, which are at most Delay old and not urgent.
package lineio
