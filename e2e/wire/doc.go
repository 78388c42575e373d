// Package wire serves the part of MongoDB's wire protocol that Pulse uses, with Pulse's own embedded engine behind it, so
// that several processes of the product can share one database on a machine without MongoDB.
//
// It owns the protocol and the translation of commands into calls of the engine, which has the same query language. It does
// not own expectations, and it is no MongoDB: every command is atomic by itself, indexes are those that the schema declares,
// and it answers each list in one batch. What only MongoDB's own query language has is an error.
package wire
