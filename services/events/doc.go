// Package events owns the catalogue of events for tenants, the log of events
// and its readers: polling, streams and followers.
//
// It does not own what LiveKit's events prove (services/metering), nor endpoints
// and deliveries (services/webhooks). Invariants: an event is numbered before it
// is stored, and readers read by number, so that all of them see one order of
// arrival; a number that nothing is stored under is closed by a gap, so that no
// crash makes a reader wait or miss an event; the same occurrence gives the same
// event, stored once; no event holds a secret; memory does not grow with the
// number of events or with readers that stall.
//
// Called by metering's inbox, the audit trail, quotas and tenancy through the
// composition root, by webhooks and by handlers.
package events
