// Package operations owns what the operator asks of the installation as a whole: what
// waits, what failed, which process has which lease, and to try dead events again.
//
// It does not own the work itself (metering, evictions, webhooks). Invariants: every count is bounded; only the operator is answered; what
// changes something is in the audit trail models.InstallationTrail.
//
// Called by handlers and, to measure, by a worker.
package operations
