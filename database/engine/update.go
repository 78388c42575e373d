package engine

import (
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

// Change is one checked change of an update: an operator at a path.
type Change struct {
	Op    string
	Path  []string
	Value bson.RawValue
}

func (c Change) Name() string { return strings.Join(c.Path, ".") }

// CheckUpdate checks an update against the declaration and returns its changes
// in the order MongoDB applies them, by name of the field. Fields that are not
// declared may be changed, since documents have more fields than those asked
// for; declared ones only to values of their kind, and "_id" never.
func (d *Declared) CheckUpdate(update bson.D) ([]Change, error) {
	if len(update) == 0 {
		return nil, d.Refuse("an update that changes nothing")
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
			return nil, d.Refuse("update says %q twice", o.Key())
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

// checkOverlap refuses two changes of one field, or of a field and its parent,
// whose outcome would hang on their order (MongoDB: ConflictingUpdateOperators).
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
		return d.Refuse("update of %q, which never changes", IDField)
	}
	for _, part := range c.Path {
		// Numbers would be positions in an array on MongoDB; arrays are set whole.
		if part == "" || part[0] == '$' || strings.Trim(part, "0123456789") == "" {
			return d.Refuse("update of %q, which is not a path of names", c.Name())
		}
	}
	switch c.Op {
	case "$set", "$setOnInsert":
	case "$unset":
		return nil
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
		return d.Refuse("update with %q, which is outside of the subset", c.Op)
	}
	return d.checkPlaced(c.Path, c.Value)
}

// checkPlaced checks a value that is put at a path: it is a declared field, or
// a document that contains declared ones, or none of our concern.
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

// CheckUpsert checks that a filter describes the document an upsert would
// make: "_id" by equality, and no alternatives.
func (d *Declared) CheckUpsert(f Filter) error {
	if _, ok := f.Equal(IDField); !ok || len(f.Any) > 0 {
		return d.Refuse("an upsert whose filter does not name %q, or with $or", IDField)
	}
	return nil
}

// CheckDocument checks a whole document before it is stored: a string "_id",
// MongoDB's size limit, and every declared field absent or of its kind. Null
// is not absent: such fields want omitempty, so that $exists and unique
// indexes mean the same on both engines.
func (d *Declared) CheckDocument(doc bson.Raw) error {
	if len(doc) > maxDocument {
		return d.Refuse("a document of %d bytes; %d are allowed", len(doc), maxDocument)
	}
	id, ok := doc.Lookup(IDField).StringValueOK()
	if !ok || id == "" {
		return d.Refuse("a document whose %q is not a string with something in it", IDField)
	}
	for _, p := range d.Paths {
		if _, err := d.FieldOf(doc, p); err != nil {
			return err
		}
	}
	return nil
}

// FieldOf reads a declared field of a document; absent is a zero RawValue,
// another kind than declared an internal error.
func (d *Declared) FieldOf(doc bson.Raw, p Path) (bson.RawValue, error) {
	value, err := d.lookUp(p, bson.RawValue{Type: bson.TypeEmbeddedDocument, Value: doc}, p.Parts)
	if err != nil {
		return bson.RawValue{}, err
	}
	if !IsAbsent(value) && !HasKind(value, p.Kind) {
		return bson.RawValue{}, d.Refuse("%q is a %s, declared as %s", p.Name, value.Type, p.Kind)
	}
	return value, nil
}

// lookUp follows a path from a value. A scalar on the way means absent, as on
// MongoDB; an array is refused, since there MongoDB would look into its
// elements and a declared field has one value.
func (d *Declared) lookUp(p Path, value bson.RawValue, path []string) (bson.RawValue, error) {
	for _, part := range path {
		switch value.Type {
		case bson.TypeEmbeddedDocument:
			value = bson.Raw(value.Value).Lookup(part)
		case bson.TypeArray:
			return bson.RawValue{}, d.Refuse("an array on the way to %q", p.Name)
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

// HasKind tells whether a stored value may stand in a field of a kind. A Float
// may hold integers (an $inc by one leaves one behind), but not NaN, which
// equals nothing and sorts differently everywhere.
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
