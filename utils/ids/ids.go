package ids

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"time"

	"github.com/google/uuid"
)

// bodyLength is that of a UUID in canonical text form (RFC 9562, section 4).
const bodyLength = 36

// New generates an id with that prefix. Ids of one process are strictly
// ascending. It panics only if the operating system has no randomness, which
// crypto/rand itself treats as fatal.
func New(prefix string) string {
	return prefix + uuid.Must(uuid.NewV7()).String()
}

// Derived gives the id with that prefix that a time, to the millisecond, and parts
// stand for: the same ones give the same id, and others another. It has the form
// of one that New makes.
func Derived(prefix string, at time.Time, parts ...string) string {
	sum := sha256.New()
	var length [8]byte
	for _, part := range parts {
		binary.BigEndian.PutUint64(length[:], uint64(len(part))) // so that "a", "bc" is not "ab", "c"
		sum.Write(length[:])                                     //nolint:errcheck // documented never to fail
		sum.Write([]byte(part))                                  //nolint:errcheck // documented never to fail
	}
	var id uuid.UUID
	copy(id[6:], sum.Sum(nil))
	millis := uint64(max(at.UnixMilli(), 0))
	for i := range 6 {
		id[i] = byte(millis >> (40 - 8*i))
	}
	id[6] = id[6]&0x0f | 0x70
	id[8] = id[8]&0x3f | 0x80
	return prefix + id.String()
}

// Valid reports whether id is the prefix followed by a UUIDv7 exactly as New
// writes it. Upper case, braces, other versions and other variants are refused.
func Valid(prefix, id string) bool {
	return len(id) == len(prefix)+bodyLength && strings.HasPrefix(id, prefix) && validBody(id[len(prefix):])
}

// Time returns when an id with any prefix was generated, in UTC, to the
// millisecond. ok is false if id does not end in a UUIDv7 as New writes it.
func Time(id string) (at time.Time, ok bool) {
	if len(id) < bodyLength {
		return time.Time{}, false
	}
	body := id[len(id)-bodyLength:]
	if !validBody(body) {
		return time.Time{}, false
	}
	// The first 48 bits are Unix milliseconds: eight digits, a hyphen, four more.
	var millis int64
	for i := range 13 {
		if c := body[i]; c != '-' {
			millis = millis<<4 | int64(digit(c))
		}
	}
	return time.UnixMilli(millis).UTC(), true
}

func validBody(body string) bool {
	for i := range bodyLength {
		c := body[i]
		switch i {
		case 8, 13, 18, 23:
			if c != '-' {
				return false
			}
		case 14: // the version
			if c != '7' {
				return false
			}
		case 19: // the variant of RFC 9562: binary 10xx
			if c != '8' && c != '9' && c != 'a' && c != 'b' {
				return false
			}
		default:
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
				return false
			}
		}
	}
	return true
}

func digit(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c - 'a' + 10
}
