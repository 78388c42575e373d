package strictjson

import (
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"time"
)

// Nuller is a type that tells null from absence. Where its field is declared
// nullable, SetNull is called for a null.
type Nuller interface{ SetNull() }

// shape is how a Go type is read from JSON.
type shape int

const (
	shapeString shape = iota + 1
	shapeBool
	shapeInteger
	shapeFloat
	shapeStruct
	shapeSlice
	shapeMap
	// shapeRaw takes an object as it stands.
	shapeRaw
	// shapeText is a string that its type reads itself.
	shapeText
	// shapeOther is left to json.Unmarshal: types that read themselves.
	shapeOther
)

// node says how one place in a body is read.
type node struct {
	shape   shape
	goType  reflect.Type // without the pointer
	pointer bool
	// nullable is true where null was declared to be welcome.
	nullable bool
	// want completes "must be " for a value of another kind.
	want   string
	object *object // of a struct
	elem   *node   // of a slice or map
}

// field is a node with a name in an object.
type field struct {
	node
	name  string
	index []int
	bit   uint64
	// rule is its validate tag, and optional tells that it has nothing to say
	// of the zero value.
	rule     string
	optional bool
}

// object is the plan of a struct: its fields by every name they go by.
type object struct {
	byName map[string]*field
	// ruled are the fields with a rule, or that may hold such fields.
	ruled []*field
	// elsewhere is true where rules stand on what is not decoded, or concern
	// several fields.
	elsewhere bool
}

// planOf compiles the plan of a struct type. An error is a mistake in the
// type's declaration.
func planOf(t reflect.Type) (*object, error) {
	return planner{}.object(t)
}

// planner remembers the structs it has begun, so that a type may contain
// itself.
type planner map[reflect.Type]*object

func (p planner) object(t reflect.Type) (*object, error) {
	if known, ok := p[t]; ok {
		return known, nil
	}
	o := &object{byName: map[string]*field{}}
	p[t] = o
	count := 0
	for _, member := range reflect.VisibleFields(t) {
		name, _, _ := strings.Cut(member.Tag.Get("json"), ",")
		rule := member.Tag.Get("validate")
		if member.Anonymous {
			// Its own fields follow, as if they stood here.
			if name != "" || member.Type.Kind() != reflect.Struct {
				return nil, fmt.Errorf("%s.%s: only a struct without a name can be embedded", t, member.Name)
			}
			o.elsewhere = o.elsewhere || rule != ""
			continue
		}
		if name == "-" || !member.IsExported() {
			o.elsewhere = o.elsewhere || rule != ""
			continue
		}
		if name == "" {
			name = member.Name
		}
		n, err := p.node(member.Type)
		if err != nil {
			return nil, fmt.Errorf("%s.%s: %w", t, member.Name, err)
		}
		if count == 64 {
			return nil, fmt.Errorf("%s has more than 64 fields", t)
		}
		f := &field{node: *n, name: name, index: member.Index, bit: 1 << count,
			rule: rule, optional: rule == "omitempty" || strings.HasPrefix(rule, "omitempty,")}
		count++
		if rule != "" || n.shape == shapeStruct {
			o.ruled = append(o.ruled, f)
		}
		o.elsewhere = o.elsewhere || concernsOthers(rule)
		if err := f.applyTag(member.Tag.Get("pulse"), o); err != nil {
			return nil, fmt.Errorf("%s.%s: %w", t, member.Name, err)
		}
		if err := o.add(name, f); err != nil {
			return nil, fmt.Errorf("%s.%s: %w", t, member.Name, err)
		}
	}
	return o, nil
}

// concernsOthers recognises validator's rules that look at other fields.
func concernsOthers(rule string) bool {
	for _, part := range []string{"field", "_with", "_if", "_unless"} {
		if strings.Contains(rule, part) {
			return true
		}
	}
	return false
}

func (o *object) add(name string, f *field) error {
	if _, taken := o.byName[name]; taken {
		return fmt.Errorf("the name %q stands twice", name)
	}
	o.byName[name] = f
	return nil
}

func (f *field) applyTag(tag string, o *object) error {
	if tag == "" {
		return nil
	}
	for option := range strings.SplitSeq(tag, ",") {
		key, value, _ := strings.Cut(option, "=")
		switch {
		case key == "nullable" && value == "":
			f.nullable = true
		case key == "raw" && f.goType.Kind() == reflect.Slice && f.goType.Elem().Kind() == reflect.Uint8:
			f.shape, f.want = shapeRaw, "an object"
		case key == "alias" && value != "":
			if err := o.add(value, f); err != nil {
				return err
			}
		default:
			return fmt.Errorf("the tag pulse does not know %q here", option)
		}
	}
	return nil
}

func (p planner) node(t reflect.Type) (*node, error) {
	n := &node{goType: t}
	if t.Kind() == reflect.Pointer {
		n.pointer = true
		n.goType = t.Elem()
	}
	t = n.goType
	switch {
	case t == reflect.TypeFor[time.Time]():
		n.shape, n.want = shapeOther, "a time such as 2026-01-31T12:00:00Z (RFC 3339)"
		return n, nil
	case implements[json.Unmarshaler](t):
		n.shape, n.want = shapeOther, "well-formed"
		return n, nil
	case implements[encoding.TextUnmarshaler](t):
		n.shape, n.want = shapeText, "a string"
		return n, nil
	}
	var err error
	switch t.Kind() {
	case reflect.String:
		n.shape, n.want = shapeString, "a string"
	case reflect.Bool:
		n.shape, n.want = shapeBool, "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		n.shape, n.want = shapeInteger, "a whole number"
	case reflect.Float32, reflect.Float64:
		n.shape, n.want = shapeFloat, "a number"
	case reflect.Struct:
		n.shape, n.want = shapeStruct, "an object"
		n.object, err = p.object(t)
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			n.shape, n.want = shapeOther, "a string in base64"
			return n, nil
		}
		n.shape, n.want = shapeSlice, "an array"
		n.elem, err = p.node(t.Elem())
	case reflect.Map:
		if t.Key().Kind() != reflect.String {
			return nil, fmt.Errorf("a map's keys must be strings, not %s", t.Key())
		}
		n.shape, n.want = shapeMap, "an object"
		n.elem, err = p.node(t.Elem())
	case reflect.Interface:
		n.shape, n.want = shapeOther, "a JSON value"
	default:
		return nil, fmt.Errorf("JSON can not be read into %s", t)
	}
	return n, err
}

// implements tells whether a pointer to t, which is what is decoded into, is a T.
func implements[T any](t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[T]())
}
