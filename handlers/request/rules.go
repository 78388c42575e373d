package request

import (
	"errors"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/go-playground/validator/v10"

	"pulse-control-plane/models"
	"pulse-control-plane/utils/passwords"
	"pulse-control-plane/utils/secret"
)

// embedded is the name of an embedded struct, whose fields are those of the
// struct around it.
const embedded = "\x00"

// newValidator adds to validator's own rules those of /v1. All but maxtotal
// work on strings:
//
//	roomname     what models.ValidRoomName allows
//	line         no control characters, so one line
//	mailbox      visible characters without spaces: no control, bidi or line ones
//	notblank     at least one visible character
//	region       lower-case letters, digits and hyphens, as clouds name regions
//	uncommon     not a commonly used password (utils/passwords)
//	maxbytes=N   at most N bytes, where max=N counts characters
//	maxtotal=N   for a map of strings: at most N bytes of names and values
//
// A secret.Value is checked by its text, a Clearable by its value.
func newValidator() *validator.Validate {
	v := validator.New(validator.WithRequiredStructEnabled())
	v.RegisterTagNameFunc(func(f reflect.StructField) string {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" && f.Anonymous {
			return embedded
		}
		return name
	})
	v.RegisterCustomTypeFunc(func(field reflect.Value) any {
		return field.Interface().(secret.Value).Reveal()
	}, secret.Value{})
	v.RegisterCustomTypeFunc(func(field reflect.Value) any {
		if field.FieldByName("Null").Bool() {
			return nil // a cleared field breaks no rule
		}
		return field.FieldByName("Value").Interface()
	}, Clearable[string]{}, Clearable[int64]{}, Clearable[time.Time]{}, Clearable[[]string]{})
	known := passwords.New()
	for tag, holds := range map[string]func(text, param string) bool{
		"roomname": func(text, _ string) bool { return models.ValidRoomName(text) },
		"line":     func(text, _ string) bool { return every(text, func(r rune) bool { return !unicode.IsControl(r) }) },
		"mailbox":  func(text, _ string) bool { return every(text, visible) },
		"notblank": func(text, _ string) bool { return strings.IndexFunc(text, visible) >= 0 },
		"region":   func(text, _ string) bool { return every(text, inRegion) },
		"uncommon": func(text, _ string) bool { return !known.Common(text) },
		"maxbytes": func(text, param string) bool {
			most, err := strconv.Atoi(param)
			return err == nil && len(text) <= most
		},
	} {
		rule := func(level validator.FieldLevel) bool { return holds(level.Field().String(), level.Param()) }
		if err := v.RegisterValidation(tag, rule); err != nil {
			panic(err) // an empty or reserved name
		}
	}
	if err := v.RegisterValidation("maxtotal", func(level validator.FieldLevel) bool {
		most, err := strconv.Atoi(level.Param())
		return err == nil && total(level.Field()) <= most
	}); err != nil {
		panic(err) // as above
	}
	return v
}

func visible(r rune) bool { return unicode.IsGraphic(r) && !unicode.IsSpace(r) }

func every(text string, allowed func(rune) bool) bool {
	return strings.IndexFunc(text, func(r rune) bool { return !allowed(r) }) < 0
}

// total counts the bytes of a map's names and values.
func total(texts reflect.Value) int {
	sum := 0
	for pair := texts.MapRange(); pair.Next(); {
		sum += pair.Key().Len() + pair.Value().Len()
	}
	return sum
}

func inRegion(r rune) bool {
	return 'a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '-'
}

// broken gives the rules of a struct's validate tags that it breaks, located by
// the fields' JSON names below "body". It panics for anything but a struct.
func (r *Reader) broken(v any) []models.FieldError {
	err := r.validate.Struct(v)
	if err == nil {
		return nil
	}
	rules, ok := errors.AsType[validator.ValidationErrors](err)
	if !ok {
		panic(err)
	}
	out := make([]models.FieldError, 0, min(len(rules), MaxErrors))
	for _, rule := range rules[:cap(out)] {
		out = append(out, models.FieldError{Location: location(rule), Message: message(rule)})
	}
	return out
}
