// Package cursor encodes the position where a page of a list ended as an opaque
// text, and decodes it.
//
// It does not own the content of cursors, the order of lists or the answer to an
// invalid cursor.
//
// Invariants: Decode accepts only what Encode returned under the same key for
// the same scope, so that no forged cursor, and none of another tenant or list,
// reaches a query; it reads at most MaxLength characters. A cursor is
// authenticated, not encrypted.
package cursor
