// Package ids makes and checks the identifiers of /v1: a prefix that names the
// noun ("prj_") and a UUIDv7 (RFC 9562, section 5.7) in canonical lower-case
// text.
//
// It does not own the prefixes (models does) nor LiveKit's own ids (RM_, PA_,
// EG_ …), which pass through unchanged.
//
// Invariants: ids of one process sort in the order they were made, byte for
// byte; one text form only is valid for an id, so that ids may be compared as
// strings.
package ids
