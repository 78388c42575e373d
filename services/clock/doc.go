// Package clock owns the comparison of this process's clock with the database's.
//
// It does not set a clock. Invariants: times that several replicas compare with
// each other are the database's, as Clock.Database gives them; a process whose clock
// is off by models.ClockLimit is not ready.
//
// Called by composition, and by services whose times replicas share.
package clock
