package secret

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"
)

// redacted is every printed form of a Value, empty or not: a log does not show
// which secrets are set.
const redacted = "[redacted]"

// Value is a confidential text: a password, a key's secret, a signing key. It
// shows as "[redacted]" in fmt, slog, zerolog, JSON and text encodings. The
// zero Value is the empty secret. Compare with Equal, never with ==.
type Value struct {
	// A pointer, because fmt prints unexported fields of an enclosing struct by
	// reflection, without their methods; of a pointer it prints the address.
	text *string
}

// New returns a Value of a text.
func New(text string) Value {
	if text == "" {
		return Value{}
	}
	return Value{text: &text}
}

// Reveal returns the text, for the code that needs it.
func (v Value) Reveal() string {
	if v.text == nil {
		return ""
	}
	return *v.text
}

// IsZero reports whether the secret is empty.
func (v Value) IsZero() bool { return v.text == nil }

// Equal compares two secrets in a time that does not depend on their content.
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

// UnmarshalText reads a secret, so that a request's struct can declare a
// password as a Value.
func (v *Value) UnmarshalText(text []byte) error {
	*v = New(string(text))
	return nil
}
