package request

import (
	"errors"
	"reflect"

	"github.com/go-json-experiment/json"
)

// Object is a JSON object that is taken as it was sent.
type Object []byte

// UnmarshalJSON takes an object.
func (o *Object) UnmarshalJSON(data []byte) error {
	if len(data) == 0 || data[0] != '{' {
		return errors.New("request: not an object")
	}
	*o = append((*o)[:0], data...)
	return nil
}

// Clearable is a field of a PATCH body that null clears. Value is nil where
// the field was not sent, and points to the zero value where null was.
type Clearable[T any] struct {
	Value *T
	// Null is true if the field was null.
	Null bool
}

// clearable is a pointer to any Clearable.
type clearable interface {
	clear()
	// fill makes Value a zero T and gives it.
	fill() reflect.Value
}

func (c *Clearable[T]) clear() { c.Value, c.Null = new(T), true }

func (c *Clearable[T]) fill() reflect.Value {
	c.Value = new(T)
	return reflect.ValueOf(c.Value).Elem()
}

// UnmarshalJSON takes a T.
func (c *Clearable[T]) UnmarshalJSON(data []byte) error {
	return json.Unmarshal(data, &c.Value)
}
