// Package database holds the repositories, one a noun, and the declaration of
// the collections, fields and indexes they use.
//
// It owns the stored names, the filters and the BSON forms of models. It does
// not own business rules, the query language (database/engine) or storage
// (database/embedded for SQLite, database/mongo for MongoDB); Open chooses the
// engine. Invariants:
//   - every filter for a tenant's documents contains the tenant's id;
//   - a filter or sort names declared fields only, on either engine;
//   - an error that leaves is a *models.Error (no document → not_found,
//     duplicate key → conflict, deadline and network → unavailable), and no
//     repository returns (nil, nil);
//   - a write that returned nil is on disk (embedded) or acknowledged by a
//     journalled majority (MongoDB);
//   - every read has a limit; collections without a bound are read page by page.
//
// Called by services, and by main to open the engine.
package database
