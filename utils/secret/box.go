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

// sealedPrefix names the scheme, so that a later one can be told apart.
const sealedPrefix = "v1."

// ErrUnopened is the error for every value a Box cannot open: altered,
// truncated, sealed under another key or for another purpose.
var ErrUnopened = errors.New("secret: sealed value cannot be opened")

// Box seals values at rest with AES-256-GCM (NIST SP 800-38D) under one key. A
// nonce of 96 random bits allows 2³² seals under one key (section 8.3 there). A
// Box is safe for concurrent use.
type Box struct {
	aead cipher.AEAD
}

// NewBox returns a Box under a key of KeySize bytes; any other length is an
// error.
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

// Seal encrypts plain and binds it to aad, which names its owner and purpose
// (such as "project prj_… storage") and is required to open it. The result is
// text: "v1." and unpadded base64url. The error is always nil today; the
// signature allows for keys in an external service.
func (b *Box) Seal(plain []byte, aad string) (string, error) {
	sealed := b.aead.Seal(nil, nil, plain, []byte(aad))
	return sealedPrefix + base64.RawURLEncoding.EncodeToString(sealed), nil
}

// Open returns the bytes that Seal was given under the same key and aad, or
// ErrUnopened.
func (b *Box) Open(sealed, aad string) ([]byte, error) {
	body, ok := strings.CutPrefix(sealed, sealedPrefix)
	// A value has one valid text: Go's decoder skips line breaks, and only a
	// strict one refuses trailing bits.
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

// Derive derives a key of KeySize bytes for one purpose from a master key by
// HKDF-SHA-256 (RFC 5869), so that no purpose learns another's key. The same
// master and purpose always give the same key.
func Derive(master []byte, purpose string) []byte {
	key, err := hkdf.Key(sha256.New, master, nil, purpose, KeySize)
	if err != nil {
		// HKDF fails only for a length above 255 hashes; this is one.
		panic(err)
	}
	return key
}
