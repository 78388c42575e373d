// Package lifecycle runs a process's servers and workers and takes them down
// in order: what drains, then servers, then workers, then closers in the
// reverse order of their making. It owns no signal handling and no logging.
package lifecycle
