// Package conformance is the suite of guarantees every storage engine keeps.
// Each case is named after its guarantee and runs on a store of its own.
//
// It owns no engine: the embedded engine runs it in database, MongoDB where
// TEST_MONGO_URI names a server, and e2e/ on a wire-compatible database. What
// one of those cannot do is skipped there by name and with a reason; a case
// never asks which engine it runs on.
package conformance
