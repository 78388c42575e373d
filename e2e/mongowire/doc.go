// Package mongowire serves the product's embedded engine over MongoDB's wire protocol, so that several processes of the
// product share one database through the official driver on a machine without MongoDB. Each process gets a [Line] of its
// own, on which a test injects faults: a primary that steps down, connections that end before or after a command was
// executed, a server that does not answer, latency.
//
// It owns the protocol (OP_MSG, and OP_QUERY for the first hello), the commands that package database/mongo sends, and
// retryable writes: a write that is repeated with its session and transaction number is executed once, as on MongoDB
// (mongodb.com/docs/manual/core/retryable-writes). It does not own expectations. Differences from MongoDB: no
// authentication, no change streams, transactions or secondaries, a cursor is read as a whole at its first batch, and
// documents expire by the embedded engine's clock.
package mongowire
