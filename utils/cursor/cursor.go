package cursor

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"
)

const (
	// MaxLength is the most characters a cursor has.
	MaxLength = 512
	// MaxContent is the most bytes that parts may have together, counting two
	// more for each: what fits MaxLength beside the tag.
	MaxContent = MaxLength/4*3 - tagSize

	// tagSize is that of the authentication tag: HMAC-SHA-256 cut to 128 bits,
	// as RFC 2104, section 5, allows.
	tagSize = 16
)

// ErrInvalid is the one answer to every text that is not a cursor of that
// scope.
var ErrInvalid = errors.New("cursor: invalid")

// Codec makes and reads cursors under one key. It is safe for concurrent use.
type Codec struct {
	key []byte
}

// New makes a Codec of a key (secret.Derive makes one). Cursors last as long
// as the key does.
func New(key []byte) *Codec { return &Codec{key: append([]byte(nil), key...)} }

// Encode makes a cursor of parts. The scope names the list and the tenant it
// was given to and does not stand in the cursor. Parts beyond MaxContent are a
// programming error and panic: such a cursor could never be read.
func (c *Codec) Encode(scope string, parts ...string) string {
	raw := make([]byte, tagSize, tagSize+64)
	for _, part := range parts {
		raw = binary.AppendUvarint(raw, uint64(len(part)))
		raw = append(raw, part...)
	}
	if len(raw) > tagSize+MaxContent {
		panic("cursor: the parts are too long")
	}
	copy(raw, c.tag(scope, raw[tagSize:]))
	return base64.RawURLEncoding.EncodeToString(raw)
}

// Decode gives the parts Encode was given for the same scope, or ErrInvalid.
func (c *Codec) Decode(scope, cursor string) ([]string, error) {
	// Go's base64 would skip line breaks; one text only is a cursor.
	if len(cursor) > MaxLength || strings.ContainsAny(cursor, "\r\n") {
		return nil, ErrInvalid
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(raw) < tagSize || !hmac.Equal(raw[:tagSize], c.tag(scope, raw[tagSize:])) {
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

// tag authenticates the payload and its scope; the scope's length comes first,
// so that no two pairs read the same.
func (c *Codec) tag(scope string, payload []byte) []byte {
	mac := hmac.New(sha256.New, c.key)
	input := binary.AppendUvarint(make([]byte, 0, len(scope)+len(payload)+binary.MaxVarintLen64), uint64(len(scope)))
	mac.Write(append(append(input, scope...), payload...))
	return mac.Sum(nil)[:tagSize]
}
