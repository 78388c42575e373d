package embedded

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database/engine"
)

// applyChanges returns a document after an update, as MongoDB does
// (https://www.mongodb.com/docs/manual/reference/operator/update/): fields keep
// their positions, new fields are appended, missing parent documents are
// created. $setOnInsert applies only if inserting is true.
func applyChanges(doc bson.Raw, changes []engine.Change, inserting bool) (bson.Raw, error) {
	batch := make([]engine.Change, 0, len(changes))
	for _, c := range changes {
		if c.Op == "$setOnInsert" && !inserting {
			continue
		}
		if slices.ContainsFunc(batch, func(other engine.Change) bool { return other.Path[0] == c.Path[0] }) {
			var err error
			if doc, err = changeFields(doc, batch); err != nil {
				return nil, err
			}
			batch = batch[:0]
		}
		batch = append(batch, c)
	}
	return changeFields(doc, batch)
}

// changeFields returns the document after changes of, or below, different fields
// of it, in one pass.
func changeFields(doc bson.Raw, changes []engine.Change) (bson.Raw, error) {
	if len(changes) == 0 {
		return doc, nil
	}
	elements, err := doc.Elements()
	if err != nil {
		return nil, err
	}
	size := len(doc)
	for _, c := range changes {
		size += len(c.Path[0]) + len(c.Value.Value) + 2
	}
	out := make([]byte, 4, size)
	change := func(c engine.Change, before bson.RawValue) error {
		value, err := changeValue(before, c.Path[1:], c)
		if err != nil {
			return fmt.Errorf("%s of %s: %w", c.Op, c.Path[0], err)
		}
		out = appendElement(out, c.Path[0], value)
		return nil
	}
	found := make([]bool, len(changes))
	for _, e := range elements {
		key := e.Key()
		i := slices.IndexFunc(changes, func(c engine.Change) bool { return c.Path[0] == key })
		if i < 0 {
			out = append(out, e...)
			continue
		}
		found[i] = true
		if err := change(changes[i], e.Value()); err != nil {
			return nil, err
		}
	}
	for i, c := range changes {
		if found[i] {
			continue
		}
		if err := change(c, bson.RawValue{}); err != nil {
			return nil, err
		}
	}
	return endDocument(out), nil
}

// changeValue returns the value of a field after a change at the rest of its
// path. A zero RawValue means absent, before and after.
func changeValue(before bson.RawValue, rest []string, c engine.Change) (bson.RawValue, error) {
	if len(rest) == 0 {
		return outcome(c, before)
	}
	inner := bson.Raw(endDocument(make([]byte, 4)))
	switch {
	case before.Type == bson.TypeEmbeddedDocument:
		inner = before.Value
	case c.Op == "$unset":
		return before, nil
	case !engine.IsAbsent(before):
		return bson.RawValue{}, errors.New("a parent of the changed field is not a document")
	}
	c.Path = rest
	after, err := changeFields(inner, []engine.Change{c})
	return bson.RawValue{Type: bson.TypeEmbeddedDocument, Value: after}, err
}

// outcome returns the result of an operator on the previous value.
func outcome(c engine.Change, before bson.RawValue) (bson.RawValue, error) {
	switch c.Op {
	case "$unset":
		return bson.RawValue{}, nil
	case "$inc":
		if !engine.IsAbsent(before) {
			return increased(before, c.Value)
		}
	case "$max":
		if !engine.IsAbsent(before) && compareValues(c.Value, before) <= 0 {
			return before, nil
		}
	case "$min":
		if !engine.IsAbsent(before) && compareValues(c.Value, before) >= 0 {
			return before, nil
		}
	}
	return c.Value, nil
}

// increased adds as MongoDB does: an int32 overflows into an int64, a double
// makes the sum a double, an overflowing int64 is an error.
func increased(before, by bson.RawValue) (bson.RawValue, error) {
	if !engine.IsNumber(before) {
		return bson.RawValue{}, fmt.Errorf("the field is a %s", before.Type)
	}
	if before.Type == bson.TypeDouble || by.Type == bson.TypeDouble {
		return rawDouble(asDouble(before) + asDouble(by)), nil
	}
	a, b := before.AsInt64(), by.AsInt64()
	sum := a + b
	if (sum > a) != (b > 0) {
		return bson.RawValue{}, fmt.Errorf("%d + %d overflows", a, b)
	}
	if before.Type == bson.TypeInt32 && by.Type == bson.TypeInt32 && sum == int64(int32(sum)) {
		return bson.RawValue{Type: bson.TypeInt32, Value: binary.LittleEndian.AppendUint32(nil, uint32(sum))}, nil
	}
	return rawInt64(sum), nil
}

// typeOrder ranks BSON types in MongoDB's comparison order
// (https://www.mongodb.com/docs/manual/reference/bson-type-comparison-order/).
var typeOrder = map[bson.Type]int{
	bson.TypeMinKey: 1, bson.TypeUndefined: 2, bson.TypeNull: 2,
	bson.TypeInt32: 3, bson.TypeInt64: 3, bson.TypeDouble: 3, bson.TypeDecimal128: 3,
	bson.TypeSymbol: 4, bson.TypeString: 4, bson.TypeEmbeddedDocument: 5, bson.TypeArray: 6,
	bson.TypeBinary: 7, bson.TypeObjectID: 8, bson.TypeBoolean: 9, bson.TypeDateTime: 10,
	bson.TypeTimestamp: 11, bson.TypeRegex: 12, bson.TypeMaxKey: 13,
}

// compareValues orders two values. Equal types are strings, numbers, bools or
// times only; the checks refuse others as operands.
func compareValues(a, b bson.RawValue) int {
	if order := cmp.Compare(typeOrder[a.Type], typeOrder[b.Type]); order != 0 {
		return order
	}
	switch {
	case a.Type == bson.TypeString && b.Type == bson.TypeString:
		return strings.Compare(a.StringValue(), b.StringValue())
	case a.Type == bson.TypeDateTime && b.Type == bson.TypeDateTime:
		return cmp.Compare(a.DateTime(), b.DateTime())
	case engine.IsNumber(a) && engine.IsNumber(b):
		return compareNumbers(a, b)
	}
	return bytes.Compare(a.Value, b.Value)
}

// compareNumbers compares exactly, also integers that a double cannot hold.
func compareNumbers(a, b bson.RawValue) int {
	aDouble, bDouble := a.Type == bson.TypeDouble, b.Type == bson.TypeDouble
	switch {
	case aDouble && bDouble:
		return cmp.Compare(a.Double(), b.Double())
	case aDouble:
		return -compareMixed(b.AsInt64(), a.Double())
	case bDouble:
		return compareMixed(a.AsInt64(), b.Double())
	}
	return cmp.Compare(a.AsInt64(), b.AsInt64())
}

func compareMixed(i int64, d float64) int {
	switch {
	case math.IsNaN(d) || d < math.MinInt64:
		return 1
	case d >= math.MaxInt64:
		return -1
	}
	whole := math.Floor(d)
	if order := cmp.Compare(i, int64(whole)); order != 0 {
		return order
	}
	return cmp.Compare(whole, d)
}

// seedDocument returns the document of an upsert: the equalities of its filter,
// "_id" first.
func seedDocument(d *engine.Declared, f engine.Filter) (bson.Raw, error) {
	id, _ := f.Equal(engine.IDField)
	doc, err := bson.Marshal(bson.D{{Key: engine.IDField, Value: id}})
	if err != nil {
		return nil, err
	}
	for _, c := range f.All {
		if c.Op != engine.Equal || c.Field == engine.IDField {
			continue
		}
		value := c.Value
		if d.Kinds[c.Field] == engine.Time {
			value = time.UnixMilli(value.(int64))
		}
		kind, data, err := bson.MarshalValue(value)
		if err != nil {
			return nil, err
		}
		set := engine.Change{Op: "$set", Path: strings.Split(c.Field, "."), Value: bson.RawValue{Type: kind, Value: data}}
		if doc, err = changeFields(doc, []engine.Change{set}); err != nil {
			return nil, err
		}
	}
	return doc, nil
}

func asDouble(v bson.RawValue) float64 {
	if v.Type == bson.TypeDouble {
		return v.Double()
	}
	return float64(v.AsInt64())
}

func rawInt64(n int64) bson.RawValue {
	return bson.RawValue{Type: bson.TypeInt64, Value: binary.LittleEndian.AppendUint64(nil, uint64(n))}
}

func rawDouble(f float64) bson.RawValue {
	return bson.RawValue{Type: bson.TypeDouble, Value: binary.LittleEndian.AppendUint64(nil, math.Float64bits(f))}
}

// appendElement appends a field (https://bsonspec.org/spec.html: type, name,
// zero byte, value) to a document under construction. It appends nothing for an
// absent value.
func appendElement(out []byte, name string, value bson.RawValue) []byte {
	if engine.IsAbsent(value) {
		return out
	}
	out = append(out, byte(value.Type))
	out = append(out, name...)
	out = append(out, 0)
	return append(out, value.Value...)
}

// endDocument completes a document that starts with four bytes for its length.
func endDocument(out []byte) []byte {
	out = append(out, 0)
	binary.LittleEndian.PutUint32(out, uint32(len(out)))
	return out
}
