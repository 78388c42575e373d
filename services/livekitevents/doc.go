// Package livekitevents reads the events that LiveKit sends: which cluster signed
// one, and what it says.
//
// It does not own what follows from an event (services/metering). Invariants: a body
// is read only for a token that a cluster signed, and nothing of it is used unless it
// is the body that was signed; secrets are left out of what is stored; a value of an
// enum that this version does not know stays as it was sent.
//
// Called by clusters, which has the keys, and through it by metering.
package livekitevents
