// Package engine is the contract between the repositories and a storage engine:
// the Engine interface, the declaration of collections and indexes, and the
// checks of the query language.
//
// It owns the subset of MongoDB's query language that Pulse uses (the operators
// of Filter and Change) and the errors for queries outside of it. It does not
// own a storage, a driver or a collection of Pulse. Invariants:
//   - a filter, sort or sum names declared fields only, with values of the
//     declared kind; everything else is an internal error before the storage is
//     asked;
//   - every $in, $or, batch and group count has a limit;
//   - both engines use these checks, so both refuse the same queries.
//
// Called by the repositories in database, and by database/embedded and
// database/mongo, which implement Engine.
package engine
