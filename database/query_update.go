package database

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

// change is one checked change of an update: an operator at a path.
type change struct {
	op    string
	path  []string
	value bson.RawValue
}

func (c change) name() string { return strings.Join(c.path, ".") }

// checkUpdate checks an update against the declaration and returns its changes
// in the order MongoDB applies them, by name of the field. Fields that are not
// declared may be changed, since documents have more fields than those asked
// for; declared ones only to values of their kind, and "_id" never.
func (d *declared) checkUpdate(update bson.D) ([]change, error) {
	if len(update) == 0 {
		return nil, d.refuse("an update that changes nothing")
	}
	raw, err := bson.Marshal(update)
	if err != nil {
		return nil, models.Internal(err)
	}
	operators, err := bson.Raw(raw).Elements()
	if err != nil {
		return nil, models.Internal(err)
	}
	var changes []change
	for i, o := range operators {
		if namedBefore(update, i) {
			return nil, d.refuse("update says %q twice", o.Key())
		}
		fields, ok := o.Value().DocumentOK()
		if !ok {
			return nil, d.refuse("update %q of a %s, not of a document", o.Key(), o.Value().Type)
		}
		elements, err := fields.Elements()
		if err != nil {
			return nil, models.Internal(err)
		}
		for _, e := range elements {
			c := change{o.Key(), strings.Split(e.Key(), "."), e.Value()}
			if err := d.checkChange(c); err != nil {
				return nil, err
			}
			changes = append(changes, c)
		}
	}
	sort.SliceStable(changes, func(i, j int) bool { return changes[i].name() < changes[j].name() })
	return changes, d.checkOverlap(changes)
}

// checkOverlap refuses two changes of one field, or of a field and its parent,
// whose outcome would hang on their order (MongoDB: ConflictingUpdateOperators).
func (d *declared) checkOverlap(changes []change) error {
	for i, a := range changes {
		for _, b := range changes[i+1:] {
			if b.name() == a.name() || strings.HasPrefix(b.name(), a.name()+".") {
				return d.refuse("update changes both %q and %q", a.name(), b.name())
			}
		}
	}
	return nil
}

func (d *declared) checkChange(c change) error {
	if c.path[0] == idField {
		return d.refuse("update of %q, which never changes", idField)
	}
	for _, part := range c.path {
		// Numbers would be positions in an array on MongoDB; arrays are set whole.
		if part == "" || part[0] == '$' || strings.Trim(part, "0123456789") == "" {
			return d.refuse("update of %q, which is not a path of names", c.name())
		}
	}
	switch c.op {
	case "$set", "$setOnInsert":
	case "$unset":
		return nil
	case "$inc":
		if !isNumber(c.value) {
			return d.refuse("$inc of %q by a %s", c.name(), c.value.Type)
		}
	case "$max", "$min":
		switch c.value.Type {
		case bson.TypeString, bson.TypeBoolean, bson.TypeDateTime, bson.TypeInt32, bson.TypeInt64, bson.TypeDouble:
		default:
			return d.refuse("%s of %q with a %s", c.op, c.name(), c.value.Type)
		}
	default:
		return d.refuse("update with %q, which is outside of the subset", c.op)
	}
	return d.checkPlaced(c.path, c.value)
}

// checkPlaced checks a value that is put at a path: it is a declared field, or
// a document that contains declared ones, or none of our concern.
func (d *declared) checkPlaced(path []string, value bson.RawValue) error {
	for _, p := range d.paths {
		switch {
		case len(p.path) < len(path) && hasPrefix(path, p.path):
			return d.refuse("update inside of %q, which is a %s", p.name, p.kind)
		case !hasPrefix(p.path, path):
			continue
		}
		found, err := d.lookUp(p, value, p.path[len(path):])
		if err != nil {
			return err
		}
		if !isAbsent(found) && !hasKind(found, p.kind) {
			return d.refuse("update puts a %s into %q, which is a %s", found.Type, p.name, p.kind)
		}
	}
	return nil
}

// checkUpsert checks that a filter describes the document an upsert would
// make: "_id" by equality, and no alternatives.
func (d *declared) checkUpsert(f filter) error {
	if _, ok := f.equal(idField); !ok || len(f.any) > 0 {
		return d.refuse("an upsert whose filter does not name %q, or with $or", idField)
	}
	return nil
}

// checkDocument checks a whole document before it is stored: a string "_id",
// MongoDB's size limit, and every declared field absent or of its kind. Null
// is not absent: such fields want omitempty, so that $exists and unique
// indexes mean the same on both engines.
func (d *declared) checkDocument(doc bson.Raw) error {
	if len(doc) > maxDocument {
		return d.refuse("a document of %d bytes; %d are allowed", len(doc), maxDocument)
	}
	id, ok := doc.Lookup(idField).StringValueOK()
	if !ok || id == "" {
		return d.refuse("a document whose %q is not a string with something in it", idField)
	}
	for _, p := range d.paths {
		if _, err := d.fieldOf(doc, p); err != nil {
			return err
		}
	}
	return nil
}

// fieldOf reads a declared field of a document; absent is a zero RawValue,
// another kind than declared an internal error.
func (d *declared) fieldOf(doc bson.Raw, p declaredPath) (bson.RawValue, error) {
	value, err := d.lookUp(p, bson.RawValue{Type: bson.TypeEmbeddedDocument, Value: doc}, p.path)
	if err != nil {
		return bson.RawValue{}, err
	}
	if !isAbsent(value) && !hasKind(value, p.kind) {
		return bson.RawValue{}, d.refuse("%q is a %s, declared as %s", p.name, value.Type, p.kind)
	}
	return value, nil
}

// lookUp follows a path from a value. A scalar on the way means absent, as on
// MongoDB; an array is refused, since there MongoDB would look into its
// elements and a declared field has one value.
func (d *declared) lookUp(p declaredPath, value bson.RawValue, path []string) (bson.RawValue, error) {
	for _, part := range path {
		switch value.Type {
		case bson.TypeEmbeddedDocument:
			value = bson.Raw(value.Value).Lookup(part)
		case bson.TypeArray:
			return bson.RawValue{}, d.refuse("an array on the way to %q", p.name)
		default:
			return bson.RawValue{}, nil
		}
	}
	return value, nil
}

func isAbsent(v bson.RawValue) bool { return v.Type == 0 }

func isNumber(v bson.RawValue) bool {
	return v.Type == bson.TypeInt32 || v.Type == bson.TypeInt64 || v.Type == bson.TypeDouble
}

// hasKind tells whether a stored value may stand in a field of a kind. A Float
// may hold integers (an $inc by one leaves one behind), but not NaN, which
// equals nothing and sorts differently everywhere.
func hasKind(v bson.RawValue, kind FieldKind) bool {
	switch kind {
	case String:
		return v.Type == bson.TypeString
	case Int:
		return v.Type == bson.TypeInt32 || v.Type == bson.TypeInt64
	case Float:
		return isNumber(v) && !(v.Type == bson.TypeDouble && math.IsNaN(v.Double()))
	case Bool:
		return v.Type == bson.TypeBoolean
	case Time:
		return v.Type == bson.TypeDateTime
	}
	return false
}

func hasPrefix(path, prefix []string) bool {
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
