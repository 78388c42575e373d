package engine

import (
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// CheckSwap checks the arguments of Engine.Swap and returns the paths of the
// fields with their values before, in the order of before.
func (d *Declared) CheckSwap(before, after bson.D) ([]Change, error) {
	if len(before) == 0 || len(before) != len(after) {
		return nil, d.Refuse("a swap of %d fields for %d", len(before), len(after))
	}
	values := make([]Change, len(before))
	for i, e := range before {
		from, isText := e.Value.(string)
		_, toText := after[i].Value.(string)
		switch {
		case e.Key != after[i].Key || namedBefore(before, i):
			return nil, d.Refuse("a swap that names %q and %q", e.Key, after[i].Key)
		case !isText || !toText:
			return nil, d.Refuse("a swap of %q with other values than texts", e.Key)
		case !slices.ContainsFunc(d.Sealed, func(s Sealed) bool { return s.Field == e.Key }):
			return nil, d.Refuse("a swap of %q, which is not declared as sealed", e.Key)
		}
		kind, value, err := bson.MarshalValue(from)
		if err != nil {
			return nil, d.Refuse("%w", err)
		}
		values[i] = Change{Op: "$eq", Path: strings.Split(e.Key, "."), Value: bson.RawValue{Type: kind, Value: value}}
	}
	return values, nil
}

// checkSealed checks the declared sealed fields.
func (d *Declared) checkSealed() (mistakes []error) {
	seen := map[string]bool{}
	for _, s := range d.Sealed {
		switch {
		case !fieldName.MatchString(s.Field):
			mistakes = append(mistakes, d.Refuse("sealed field %q is not a plain (dotted) name", s.Field))
		case seen[s.Field]:
			mistakes = append(mistakes, d.Refuse("sealed field %q is declared twice", s.Field))
		case d.Kinds[s.Field] != 0:
			mistakes = append(mistakes, d.Refuse("sealed field %q is declared as a field for queries too", s.Field))
		case s.Purpose == "" || strings.Count(s.BoundTo, SealedID) != 1:
			mistakes = append(mistakes, d.Refuse("sealed field %q has no purpose or is not bound to its document", s.Field))
		}
		seen[s.Field] = true
	}
	return mistakes
}
