package request

import (
	"reflect"
	"strings"
)

// ruled is what surelyValid knows of a struct type.
type ruled struct {
	fields []ruledField
	// crossed is true if a rule looks at several fields.
	crossed bool
}

type ruledField struct {
	index []int
	rule  string
	// nested is true if the field is a struct, or a pointer to one, with rules
	// of its own.
	nested bool
	// optional is true if the rule allows the zero value.
	optional bool
}

// surelyValid reports whether a struct breaks no rule. validator allocates for every
// field of a struct it checks, a third of the time a token request takes; most
// requests set few fields, and this checks those alone. False means that
// validator has to check the whole.
func (r *Reader) surelyValid(v reflect.Value) bool {
	rules := r.rulesOf(v.Type())
	if rules.crossed {
		return false
	}
	for i := range rules.fields {
		f := &rules.fields[i]
		value := v.FieldByIndex(f.index)
		switch {
		case f.nested:
			if inner := reflect.Indirect(value); inner.IsValid() && !r.surelyValid(inner) {
				return false
			}
		case f.optional && value.IsZero():
		case r.validate.Var(value.Interface(), f.rule) != nil:
			return false
		}
	}
	return true
}

func (r *Reader) rulesOf(t reflect.Type) *ruled {
	if known, ok := r.rules.Load(t); ok {
		return known.(*ruled)
	}
	out := &ruled{}
	for _, member := range reflect.VisibleFields(t) {
		rule, kind := member.Tag.Get("validate"), member.Type
		if kind.Kind() == reflect.Pointer {
			kind = kind.Elem()
		}
		nested := kind.Kind() == reflect.Struct && !readsItself(reflect.New(kind).Elem())
		for _, crossing := range []string{"field", "_with", "_if", "_unless"} {
			out.crossed = out.crossed || strings.Contains(rule, crossing)
		}
		switch {
		case member.Anonymous: // its fields are visible themselves
		case nested && rule != "":
			out.crossed = true
		case nested, rule != "":
			out.fields = append(out.fields, ruledField{index: member.Index, rule: rule, nested: nested,
				optional: strings.HasPrefix(rule, "omitempty")})
		}
	}
	r.rules.Store(t, out)
	return out
}
