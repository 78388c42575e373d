package cursor

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"
)

const (
	// MaxLength is the greatest length of a cursor, in characters.
	MaxLength = 512
	// MaxContent is the greatest total length of the parts, in bytes, counting
	// two more for each: what fits into MaxLength beside the tag.
	MaxContent = MaxLength/4*3 - tagSize

	// tagSize is that of the authentication tag: HMAC-SHA-256 cut to 128 bits,
	// as RFC 2104, section 5, allows.
	tagSize = 16
)

// ErrInvalid is the error for every text that is not a cursor of the scope.
var ErrInvalid = errors.New("cursor: invalid")

// Codec encodes cursors under its first key and decodes those of any of its keys.
// It is safe for concurrent use.
type Codec struct {
	keys [][]byte
}

// New returns a Codec under a key (see secret.Derive) that also decodes the
// cursors of older keys. Those of other keys are invalid.
func New(key []byte, older ...[]byte) *Codec {
	c := &Codec{keys: [][]byte{bytes.Clone(key)}}
	for _, k := range older {
		c.keys = append(c.keys, bytes.Clone(k))
	}
	return c
}

// Encode returns a cursor of parts. The scope names the list and the tenant; it
// is authenticated but not contained in the cursor. Parts beyond MaxContent are
// a programming error and panic: such a cursor could not be decoded.
func (c *Codec) Encode(scope string, parts ...string) string {
	raw := make([]byte, tagSize, tagSize+64)
	for _, part := range parts {
		raw = binary.AppendUvarint(raw, uint64(len(part)))
		raw = append(raw, part...)
	}
	if len(raw) > tagSize+MaxContent {
		panic("cursor: the parts are too long")
	}
	copy(raw, tag(c.keys[0], scope, raw[tagSize:]))
	return base64.RawURLEncoding.EncodeToString(raw)
}

// Decode returns the parts that Encode was given for the same scope, or
// ErrInvalid.
func (c *Codec) Decode(scope, cursor string) ([]string, error) {
	// Go's base64 skips line breaks, but a cursor has one valid text.
	if len(cursor) > MaxLength || strings.ContainsAny(cursor, "\r\n") {
		return nil, ErrInvalid
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(raw) < tagSize || !c.tagged(scope, raw) {
		return nil, ErrInvalid
	}
	var parts []string
	for rest := raw[tagSize:]; len(rest) > 0; {
		length, read := binary.Uvarint(rest)
		if read <= 0 || length > uint64(len(rest)-read) {
			return nil, ErrInvalid
		}
		end := read + int(length)
		parts = append(parts, string(rest[read:end]))
		rest = rest[end:]
	}
	return parts, nil
}

// tagged reports whether one of the keys made the tag.
func (c *Codec) tagged(scope string, raw []byte) bool {
	for _, key := range c.keys {
		if hmac.Equal(raw[:tagSize], tag(key, scope, raw[tagSize:])) {
			return true
		}
	}
	return false
}

// tag authenticates the payload and its scope; the scope's length comes first,
// so that different pairs have different inputs.
func tag(key []byte, scope string, payload []byte) []byte {
	mac := hmac.New(sha256.New, key)
	input := binary.AppendUvarint(make([]byte, 0, len(scope)+len(payload)+binary.MaxVarintLen64), uint64(len(scope)))
	mac.Write(append(append(input, scope...), payload...))
	return mac.Sum(nil)[:tagSize]
}
