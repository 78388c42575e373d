// Package lookup caches look-ups by one key: bounded, one concurrent load per key,
// stale values while the database is down.
//
// It does not know what it caches. Called by auth and quotas.
package lookup
