// Package weborigin writes origins as browsers send them (RFC 6454, section 6.1),
// so that one written in another way can be compared with a header.
//
// It does not check that a text is an origin: its callers have.
package weborigin
