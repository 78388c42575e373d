// Package apikey makes and recognises the key pairs of projects: the public
// "pulse_key_…" and the confidential "pulse_secret_…".
//
// It does not own how secrets are hashed or remembered (utils/hashing), nor
// who may use a key (services).
//
// The form follows what GitHub published on its tokens
// (https://github.blog/engineering/behind-githubs-new-authentication-token-formats/):
// a prefix that secret scanners find, random base62 characters, and a CRC-32
// of all that, so that a mistyped key is refused without asking the database.
//
// Invariants: a checksum proves that nothing was mistyped, never that a key
// exists; one text form only is valid for a key.
package apikey
