// Package buildinfo names the version of a binary by what the go command
// stamped into it.
//
// It does not own the version of releases, which the linker sets.
package buildinfo
