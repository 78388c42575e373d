// Package clock owns the comparison of this process's clock with the database's.
//
// It does not set a clock. Invariants: all services go by the database's clock, as
// Clock.Database gives it, so that no time is compared with another replica's; a process whose clock
// is off by models.ClockLimit is not ready; setting this process's clock moves no service's
// time.
//
// Called by composition.
package clock
