package hashing

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"hash"
	mathrand "math/rand/v2"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"pulse-control-plane/utils/secret"
)

// VerifiedFor is how long a checked pair is remembered at most (API.md,
// "Projects and keys").
const VerifiedFor = 60 * time.Second

// verifiedSpread is how much earlier a pair may be forgotten, at random: replicas
// that verified it at the same time don't do so again together.
const verifiedSpread = VerifiedFor / 4

// Verified remembers which secrets were just found to belong to which hash, so
// that bcrypt runs once a minute for a key and not on every request. It holds
// keyed digests only, under a key that lives and dies with the process. The
// hash is part of the digest: after a rotation the old pair no longer matches,
// even if a check of it was under way. It is safe for concurrent use.
type Verified struct {
	clock   func() time.Time
	entries *lru.Cache[string, verifiedEntry]
	states  sync.Pool
}

type verifiedEntry struct {
	digest [sha256.Size]byte
	until  time.Time
}

// NewVerified makes a memory of at most capacity pairs; the one unused longest
// makes room.
func NewVerified(capacity int, clock func() time.Time) (*Verified, error) {
	entries, err := lru.New[string, verifiedEntry](capacity)
	if err != nil {
		return nil, fmt.Errorf("hashing: %w", err)
	}
	key := make([]byte, sha256.Size)
	if _, err := rand.Read(key); err != nil {
		return nil, fmt.Errorf("hashing: no randomness: %w", err)
	}
	v := &Verified{clock: clock, entries: entries}
	v.states.New = func() any { return &digester{mac: hmac.New(sha256.New, key)} }
	return v, nil
}

// Check reports whether this secret was found to belong to this hash of the key
// within the last VerifiedFor.
func (v *Verified) Check(keyID string, confidential secret.Value, hash string) bool {
	entry, ok := v.entries.Get(keyID)
	return ok && v.clock().Before(entry.until) && v.matches(entry, keyID, confidential, hash)
}

// Recalls is Check however long ago that was: the secret has to be verified again, but
// it is not guessed.
func (v *Verified) Recalls(keyID string, confidential secret.Value, hash string) bool {
	entry, ok := v.entries.Get(keyID)
	return ok && v.matches(entry, keyID, confidential, hash)
}

func (v *Verified) matches(entry verifiedEntry, keyID string, confidential secret.Value, hash string) bool {
	state := v.states.Get().(*digester)
	defer v.states.Put(state)
	return hmac.Equal(state.digest(keyID, confidential, hash), entry.digest[:])
}

// Remember notes that the secret was just found to belong to the hash; call it
// after a successful Compare only.
func (v *Verified) Remember(keyID string, confidential secret.Value, hash string) {
	state := v.states.Get().(*digester)
	defer v.states.Put(state)
	entry := verifiedEntry{until: v.clock().Add(VerifiedFor - mathrand.N(verifiedSpread))}
	copy(entry.digest[:], state.digest(keyID, confidential, hash))
	v.entries.Add(keyID, entry)
}

// Forget drops what is remembered of a key, at once.
func (v *Verified) Forget(keyID string) { v.entries.Remove(keyID) }

// digester is the working memory of one HMAC computation, pooled because a
// check stands on the path of every request.
type digester struct {
	mac   hash.Hash
	input []byte
	sum   [sha256.Size]byte
}

// digest is valid until the next call.
func (d *digester) digest(keyID string, confidential secret.Value, hash string) []byte {
	// NUL separates: neither an id nor a bcrypt hash contains it, so no two
	// triples read the same.
	d.input = append(append(d.input[:0], keyID...), 0)
	d.input = append(append(d.input, confidential.Reveal()...), 0)
	d.input = append(d.input, hash...)
	d.mac.Reset()
	d.mac.Write(d.input)
	clear(d.input)
	return d.mac.Sum(d.sum[:0])
}
