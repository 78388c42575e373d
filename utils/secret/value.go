package secret

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

// redacted is what every printed form of a Value shows, empty or not, so that
// a log does not even tell which secrets are set.
const redacted = "[redacted]"

// Value is a confidential text: a password, a key's secret, a signing key. It
// shows as "[redacted]" in fmt, slog, zerolog, JSON and text encodings. The
// zero Value is the empty secret. Compare with Equal, never with ==.
type Value struct {
	// A pointer, because fmt reads unexported fields of an enclosing struct by
	// reflection without asking for its methods; of a pointer it then shows
	// the address only.
	text *string
}

// New makes a Value of a text.
func New(text string) Value {
	if text == "" {
		return Value{}
	}
	return Value{text: &text}
}

// Reveal gives the text itself, for the one place that needs it.
func (v Value) Reveal() string {
	if v.text == nil {
		return ""
	}
	return *v.text
}

// IsZero tells whether the secret is empty.
func (v Value) IsZero() bool { return v.text == nil }

// Equal compares two secrets in a time that depends on neither's content nor
// on how long their common beginning is.
func (v Value) Equal(other Value) bool {
	a, b := sha256.Sum256([]byte(v.Reveal())), sha256.Sum256([]byte(other.Reveal()))
	return subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// String is "[redacted]".
func (v Value) String() string { return redacted }

// GoString is "[redacted]", so that %#v shows no more than %v.
func (v Value) GoString() string { return redacted }

// Format writes "[redacted]" under every verb and flag.
func (v Value) Format(state fmt.State, _ rune) { _, _ = io.WriteString(state, redacted) }

// LogValue is "[redacted]" for log/slog.
func (v Value) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalJSON writes the JSON string "[redacted]"; zerolog's Interface and Any
// use it too.
func (v Value) MarshalJSON() ([]byte, error) { return []byte(`"` + redacted + `"`), nil }

// MarshalText writes "[redacted]".
func (v Value) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// UnmarshalText takes a secret in, so that a request's struct may declare a
// password as a Value.
func (v *Value) UnmarshalText(text []byte) error {
	*v = New(string(text))
	return nil
}
