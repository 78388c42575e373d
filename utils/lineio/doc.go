// Package lineio owns a writer for logs that are written on the path of every
// request: lines are collected in memory and written together, at most a few
// hundredths of a second later. It does not own what a line is or says.
//
// Invariants: lines come out whole, in the order they came in; none is dropped
// (when the buffer is full, writers wait for the disk); what is urgent is
// written, with all before it, before the call returns; an error of the
// underlying writer costs the lines it was given and no later ones. What the
// process has not written when it is killed with SIGKILL is lost: at most what
// came within the delay, none of it urgent.
package lineio
