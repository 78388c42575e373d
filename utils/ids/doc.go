// Package ids generates and checks identifiers: a prefix that names the noun
// ("prj_") and a UUIDv7 (RFC 9562, section 5.7) in canonical lower-case
// text.
//
// It does not own the prefixes.
//
// Invariants: ids of one process sort by creation, byte by byte; an id has one
// valid text form, so that ids can be compared as strings.
package ids
