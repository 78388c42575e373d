// Package authorization reads the field Authorization of a request (RFC 9110, section
// 11.6.2), the same way for every route.
//
// It does not judge credentials. Invariant: tabs and any number of spaces between the
// scheme and the credential, and around both, make no difference, although the grammar
// has spaces only.
package authorization
