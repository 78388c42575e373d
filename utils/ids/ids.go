package ids

import (
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
