package secret

import (
	"crypto/sha256"
	"encoding/hex"
)

// Digest gives what is stored of a token of at least 128 random bits: its
// SHA-256 in hex. Such a token cannot be guessed, so it needs no slow hash.
func Digest(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}
