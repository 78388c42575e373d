package request

import (
	"bytes"
	"reflect"
	"strings"

	"github.com/go-json-experiment/json"

	"pulse-control-plane/models"
)

const (
	// MaxErrors is the number of errors reported for one body.
	MaxErrors = 100
	// root is the location of the whole body.
	root = "body"
)

// nulls says what null means for a field that is not Clearable.
type nulls bool

const (
	// nullIsAbsent is protojson's reading, for POST and PUT.
	nullIsAbsent nulls = false
	// nullIsWrong is for PATCH: null clears, and this field cannot be cleared.
	nullIsWrong nulls = true
)

// decode reads data into a pointer to a zero struct and checks its validate
// tags. It returns nil or invalid with every wrong field; what into holds then
// is undefined.
func (r *Reader) decode(data []byte, into any, null nulls) error {
	// A body with a null takes the slow path, which knows what null means where.
	if !bytes.Contains(data, []byte("null")) && json.Unmarshal(data, into, json.RejectUnknownMembers(true)) == nil {
		if r.surelyValid(reflect.ValueOf(into).Elem()) {
			return nil
		}
		return invalid(r.broken(into))
	}
	reflect.ValueOf(into).Elem().SetZero()
	e := explanation{null: null}
	if !e.body(data, reflect.ValueOf(into).Elem()) {
		return invalid(e.found)
	}
	return invalid(merge(e.found, r.broken(into)))
}

func invalid(found []models.FieldError) error {
	if len(found) == 0 {
		return nil
	}
	return models.Invalid(found...)
}

// merge adds the broken rules of decoded fields. A field that was not decoded
// is empty, so its rules say nothing true about it.
func merge(undecoded, broken []models.FieldError) []models.FieldError {
	out := undecoded
	for _, rule := range broken {
		known := false
		for _, field := range undecoded {
			known = known || within(rule.Location, field.Location) || within(field.Location, rule.Location)
		}
		if !known && len(out) < MaxErrors {
			out = append(out, rule)
		}
	}
	return out
}

// within reports whether a location is outer or lies inside it.
func within(location, outer string) bool {
	rest, ok := strings.CutPrefix(location, outer)
	return ok && outer != root && (rest == "" || rest[0] == '.' || rest[0] == '[') || location == outer
}
