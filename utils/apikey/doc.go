// Package apikey generates and recognises API key pairs: the publishable key
// "pulse_key_…" and its secret "pulse_secret_…".
//
// It does not own the hashing or storage of secrets, or authorization.
//
// The form follows what GitHub published on its tokens
// (https://github.blog/engineering/behind-githubs-new-authentication-token-formats/):
// a prefix that secret scanners find, random base62 characters, and a CRC-32
// of both, so that a mistyped key is refused without a database query.
//
// Invariants: a valid checksum means that nothing was mistyped, not that a key
// exists; a key has one valid text form.
package apikey
