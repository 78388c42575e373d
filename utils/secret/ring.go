package secret

import (
	"encoding/hex"
	"errors"
	"fmt"
)

// Ring is the master keys of one setting while it is rotated: the first seals,
// each of them opens. It is safe for concurrent use.
type Ring struct {
	masters [][]byte
	ids     []string
}

// NewRing makes a ring of at least one master key; an empty or repeated one is an
// error.
func NewRing(masters ...Value) (*Ring, error) {
	if len(masters) == 0 {
		return nil, errors.New("secret: a ring without a key")
	}
	r := &Ring{}
	known := map[string]bool{}
	for _, m := range masters {
		id := KeyID(m)
		switch {
		case m.IsZero():
			return nil, errors.New("secret: an empty key")
		case known[id]:
			return nil, fmt.Errorf("secret: the key %s is listed twice", id)
		}
		known[id] = true
		r.masters, r.ids = append(r.masters, []byte(m.Reveal())), append(r.ids, id)
	}
	return r, nil
}

// keyIDSize is the length of a key's id in bytes: enough to tell apart the few
// keys of an installation.
const keyIDSize = 6

// KeyID names a key in public, such as in what it sealed: 12 characters that are
// a function of the key and tell nothing of it.
func KeyID(key Value) string {
	return hex.EncodeToString(Derive([]byte(key.Reveal()), "key id")[:keyIDSize])
}

// Current is the id of the key that seals.
func (r *Ring) Current() string { return r.ids[0] }

// Derive derives a key from each master for one purpose, as the function Derive
// does: the first to make something with, each of them to check it.
func (r *Ring) Derive(purpose string) [][]byte {
	keys := make([][]byte, len(r.masters))
	for i, master := range r.masters {
		keys[i] = Derive(master, purpose)
	}
	return keys
}

// Box returns the box for one purpose. The error is always nil today, as of Seal.
func (r *Ring) Box(purpose string) (*Box, error) {
	b := &Box{}
	for i, key := range r.Derive(purpose) {
		aead, err := sealer(key)
		if err != nil {
			return nil, err
		}
		b.keys = append(b.keys, boxKey{r.ids[i], aead})
	}
	return b, nil
}
