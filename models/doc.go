// Package models is the vocabulary of the control plane: entities as they are
// stored (bson tags only), typed ids, roles, permissions, states, errors and
// room names.
//
// It does not know HTTP, storage engines or JSON shapes, and imports only the
// standard library. Invariants: an id of one noun can not be passed for
// another's; a Principal is built by authentication alone and is never read
// from a request body; an Error's cause never reaches a caller.
package models
