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

// KeySize is the length in bytes of what Derive returns: that of AES-256.
const KeySize = 32

// The schemes of sealed values. Those of the first name no key, so that each is
// tried.
const (
	unnamedPrefix = "v1."
	namedPrefix   = "v2."
)

// ErrUnopened is the error for every value a Box cannot open: altered,
// truncated, sealed under another key or for another purpose.
var ErrUnopened = errors.New("secret: sealed value cannot be opened")

// Box seals values at rest with AES-256-GCM (NIST SP 800-38D) under the first of
// its keys, and opens what any of them sealed. A nonce of 96 random bits allows
// 2³² seals under one key (section 8.3 there). A Box is safe for concurrent use.
type Box struct {
	keys []boxKey
}

type boxKey struct {
	id   string
	aead cipher.AEAD
}

func sealer(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("secret: %w", err)
	}
	return aead, nil
}

// Seal encrypts plain and binds it to aad, which names its owner and purpose
// (such as "project prj_… storage") and is required to open it. The result is
// text: a version, the id of the key and unpadded base64url. The error is always nil today; the
// signature allows for keys in an external service.
func (b *Box) Seal(plain []byte, aad string) (string, error) {
	sealed := b.keys[0].aead.Seal(nil, nil, plain, []byte(aad))
	return namedPrefix + b.keys[0].id + "." + base64.RawURLEncoding.EncodeToString(sealed), nil
}

// Open returns the bytes that Seal was given under one of the keys and the same
// aad, or ErrUnopened.
func (b *Box) Open(sealed, aad string) ([]byte, error) {
	key, body, ok := cutSealed(sealed)
	// A value has one valid text: Go's decoder skips line breaks, and only a
	// strict one refuses trailing bits.
	if !ok || strings.ContainsAny(body, "\r\n") {
		return nil, ErrUnopened
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(body)
	if err != nil {
		return nil, ErrUnopened
	}
	for _, k := range b.keys {
		if key != "" && key != k.id {
			continue
		}
		if plain, err := k.aead.Open(nil, nil, raw, []byte(aad)); err == nil {
			return plain, nil
		}
	}
	return nil, ErrUnopened
}

// Current reports whether a value names the key that Seal seals with.
func (b *Box) Current(sealed string) bool {
	key, ok := SealedWith(sealed)
	return ok && key == b.keys[0].id
}

// SealedWith returns the id of the key that a value was sealed with: "" if it
// does not name one. ok is false for a text that Seal did not make.
func SealedWith(sealed string) (key string, ok bool) {
	key, _, ok = cutSealed(sealed)
	return key, ok
}

func cutSealed(sealed string) (key, body string, ok bool) {
	if body, ok := strings.CutPrefix(sealed, unnamedPrefix); ok {
		return "", body, true
	}
	if rest, ok := strings.CutPrefix(sealed, namedPrefix); ok {
		key, body, ok := strings.Cut(rest, ".")
		return key, body, ok && key != ""
	}
	return "", "", false
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
