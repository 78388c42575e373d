// Package data owns what is done to a database as a whole: backups and their
// restoration, the check of what is stored, the compaction of its file, the move to
// another engine, the rotation of the key that seals, and the fingerprints of the
// secrets it was made with.
//
// It does not own what is stored (database) nor the rules that the check applies
// (audit, metering, usage). Invariants:
//   - a file appears under its final name complete, verified and on disk, or not
//     at all, whenever the process is killed; the next run removes what the
//     killed one left;
//   - a backup is one moment of the database, and never waits for the server nor
//     makes it wait;
//   - nothing here changes a database except compact, restore, the move and rekey;
//     restore and the move never replace one;
//   - the move and rekey can be killed at any step and run again;
//   - no secret leaves: backups hold keyed fingerprints.
//
// Called by main for its sub-commands and by a worker of the server.
package data
