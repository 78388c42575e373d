package engine

import (
	"math"
	"reflect"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// Operator is a comparison of the query language.
type Operator string

const (
	Equal        Operator = "$eq"
	In           Operator = "$in"
	Greater      Operator = "$gt"
	GreaterEqual Operator = "$gte"
	Less         Operator = "$lt"
	LessEqual    Operator = "$lte"
	NotEqual     Operator = "$ne"
	Exists       Operator = "$exists"
)

// maxAlternatives limits $or, as MaxBatch limits $in, so that statements have a
// bounded size.
const maxAlternatives = 100

// Condition is one checked comparison of a declared field. Its values have the
// field's kind: string, int64, float64, bool or, for times, int64 milliseconds
// since 1970 (the precision of BSON).
type Condition struct {
	Field string
	Op    Operator
	// Value is the operand of every operator except $in; a bool for $exists.
	Value any
	// Values are the operands of $in; an empty list matches nothing.
	Values []any
}

// Conditions are a conjunction.
type Conditions []Condition

// Filter is a checked filter: every condition of All and, unless Any is empty,
// at least one conjunction of Any.
type Filter struct {
	All Conditions
	Any []Conditions
}

// Equal returns the value of an equality on a field outside of $or, if the
// filter has one.
func (f Filter) Equal(field string) (any, bool) {
	for _, c := range f.All {
		if c.Field == field && c.Op == Equal {
			return c.Value, true
		}
	}
	return nil, false
}

// SortKey is one key of a checked sort.
type SortKey struct {
	Field      string
	Descending bool
}

// CheckQuery checks the query of Find (many, which requires a limit) or
// FindOne.
func (d *Declared) CheckQuery(q Query, many bool) (Filter, []SortKey, error) {
	if q.Limit < 0 || many && q.Limit == 0 {
		return Filter{}, nil, d.Refuse("a list with limit %d; a positive limit is required", q.Limit)
	}
	f, err := d.CheckFilter(q.Filter)
	if err != nil {
		return Filter{}, nil, err
	}
	keys, err := d.CheckSort(q.Sort)
	return f, keys, err
}

// CheckWriteFilter is CheckFilter for writes. It refuses a nil filter, so that
// a forgotten filter does not change every document; bson.D{} means all.
func (d *Declared) CheckWriteFilter(raw bson.D) (Filter, error) {
	if raw == nil {
		return Filter{}, d.Refuse("a write with a nil filter")
	}
	return d.CheckFilter(raw)
}

// CheckFilter checks a filter against the declaration: declared fields, known
// operators, values of the declared kind. A nil or empty filter matches every
// document.
func (d *Declared) CheckFilter(raw bson.D) (Filter, error) {
	var f Filter
	f.All = make(Conditions, 0, len(raw))
	for i, e := range raw {
		if namedBefore(raw, i) {
			return Filter{}, d.Refuse("filter contains %q twice; put both comparisons in one document", e.Key)
		}
		var err error
		if e.Key == "$or" {
			f.Any, err = d.checkOr(e.Value)
		} else {
			f.All, err = d.checkField(f.All, e.Key, e.Value)
		}
		if err != nil {
			return Filter{}, err
		}
	}
	return f, nil
}

func (d *Declared) checkOr(value any) ([]Conditions, error) {
	list := reflect.ValueOf(value)
	if !list.IsValid() || list.Kind() != reflect.Slice || isDocument(value) {
		return nil, d.Refuse("$or of a %T, not of a list", value)
	}
	if list.Len() == 0 || list.Len() > maxAlternatives {
		return nil, d.Refuse("$or of %d alternatives; 1 to %d are allowed", list.Len(), maxAlternatives)
	}
	alternatives := make([]Conditions, 0, list.Len())
	for i := range list.Len() {
		alternative, ok := document(list.Index(i).Interface())
		if !ok || len(alternative) == 0 {
			return nil, d.Refuse("alternative %d of $or is not a document with conditions", i)
		}
		var all Conditions
		for j, e := range alternative {
			if namedBefore(alternative, j) {
				return nil, d.Refuse("alternative %d of $or contains %q twice", i, e.Key)
			}
			var err error
			if all, err = d.checkField(all, e.Key, e.Value); err != nil {
				return nil, err
			}
		}
		alternatives = append(alternatives, all)
	}
	return alternatives, nil
}

// checkField appends the comparisons of one field.
func (d *Declared) checkField(all Conditions, field string, value any) (Conditions, error) {
	kind := d.Kinds[field]
	if kind == 0 {
		return nil, d.Refuse("filter on %q, which is not declared", field)
	}
	comparisons, ok := document(value)
	if !ok {
		v, err := d.checkValue(field, kind, value)
		return append(all, Condition{Field: field, Op: Equal, Value: v}), err
	}
	if len(comparisons) == 0 {
		return nil, d.Refuse("filter on %q with an empty document", field)
	}
	for i, e := range comparisons {
		if namedBefore(comparisons, i) {
			return nil, d.Refuse("filter on %q contains %q twice", field, e.Key)
		}
		c := Condition{Field: field, Op: Operator(e.Key)}
		var err error
		switch c.Op {
		case Greater, GreaterEqual, Less, LessEqual, NotEqual:
			c.Value, err = d.checkValue(field, kind, e.Value)
		case In:
			c.Values, err = d.checkValues(field, kind, e.Value)
		case Exists:
			exists, isBool := e.Value.(bool)
			if !isBool {
				err = d.Refuse("$exists of %q with a %T, not a bool", field, e.Value)
			}
			c.Value = exists
		default:
			err = d.Refuse("filter on %q with %q, which is not an operator of the query language", field, e.Key)
		}
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	return all, nil
}

func (d *Declared) checkValues(field string, kind FieldKind, value any) ([]any, error) {
	list := reflect.ValueOf(value)
	if !list.IsValid() || list.Kind() != reflect.Slice || isDocument(value) {
		return nil, d.Refuse("$in of %q with a %T, not a list", field, value)
	}
	if list.Len() > MaxBatch {
		return nil, d.Refuse("$in of %q with %d values; %d are allowed", field, list.Len(), MaxBatch)
	}
	values := make([]any, list.Len())
	for i := range values {
		v, err := d.checkValue(field, kind, list.Index(i).Interface())
		if err != nil {
			return nil, err
		}
		values[i] = v
	}
	return values, nil
}

// checkValue converts a value to the form of its field's kind. A named type
// (models.ProjectID) counts as its underlying type, as in BSON.
func (d *Declared) checkValue(field string, kind FieldKind, value any) (any, error) {
	switch v := value.(type) {
	case string:
		if kind == String {
			return v, nil
		}
	case bool:
		if kind == Bool {
			return v, nil
		}
	case time.Time:
		if kind == Time {
			return v.UnixMilli(), nil
		}
	case bson.DateTime:
		if kind == Time {
			return int64(v), nil
		}
	case nil:
		return nil, d.Refuse("filter on %q with null; use $exists: false", field)
	default:
		r := reflect.ValueOf(value)
		switch {
		case r.Kind() == reflect.String && kind == String:
			return r.String(), nil
		case r.Kind() == reflect.Bool && kind == Bool:
			return r.Bool(), nil
		case r.CanInt() && (kind == Int || kind == Float):
			return r.Int(), nil
		case r.CanFloat() && kind == Float && !math.IsNaN(r.Float()):
			return r.Float(), nil
		}
	}
	return nil, d.Refuse("filter on %q, a %s, with a %T", field, kind, value)
}

// CheckSort checks a sort: declared fields, each once, 1 or -1.
func (d *Declared) CheckSort(raw bson.D) ([]SortKey, error) {
	keys := make([]SortKey, 0, len(raw))
	for i, e := range raw {
		if d.Kinds[e.Key] == 0 {
			return nil, d.Refuse("sort by %q, which is not declared", e.Key)
		}
		if namedBefore(raw, i) {
			return nil, d.Refuse("sort contains %q twice", e.Key)
		}
		direction := reflect.ValueOf(e.Value)
		if !direction.IsValid() || !direction.CanInt() || direction.Int() != 1 && direction.Int() != -1 {
			return nil, d.Refuse("sort by %q with %v; 1 and -1 are allowed", e.Key, e.Value)
		}
		keys = append(keys, SortKey{e.Key, direction.Int() == -1})
	}
	return keys, nil
}

// document returns a value as a document if it is a bson.D or a bson.M.
func document(value any) (bson.D, bool) {
	switch v := value.(type) {
	case bson.D:
		return v, true
	case bson.M:
		doc := make(bson.D, 0, len(v))
		for key, value := range v {
			doc = append(doc, bson.E{Key: key, Value: value})
		}
		return doc, true
	}
	return nil, false
}

func isDocument(value any) bool {
	_, ok := value.(bson.D)
	return ok
}

func namedBefore(doc bson.D, i int) bool {
	for _, e := range doc[:i] {
		if e.Key == doc[i].Key {
			return true
		}
	}
	return false
}
