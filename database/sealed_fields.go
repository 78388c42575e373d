package database

import (
	"fmt"
	"strings"

	"pulse-control-plane/database/engine"
	"pulse-control-plane/utils/secret"
)

// SealedFields seals and opens the declared sealed fields under DATA_KEY. A
// field that no collection declares cannot be sealed, so that the rotation of the
// key finds every value.
type SealedFields struct{ ring *secret.Ring }

// SealedUnder seals with the first key of a ring.
func SealedUnder(ring *secret.Ring) *SealedFields { return &SealedFields{ring} }

// SealedField seals and opens the values of one declared field.
type SealedField struct {
	box  *secret.Box
	path string
	// before and after the document's id make what a value is bound to.
	before, after string
}

// Of returns a sealed field of a collection; an error if it is not declared.
func (s *SealedFields) Of(collection, field string) (*SealedField, error) {
	for _, c := range Schema() {
		for _, declared := range c.Sealed {
			if c.Name == collection && declared.Field == field {
				return s.field(declared)
			}
		}
	}
	return nil, fmt.Errorf("database: %s.%s is not declared as sealed", collection, field)
}

func (s *SealedFields) field(declared engine.Sealed) (*SealedField, error) {
	before, after, ok := strings.Cut(declared.BoundTo, engine.SealedID)
	if !ok {
		return nil, fmt.Errorf("database: the sealed field %s is not bound to its document", declared.Field)
	}
	box, err := s.ring.Box(declared.Purpose)
	return &SealedField{box: box, path: declared.Field, before: before, after: after}, err
}

// Seal seals a value of the document with an id. Errors as secret.Box.Seal.
func (f *SealedField) Seal(plain []byte, id string) (string, error) {
	return f.box.Seal(plain, f.before+id+f.after)
}

// Open returns what Seal was given for the document with an id, or
// secret.ErrUnopened.
func (f *SealedField) Open(sealed, id string) ([]byte, error) {
	return f.box.Open(sealed, f.before+id+f.after)
}
