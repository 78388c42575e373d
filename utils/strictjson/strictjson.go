package strictjson

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"sync"

	"github.com/go-playground/validator/v10"

	"pulse-control-plane/models"
)

const (
	// MaxDepth is the most objects and arrays that may stand inside each other.
	MaxDepth = 32
	// MaxErrors is the most errors reported of one body, so that an answer is
	// never larger than the request that asked for it.
	MaxErrors = 100

	// root is the location of the whole body.
	root = "body"
)

// Decoder reads and checks request bodies. It is safe for concurrent use and
// meant to be made once: it remembers what it learned about types.
type Decoder struct {
	validate *validator.Validate
	plans    sync.Map // reflect.Type to *object
	walkers  sync.Pool
}

// New makes a Decoder.
func New() *Decoder {
	return &Decoder{
		validate: newValidator(),
		walkers:  sync.Pool{New: func() any { return newWalker() }},
	}
}

// Into decodes a body into a pointer to a zero struct and checks the rules of
// its validate tags. It returns nil, or invalid with every wrong field: those
// that could not be decoded and those that could but break a rule. A type that
// can not be decoded into at all is internal. What into holds after an error
// is not to be used.
func (d *Decoder) Into(data []byte, into any) error {
	plan, found, complete, err := d.decode(data, into)
	if err != nil {
		return models.Internal(err)
	}
	if complete && !(len(found) == 0 && d.surelyValid(plan, reflect.ValueOf(into).Elem())) {
		found = merge(found, d.Validate(into))
	}
	if len(found) > 0 {
		return models.Invalid(found...)
	}
	return nil
}

// Decode only decodes, and gives every field that could not be. It panics where
// into is no pointer to a struct, or to one that can not be decoded into.
func (d *Decoder) Decode(data []byte, into any) []models.FieldError {
	_, found, _, err := d.decode(data, into)
	if err != nil {
		panic(err)
	}
	return found
}

func (d *Decoder) decode(data []byte, into any) (plan *object, found []models.FieldError, complete bool, err error) {
	v := reflect.ValueOf(into)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return nil, nil, false, fmt.Errorf("strictjson: %T is no pointer to a struct", into)
	}
	if plan, err = d.plan(v.Elem().Type()); err != nil {
		return nil, nil, false, err
	}
	switch {
	case len(bytes.TrimSpace(data)) == 0:
		return plan, one("is empty; send a JSON object"), false, nil
	case depth(data) > MaxDepth:
		return plan, one(fmt.Sprintf("is nested deeper than %d levels", MaxDepth)), false, nil
	}
	w := d.walkers.Get().(*walker)
	defer d.walkers.Put(w)
	found, complete = w.read(data, plan, v.Elem())
	return plan, found, complete, nil
}

func one(message string) []models.FieldError {
	return []models.FieldError{{Location: root, Message: message}}
}

func (d *Decoder) plan(t reflect.Type) (*object, error) {
	if known, ok := d.plans.Load(t); ok {
		return known.(*object), nil
	}
	plan, err := planOf(t)
	if err != nil {
		return nil, fmt.Errorf("strictjson: %w", err)
	}
	d.plans.Store(t, plan)
	return plan, nil
}

// depth tells how deep brackets go outside strings. It need not be right about
// text that is not JSON, which is refused for that.
func depth(data []byte) int {
	level, deepest, quoted := 0, 0, false
	for i := 0; i < len(data); i++ {
		switch c := data[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '{' || c == '[':
			level++
			deepest = max(deepest, level)
		case c == '}' || c == ']':
			level--
		}
	}
	return deepest
}

// merge adds the broken rules of fields that were decoded. A field that was
// not decoded looks empty to the rules, which then say nothing true about it.
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

// within tells whether a place is outer or lies inside it.
func within(place, outer string) bool {
	rest, ok := strings.CutPrefix(place, outer)
	return ok && outer != root && (rest == "" || rest[0] == '.' || rest[0] == '[') || place == outer
}
