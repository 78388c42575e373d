// Package conformance is the suite of guarantees that every storage engine
// keeps. Each case is named after its guarantee and runs on a store of its own.
//
// It owns the cases, not an engine: database/embedded runs it on SQLite,
// database/mongo on the server that TEST_MONGO_URI names, e2e/ferret on a server
// with MongoDB's wire protocol. Invariants:
//   - a case never asks which engine it runs on;
//   - a case that an engine cannot pass is skipped by that engine's test, by
//     name and with a reason; a skip of an unknown case fails.
//
// Called by tests only.
package conformance
