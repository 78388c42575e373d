package request

import (
	"bytes"
	"encoding"
	"errors"
	"io"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"pulse-control-plane/models"
)

// explanation decodes a body field by field, so that the first wrong one does
// not hide the others. It runs only for bodies that json refused or that hold
// a null.
type explanation struct {
	null  nulls
	found []models.FieldError
}

func (e *explanation) fail(at, message string) {
	switch {
	case len(e.found) < MaxErrors:
		e.found = append(e.found, models.FieldError{Location: at, Message: message})
	case len(e.found) == MaxErrors:
		e.found = append(e.found, models.FieldError{Location: root, Message: "has more errors than are listed"})
	}
}

// body decodes data into the struct v. It returns false where the body is not
// one JSON object, so that the struct's rules say nothing about it.
func (e *explanation) body(data []byte, v reflect.Value) bool {
	if len(bytes.TrimSpace(data)) == 0 {
		e.fail(root, "is empty; send a JSON object")
		return false
	}
	// bytes.NewBuffer lets jsontext read data without a copy; it is not written to.
	decoder := jsontext.NewDecoder(bytes.NewBuffer(data))
	value, err := decoder.ReadValue()
	switch {
	case err != nil:
		e.fail(syntax(err))
		return false
	case value.Kind() != '{':
		e.fail(root, "must be a JSON object")
		return false
	}
	e.object(root, value.Clone(), v)
	if _, err := decoder.ReadToken(); !errors.Is(err, io.EOF) {
		e.fail(root, "must hold one JSON object and nothing after it")
	}
	return len(e.found) <= MaxErrors
}

// object decodes the members of a well-formed object into the struct v.
func (e *explanation) object(at string, raw jsontext.Value, v reflect.Value) {
	fields := fieldsOf(v.Type())
	given := map[string]bool{}
	members(raw, func(name string, value jsontext.Value) {
		field, known := fields.find(name)
		switch {
		case !known:
			e.fail(at+"."+clip(name), "is not a known field")
		case given[field.name]:
			e.fail(at+"."+clip(name), "is given more than once (it is another name of "+field.name+")")
		default:
			given[field.name] = true
			e.value(at+"."+field.name, value, v.FieldByIndex(field.index), false)
		}
	})
}

// value decodes one value into v. element says that it is not a field, so that
// null cannot mean absence.
func (e *explanation) value(at string, raw jsontext.Value, v reflect.Value, element bool) {
	field, canClear := v.Addr().Interface().(clearable)
	if raw.Kind() == 'n' {
		if canClear && e.null == nullIsWrong {
			field.clear()
		} else if element || e.null == nullIsWrong {
			e.fail(at, "must not be null")
		}
		return
	}
	if canClear {
		v = field.fill()
	}
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	kind := v.Kind()
	if readsItself(v) || kind == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8 {
		kind = reflect.Invalid
	}
	switch {
	case kind == reflect.Struct && raw.Kind() == '{':
		e.object(at, raw, v)
	case kind == reflect.Map && raw.Kind() == '{':
		v.Set(reflect.MakeMap(v.Type()))
		members(raw, func(name string, value jsontext.Value) {
			item := reflect.New(v.Type().Elem()).Elem()
			e.value(at+"."+clip(name), value, item, true)
			v.SetMapIndex(reflect.ValueOf(name).Convert(v.Type().Key()), item)
		})
	case kind == reflect.Slice && raw.Kind() == '[':
		v.Set(reflect.MakeSlice(v.Type(), 0, 0))
		elements(raw, func(index int, value jsontext.Value) {
			item := reflect.New(v.Type().Elem()).Elem()
			e.value(at+"["+strconv.Itoa(index)+"]", value, item, true)
			v.Set(reflect.Append(v, item))
		})
	default:
		err := json.Unmarshal(whole(raw, v), v.Addr().Interface())
		switch {
		case err == nil:
		case errors.Is(err, strconv.ErrRange):
			e.fail(at, "is out of range")
		default:
			e.fail(at, "must be "+want(v))
		}
	}
}

// readsItself reports whether a type has its own form in JSON.
func readsItself(v reflect.Value) bool {
	switch v.Addr().Interface().(type) {
	case *time.Time, json.Unmarshaler, json.UnmarshalerFrom, encoding.TextUnmarshaler:
		return true
	}
	return false
}

// want completes "must be " for a value of another type.
func want(v reflect.Value) string {
	switch v.Addr().Interface().(type) {
	case *time.Time:
		return "a time such as 2026-01-31T12:00:00Z (RFC 3339)"
	case *Object:
		return "an object"
	}
	switch v.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Struct, reflect.Map:
		if readsItself(v) {
			return "a string"
		}
		return "an object"
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return "a string in base64"
		}
		return "an array"
	}
	return "a string"
}

// jsonField is a field of a struct by its name in JSON.
type jsonField struct {
	name  string
	index []int
	// folded is the name of a field that matches in any case and with or without
	// underscores, as the option case:ignore of json says; "" for others.
	folded string
}

type jsonFields []jsonField

func fieldsOf(t reflect.Type) jsonFields {
	var out jsonFields
	for _, member := range reflect.VisibleFields(t) {
		name, options, _ := strings.Cut(member.Tag.Get("json"), ",")
		if member.Anonymous || name == "-" || !member.IsExported() {
			continue // the fields of an embedded struct are visible themselves
		}
		if name == "" {
			name = member.Name
		}
		field := jsonField{name: name, index: member.Index}
		if options == "case:ignore" {
			field.folded = fold(name)
		}
		out = append(out, field)
	}
	return out
}

func (f jsonFields) find(name string) (jsonField, bool) {
	folded := fold(name) // once: a body may have very many names
	for _, field := range f {
		if field.name == name || field.folded != "" && field.folded == folded {
			return field, true
		}
	}
	return jsonField{}, false
}

func fold(name string) string {
	return strings.Map(func(r rune) rune {
		if r == '_' || r == '-' {
			return -1
		}
		return unicode.ToLower(r)
	}, name)
}

// members calls each for every member of a well-formed object.
func members(raw jsontext.Value, each func(name string, value jsontext.Value)) {
	decoder := jsontext.NewDecoder(bytes.NewBuffer(raw))
	_, err := decoder.ReadToken()
	for err == nil && decoder.PeekKind() != '}' {
		var name jsontext.Token
		var value jsontext.Value
		if name, err = decoder.ReadToken(); err == nil {
			text := name.String()
			if value, err = decoder.ReadValue(); err == nil {
				each(text, value)
			}
		}
	}
}

// elements calls each for every element of a well-formed array.
func elements(raw jsontext.Value, each func(index int, value jsontext.Value)) {
	decoder := jsontext.NewDecoder(bytes.NewBuffer(raw))
	_, err := decoder.ReadToken()
	for i := 0; err == nil && decoder.PeekKind() != ']'; i++ {
		var value jsontext.Value
		if value, err = decoder.ReadValue(); err == nil {
			each(i, value)
		}
	}
}

// clip shortens a name the caller made up, so that it can be repeated.
func clip(name string) string {
	const most = 128
	if len(name) <= most {
		return name
	}
	return strings.ToValidUTF8(name[:most], "") + "…"
}

// syntax says where and why a body is not JSON. jsontext's own texts may quote
// the body and are not repeated.
func syntax(err error) (location, message string) {
	const most = 512
	location, message = root, "is not valid JSON"
	syntactic, ok := errors.AsType[*jsontext.SyntacticError](err)
	if !ok {
		return location, message
	}
	if len(syntactic.JSONPointer) <= most {
		// A pointer does not tell an index from a name of digits.
		for token := range syntactic.JSONPointer.Tokens() {
			if _, err := strconv.Atoi(token); err == nil {
				location += "[" + token + "]"
			} else {
				location += "." + clip(strings.ToValidUTF8(token, string(utf8.RuneError)))
			}
		}
	}
	switch text := syntactic.Err.Error(); {
	case errors.Is(err, jsontext.ErrDuplicateName):
		message = "is given more than once"
	case errors.Is(err, io.ErrUnexpectedEOF):
		message = "is not valid JSON: it ends too early"
	case strings.Contains(text, "max depth"):
		location, message = root, "is nested too deeply"
	case strings.Contains(text, "invalid UTF-8"), strings.Contains(text, "invalid surrogate pair"):
		message = "is not valid UTF-8"
	}
	return location, message
}
