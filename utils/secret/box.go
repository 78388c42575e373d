package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// KeySize is the length in bytes of a Box's key and of what Derive returns:
// that of AES-256.
const KeySize = 32

// sealedPrefix names the scheme, so that a later one can stand beside it.
const sealedPrefix = "v1."

// ErrUnopened is the one answer to anything a Box can not open: altered, cut
// short, sealed under another key or for another purpose.
var ErrUnopened = errors.New("secret: sealed value can not be opened")

// Box seals values at rest with AES-256-GCM (NIST SP 800-38D) under one key. A
// nonce of 96 random bits allows 2³² seals under one key (section 8.3 there),
// far beyond what a control plane stores. A Box is safe for concurrent use.
type Box struct {
	aead cipher.AEAD
}

// NewBox makes a Box of a key of KeySize bytes; any other length is an error.
func NewBox(key []byte) (*Box, error) {
	if len(key) != KeySize {
		return nil, fmt.Errorf("secret: a box needs a key of %d bytes, not %d", KeySize, len(key))
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	return &Box{aead: aead}, nil
}

// Seal encrypts plain and binds it to aad, which names where it belongs (such
// as "project prj_… storage") and is needed again to open it. The result is
// text: "v1." and unpadded base64url. No error occurs today; the signature
// leaves room for keys that live elsewhere.
func (b *Box) Seal(plain []byte, aad string) (string, error) {
	sealed := b.aead.Seal(nil, nil, plain, []byte(aad))
	return sealedPrefix + base64.RawURLEncoding.EncodeToString(sealed), nil
}

// Open gives back what Seal was given under the same key and aad; otherwise
// ErrUnopened.
func (b *Box) Open(sealed, aad string) ([]byte, error) {
	body, ok := strings.CutPrefix(sealed, sealedPrefix)
	// One text only opens a value: Go's decoder would skip line breaks, and
	// only a strict one refuses stray trailing bits.
	if !ok || strings.ContainsAny(body, "\r\n") {
		return nil, ErrUnopened
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(body)
	if err != nil {
		return nil, ErrUnopened
	}
	plain, err := b.aead.Open(nil, nil, raw, []byte(aad))
	if err != nil {
		return nil, ErrUnopened
	}
	return plain, nil
}

// Derive makes a key of KeySize bytes for one purpose out of a master key by
// HKDF-SHA-256 (RFC 5869), so that one DATA_KEY serves sealing, cursors and
// others without any of them learning another's key. The same master and
// purpose always give the same key.
func Derive(master []byte, purpose string) []byte {
	key, err := hkdf.Key(sha256.New, master, nil, purpose, KeySize)
	if err != nil {
		// Only a length above 255 hashes is refused, and ours is one.
		panic(err)
	}
	return key
}
