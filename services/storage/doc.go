// Package storage owns where recordings of a project go: the seal on the
// credentials of its storage, the check that they work, and the paths of files.
//
// It does not own the setting itself (tenancy), nor what is recorded (media).
// Invariants: credentials are sealed with DATA_KEY and bound to their project;
// nothing prints or returns them; paths begin with the project's id; requests to a
// provider pass the guard against addresses that only this network can reach.
//
// Called by tenancy to seal, by media to start recordings, and by handlers to
// check.
package storage
