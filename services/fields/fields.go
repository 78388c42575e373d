package fields

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"pulse-control-plane/models"
	"pulse-control-plane/utils/safedial"
)

// maxURL bounds a URL that a tenant names, in bytes.
const maxURL = 2048

// Errors collects every field that is wrong. The zero value is ready for use.
type Errors []models.FieldError

// Say reports a field; the first message on it is kept.
func (f *Errors) Say(field, message string) {
	if slices.ContainsFunc(*f, func(e models.FieldError) bool { return e.Location == field }) {
		return
	}
	*f = append(*f, models.FieldError{Location: field, Message: message})
}

// Required reports a text that is empty.
func (f *Errors) Required(field, value string) {
	if value == "" {
		f.Say(field, "is required")
	}
}

// OneOf checks a value that may be left out.
func (f *Errors) OneOf(field, value string, allowed []string) {
	if value != "" && !slices.Contains(allowed, value) {
		f.Say(field, "must be one of: "+strings.Join(allowed, ", "))
	}
}

// Between checks a number; 0 is left out.
func (f *Errors) Between(field string, value, least, most int64) {
	if value != 0 && (value < least || value > most) {
		f.Say(field, fmt.Sprintf("must be from %d to %d", least, most))
	}
}

// AtMost checks the length of a text, in bytes.
func (f *Errors) AtMost(field, value string, bytes int) {
	if len(value) > bytes {
		f.Say(field, fmt.Sprintf("must be at most %d bytes long", bytes))
	}
}

// RoomName checks the name of a room; "" is left out.
func (f *Errors) RoomName(field, value string) {
	if value != "" && !models.ValidRoomName(value) {
		f.Say(field, `must be 1 to 128 printable characters and at most 215 bytes, none of / \ { }`)
	}
}

// Err is nil if no field is wrong, else invalid with all of them.
func (f *Errors) Err() error {
	if len(*f) == 0 {
		return nil
	}
	return models.Invalid(*f...)
}

// Guard judges URLs that tenants name; utils/safedial has one.
type Guard interface {
	CheckURL(ctx context.Context, raw string) error
}

// CheckURL gives the message for a URL that a guard refuses, without repeating it: a
// stream key may be in it. A name that cannot be resolved now is allowed, since the
// worker that uses it resolves it again.
func CheckURL(ctx context.Context, g Guard, raw string) error {
	if len(raw) > maxURL {
		return fmt.Errorf("must be at most %d bytes long", maxURL)
	}
	return safedial.Refusal(g.CheckURL(ctx, raw))
}
