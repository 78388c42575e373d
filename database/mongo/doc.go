// Package mongo is the storage engine for a MongoDB server (or one with its wire
// protocol): the official driver, given documents, filters and updates as they
// are.
//
// It owns the connection string, the driver's settings, the deadlines, the
// creation of indexes and the translation of the driver's errors. It does not
// own the query language (engine) or the collections of Pulse (database). It is
// the only package that imports the driver's client. Invariants:
//   - every operation ends within its timeout;
//   - writes are acknowledged by a journalled majority, reads come from the
//     primary with read concern majority, unless the connection string says
//     otherwise;
//   - no error and no log line contains the password or a document's values.
//
// Called by database.Open and by e2e/ferret.
package mongo
