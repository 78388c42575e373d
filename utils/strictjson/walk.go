package strictjson

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"pulse-control-plane/models"
)

// errEnough stops a walk that has found MaxErrors errors.
var errEnough = errors.New("strictjson: enough errors")

// walker reads one body. It is pooled: its parts are reused.
type walker struct {
	// options make jsontext let through what the walk itself reports, so that
	// it can go on after the first.
	options json.Options
	buffer  bytes.Buffer
	tokens  jsontext.Decoder
	// text is scratch for names and strings.
	text   []byte
	errors []models.FieldError
}

func newWalker() *walker {
	return &walker{options: json.JoinOptions(
		jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))}
}

// read decodes data into the struct v. complete is false where the walk could
// not reach the end of the body, so that a missing field proves nothing.
func (w *walker) read(data []byte, plan *object, v reflect.Value) (found []models.FieldError, complete bool) {
	w.buffer = *bytes.NewBuffer(data)
	w.tokens.Reset(&w.buffer, w.options)
	defer func() { w.errors, w.buffer = nil, bytes.Buffer{} }()

	switch err := w.body(plan, v); {
	case err == nil:
		return w.errors, true
	case errors.Is(err, errEnough):
		return append(w.errors, models.FieldError{Location: root,
			Message: "has more errors than are listed"}), false
	default:
		where := w.tokens.StackPointer()
		if syntactic, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
			where = syntactic.JSONPointer
		}
		return append(w.errors, models.FieldError{Location: below(root, where), Message: syntaxMessage(err)}), false
	}
}

func (w *walker) body(plan *object, v reflect.Value) error {
	if w.tokens.PeekKind() != '{' {
		// Reading tells broken JSON from JSON of another kind.
		if err := w.tokens.SkipValue(); err != nil {
			return err
		}
		return w.fail(root, "must be a JSON object")
	}
	if err := w.object(root, plan, v); err != nil {
		return err
	}
	switch _, err := w.tokens.ReadToken(); {
	case errors.Is(err, io.EOF):
		return nil
	default:
		return w.fail(root, "must hold one JSON object and nothing after it")
	}
}

// fail notes an error; it returns errEnough when no more are wanted.
func (w *walker) fail(location, message string) error {
	if len(w.errors) == MaxErrors {
		return errEnough
	}
	w.errors = append(w.errors, models.FieldError{Location: location, Message: message})
	return nil
}

// skip notes an error about the value that comes next and passes over it.
func (w *walker) skip(location, message string) error {
	if err := w.fail(location, message); err != nil {
		return err
	}
	return w.tokens.SkipValue()
}

// members calls each for every member of the object that comes next, with its
// unquoted name, which is valid until the next read.
func (w *walker) members(at string, each func(name []byte) error) error {
	if _, err := w.tokens.ReadToken(); err != nil {
		return err
	}
	for w.tokens.PeekKind() != '}' {
		quoted, err := w.tokens.ReadValue()
		if err != nil {
			return err
		}
		var malformed error
		if w.text, malformed = jsontext.AppendUnquote(w.text[:0], quoted); malformed != nil {
			err = w.skip(step{name: string(w.text)}.join(at), "has a name that is not valid UTF-8")
		} else {
			err = each(w.text)
		}
		if err != nil {
			return err
		}
	}
	_, err := w.tokens.ReadToken()
	return err
}

func (w *walker) object(at string, plan *object, v reflect.Value) error {
	var seen uint64
	return w.members(at, func(name []byte) error {
		f, known := plan.byName[string(name)]
		switch {
		case !known:
			return w.skip(step{name: string(name)}.join(at), "is not a known field")
		case seen&f.bit != 0:
			message := "is given more than once"
			if string(name) != f.name {
				message += " (it is another name of " + f.name + ")"
			}
			return w.skip(step{name: string(name)}.join(at), message)
		}
		seen |= f.bit
		return w.value(at, step{name: f.name}, &f.node, v.FieldByIndex(f.index))
	})
}

func (w *walker) value(at string, place step, n *node, v reflect.Value) error {
	kind := w.tokens.PeekKind()
	switch {
	case kind == jsontext.KindInvalid, kind == '}', kind == ']':
		return w.tokens.SkipValue() // there is no value; this says what is wrong
	case kind == 'n' && n.nullable:
		if whole, ok := v.Addr().Interface().(Nuller); ok {
			whole.SetNull()
		}
		return w.tokens.SkipValue()
	case kind == 'n':
		return w.skip(place.join(at), "must not be null")
	case !n.takes(kind):
		return w.skip(place.join(at), "must be "+n.want)
	}
	if n.pointer {
		v.Set(reflect.New(n.goType))
		v = v.Elem()
	}
	switch n.shape {
	case shapeStruct:
		return w.object(place.join(at), n.object, v)
	case shapeSlice:
		return w.slice(place.join(at), n, v)
	case shapeMap:
		return w.mapping(place.join(at), n, v)
	}
	raw, err := w.tokens.ReadValue()
	if err != nil {
		return err
	}
	switch n.shape {
	case shapeString:
		if w.text, err = jsontext.AppendUnquote(w.text[:0], raw); err != nil {
			return w.fail(place.join(at), "is not valid UTF-8")
		}
		v.SetString(string(w.text))
		return nil
	case shapeBool:
		v.SetBool(kind == 't')
		return nil
	case shapeRaw:
		// The walk's own reader is lenient; this one is not.
		if _, err := jsontext.NewDecoder(bytes.NewReader(raw)).ReadValue(); err != nil {
			return w.failInside(place.join(at), n, err)
		}
		v.SetBytes(bytes.Clone(raw))
		return nil
	default:
		if err := json.Unmarshal(raw, v.Addr().Interface()); err != nil {
			return w.failInside(place.join(at), n, err)
		}
		return nil
	}
}

// takes tells whether a value of this kind may be tried.
func (n *node) takes(kind jsontext.Kind) bool {
	switch n.shape {
	case shapeString, shapeText:
		return kind == '"'
	case shapeBool:
		return kind == 't' || kind == 'f'
	case shapeInteger, shapeFloat:
		return kind == '0'
	case shapeStruct, shapeMap, shapeRaw:
		return kind == '{'
	case shapeSlice:
		return kind == '['
	default:
		return true
	}
}

func (w *walker) slice(at string, n *node, v reflect.Value) error {
	if _, err := w.tokens.ReadToken(); err != nil {
		return err
	}
	v.Set(reflect.MakeSlice(n.goType, 0, 0))
	for i := 0; w.tokens.PeekKind() != ']'; i++ {
		item := reflect.New(n.goType.Elem()).Elem()
		if err := w.value(at, step{index: i, indexed: true}, n.elem, item); err != nil {
			return err
		}
		v.Set(reflect.Append(v, item))
	}
	_, err := w.tokens.ReadToken()
	return err
}

func (w *walker) mapping(at string, n *node, v reflect.Value) error {
	v.Set(reflect.MakeMap(n.goType))
	return w.members(at, func(text []byte) error {
		name := string(text)
		key := reflect.ValueOf(name).Convert(n.goType.Key())
		if v.MapIndex(key).IsValid() {
			return w.skip(step{name: name}.join(at), "is given more than once")
		}
		item := reflect.New(n.goType.Elem()).Elem()
		if err := w.value(at, step{name: name}, n.elem, item); err != nil {
			return err
		}
		v.SetMapIndex(key, item)
		return nil
	})
}

// failInside notes what json/v2 had against a value, in plain words.
func (w *walker) failInside(at string, n *node, err error) error {
	if syntactic, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return w.fail(below(at, syntactic.JSONPointer), syntaxMessage(err))
	}
	switch {
	case errors.Is(err, strconv.ErrRange):
		return w.fail(at, "is out of range")
	case n.shape == shapeText:
		return w.fail(at, "is not well-formed")
	default:
		return w.fail(at, "must be "+n.want)
	}
}
