// Package embedded is the storage engine that keeps the documents in one SQLite
// file, in this process.
//
// It owns the file: its lock, its layout, the plans of queries, the group
// commit, the checkpoints and the deletion of expired documents. It does not own
// the query language (engine) or the collections of Pulse (database).
// Invariants:
//   - one server at a time has the file open (an advisory lock); an engine
//     beside it changes documents only;
//   - one goroutine writes; a write that returned nil, and every document that a
//     read returned, is synced to the disk;
//   - the index of a query depends on the declaration only, never on the data;
//   - it never drops a table, a column or an index by itself.
//
// Called by database.Open and by tests that need a storage of their own.
package embedded
