package hashing

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"

	"pulse-control-plane/utils/secret"
)

// Mark is a keyed digest of an API secret that belongs to a hash of a key. It may be
// stored beside the hash: without the pepper it can't be compared with anything, and
// with the pepper still no secret of 256 random bits is found by it. Who sends a secret
// with the stored mark does not guess; whether the secret is right, Compare decides.
func (h *Hasher) Mark(keyID, hash string, confidential secret.Value) string {
	return h.peppers[0].mark(keyID, hash, confidential)
}

// Marked reports whether a mark is that of a secret, hash and key under any pepper.
// After a new hash was stored the mark of the one before matches no longer.
func (h *Hasher) Marked(mark, keyID, hash string, confidential secret.Value) bool {
	found := false
	for i := range h.peppers {
		if mark != "" && hmac.Equal([]byte(mark), []byte(h.peppers[i].mark(keyID, hash, confidential))) {
			found = true
		}
	}
	return found
}

func (p *pepper) mark(keyID, hash string, confidential secret.Value) string {
	mac := hmac.New(sha256.New, p.marks)
	// NUL separates: neither an id nor a bcrypt hash contains it.
	mac.Write([]byte(keyID + "\x00" + hash + "\x00" + confidential.Reveal()))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
