package engine

import (
	"bytes"
	"math"
	"sort"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

// maxDocument is the largest document, in bytes of BSON: MongoDB's limit
// (https://www.mongodb.com/docs/manual/reference/limits/), kept by both
// engines so that data can move between them.
const maxDocument = 16 << 20

// Change is one checked change of an update: an operator, a path and a value.
type Change struct {
	Op    string
	Path  []string
	Value bson.RawValue
}

func (c Change) Name() string { return strings.Join(c.Path, ".") }

// CheckUpdate checks an update and returns its changes in the order in which
// MongoDB applies them: by field name. An update may change undeclared fields,
// declared fields only to values of their kind, and never "_id".
func (d *Declared) CheckUpdate(update bson.D) ([]Change, error) {
	if len(update) == 0 {
		return nil, d.Refuse("an empty update")
	}
	raw, err := bson.Marshal(update)
	if err != nil {
		return nil, models.Internal(err)
	}
	operators, err := bson.Raw(raw).Elements()
	if err != nil {
		return nil, models.Internal(err)
	}
	var changes []Change
	for i, o := range operators {
		if namedBefore(update, i) {
			return nil, d.Refuse("update contains %q twice", o.Key())
		}
		fields, ok := o.Value().DocumentOK()
		if !ok {
			return nil, d.Refuse("update %q of a %s, not of a document", o.Key(), o.Value().Type)
		}
		elements, err := fields.Elements()
		if err != nil {
			return nil, models.Internal(err)
		}
		for _, e := range elements {
			c := Change{o.Key(), strings.Split(e.Key(), "."), e.Value()}
			if err := d.checkChange(c); err != nil {
				return nil, err
			}
			changes = append(changes, c)
		}
	}
	sort.SliceStable(changes, func(i, j int) bool { return changes[i].Name() < changes[j].Name() })
	return changes, d.checkOverlap(changes)
}

// checkOverlap refuses changes of the same field, or of a field and its parent:
// their result would depend on their order (ConflictingUpdateOperators on
// MongoDB).
func (d *Declared) checkOverlap(changes []Change) error {
	for i, a := range changes {
		for _, b := range changes[i+1:] {
			if b.Name() == a.Name() || strings.HasPrefix(b.Name(), a.Name()+".") {
				return d.Refuse("update changes both %q and %q", a.Name(), b.Name())
			}
		}
	}
	return nil
}

func (d *Declared) checkChange(c Change) error {
	if c.Path[0] == IDField {
		return d.Refuse("update of %q, which is immutable", IDField)
	}
	for _, part := range c.Path {
		// MongoDB reads a number as an array index; Pulse replaces arrays as a
		// whole.
		if part == "" || part[0] == '$' || strings.Trim(part, "0123456789") == "" {
			return d.Refuse("update of %q: not a path of field names", c.Name())
		}
	}
	switch c.Op {
	case "$set", "$setOnInsert":
	case "$unset":
		return nil
	case "$currentDate":
		if on, ok := c.Value.BooleanOK(); !ok || !on {
			return d.Refuse("$currentDate of %q with anything but true", c.Name())
		}
		return d.checkPlaced(c.Path, bson.RawValue{Type: bson.TypeDateTime, Value: make([]byte, 8)})
	case "$inc":
		if !IsNumber(c.Value) {
			return d.Refuse("$inc of %q by a %s", c.Name(), c.Value.Type)
		}
	case "$max", "$min":
		switch c.Value.Type {
		case bson.TypeString, bson.TypeBoolean, bson.TypeDateTime, bson.TypeInt32, bson.TypeInt64, bson.TypeDouble:
		default:
			return d.Refuse("%s of %q with a %s", c.Op, c.Name(), c.Value.Type)
		}
	default:
		return d.Refuse("update with %q, which is not an operator of the query language", c.Op)
	}
	return d.checkPlaced(c.Path, c.Value)
}

// checkPlaced checks the kind of a value that is stored at a path: at a
// declared field or, in a document, at the declared fields below the path.
func (d *Declared) checkPlaced(path []string, value bson.RawValue) error {
	for _, p := range d.Paths {
		switch {
		case len(p.Parts) < len(path) && HasPrefix(path, p.Parts):
			return d.Refuse("update inside of %q, which is a %s", p.Name, p.Kind)
		case !HasPrefix(p.Parts, path):
			continue
		}
		found, err := d.lookUp(p, value, p.Parts[len(path):])
		if err != nil {
			return err
		}
		if !IsAbsent(found) && !HasKind(found, p.Kind) {
			return d.Refuse("update puts a %s into %q, which is a %s", found.Type, p.Name, p.Kind)
		}
	}
	return nil
}

// CheckUpsert checks that a filter describes the document to insert: an
// equality on "_id" and no $or.
func (d *Declared) CheckUpsert(f Filter) error {
	if _, ok := f.Equal(IDField); !ok || len(f.Any) > 0 {
		return d.Refuse("an upsert needs a filter with %q and without $or", IDField)
	}
	return nil
}

// CheckDocument checks a document before it is stored: a string "_id",
// MongoDB's size limit, and every declared field absent or of its kind. Null is
// not absent: such fields need omitempty, so that $exists and unique indexes
// mean the same on both engines.
func (d *Declared) CheckDocument(doc bson.Raw) error {
	_, err := d.CheckedFields(doc)
	return err
}

// CheckedFields checks a document as CheckDocument does and returns its declared
// fields in the order of d.Paths; an absent one is a zero RawValue.
func (d *Declared) CheckedFields(doc bson.Raw) ([]bson.RawValue, error) {
	if len(doc) > maxDocument {
		return nil, d.Refuse("a document of %d bytes; %d are allowed", len(doc), maxDocument)
	}
	elements, err := doc.Elements()
	if err != nil {
		return nil, models.Internal(err)
	}
	var id bson.RawValue
	fields := make([]bson.RawValue, len(d.Paths))
	for _, e := range elements {
		// An element is its type, its name, a zero byte and its value
		// (https://bsonspec.org/spec.html).
		name := e[1 : 1+bytes.IndexByte(e[1:], 0)]
		if i, found := d.flat[string(name)]; found && IsAbsent(fields[i]) {
			fields[i] = e.Value()
		} else if string(name) == IDField && IsAbsent(id) {
			id = e.Value()
		}
	}
	if text, ok := id.StringValueOK(); !ok || text == "" {
		return nil, d.Refuse("a document without a non-empty string %q", IDField)
	}
	for i, p := range d.Paths {
		if len(p.Parts) > 1 {
			if fields[i], err = d.FieldOf(doc, p); err != nil {
				return nil, err
			}
		} else if err := d.checkKind(p, fields[i]); err != nil {
			return nil, err
		}
	}
	return fields, nil
}

// FieldOf returns a declared field of a document. An absent field is a zero
// RawValue; another kind than declared is an internal error.
func (d *Declared) FieldOf(doc bson.Raw, p Path) (bson.RawValue, error) {
	value, err := d.lookUp(p, bson.RawValue{Type: bson.TypeEmbeddedDocument, Value: doc}, p.Parts)
	if err != nil {
		return bson.RawValue{}, err
	}
	if err := d.checkKind(p, value); err != nil {
		return bson.RawValue{}, err
	}
	return value, nil
}

// checkKind refuses a value of another kind than a field's.
func (d *Declared) checkKind(p Path, value bson.RawValue) error {
	if !IsAbsent(value) && !HasKind(value, p.Kind) {
		return d.Refuse("%q is a %s, declared as %s", p.Name, value.Type, p.Kind)
	}
	return nil
}

// lookUp follows a path from a value. A scalar on the path means absent, as on
// MongoDB. An array is refused: MongoDB would search its elements, and a
// declared field has one value.
func (d *Declared) lookUp(p Path, value bson.RawValue, path []string) (bson.RawValue, error) {
	for _, part := range path {
		switch value.Type {
		case bson.TypeEmbeddedDocument:
			value = bson.Raw(value.Value).Lookup(part)
		case bson.TypeArray:
			return bson.RawValue{}, d.Refuse("an array on the path of %q", p.Name)
		default:
			return bson.RawValue{}, nil
		}
	}
	return value, nil
}

func IsAbsent(v bson.RawValue) bool { return v.Type == 0 }

func IsNumber(v bson.RawValue) bool {
	return v.Type == bson.TypeInt32 || v.Type == bson.TypeInt64 || v.Type == bson.TypeDouble
}

// HasKind reports whether a stored value is valid for a kind. A Float may hold
// an integer (the result of an $inc by one) but not NaN, which equals nothing
// and has no defined order.
func HasKind(v bson.RawValue, kind FieldKind) bool {
	switch kind {
	case String:
		return v.Type == bson.TypeString
	case Int:
		return v.Type == bson.TypeInt32 || v.Type == bson.TypeInt64
	case Float:
		return IsNumber(v) && !(v.Type == bson.TypeDouble && math.IsNaN(v.Double()))
	case Bool:
		return v.Type == bson.TypeBoolean
	case Time:
		return v.Type == bson.TypeDateTime
	}
	return false
}

func HasPrefix(path, prefix []string) bool {
	if len(prefix) > len(path) {
		return false
	}
	for i, part := range prefix {
		if path[i] != part {
			return false
		}
	}
	return true
}
