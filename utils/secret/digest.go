package secret

import (
	"crypto/sha256"
	"encoding/hex"
)

// Digest returns the SHA-256 of a token in hex, to be stored instead of it. The
// token must have at least 128 random bits: it cannot be guessed, so it needs no
// slow hash.
func Digest(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}
