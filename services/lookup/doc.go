// Package lookup is the read cache of look-ups by one key: bounded, one load a
// key at a time, stale answers while the database is away.
//
// It does not know what it caches. Called by auth and quotas.
package lookup
