// Package cursor turns the place where a page of a list ended into an opaque
// text, and back.
//
// It does not own what stands in a cursor or how a list is sorted (services),
// nor what a caller is told about a bad one.
//
// Invariants: only a text that Encode made under the same key for the same
// scope is decoded, so that neither a caller's invention nor another tenant's
// or another list's cursor reaches a query; decoding reads no more than
// MaxLength characters. A cursor is authentic, not confidential.
package cursor
