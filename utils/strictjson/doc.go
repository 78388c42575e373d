// Package strictjson reads request bodies: JSON objects into structs, strictly,
// with every wrong field reported at once and by its place.
//
// It does not own the limits of fields (struct tags of handlers), the size of
// a body (middleware), nor how an error is rendered.
//
// Syntax is jsontext's of github.com/go-json-experiment/json, the Go team's
// encoding/json/v2; rules for values are go-playground/validator's. What is
// added here is the walk between the two: json/v2 stops at the first error,
// takes null for the zero value and knows no second name of a field.
//
// Invariants: what is decoded without an error has known names only, each
// once, in well-formed UTF-8, no null where none is declared, and no more than
// MaxDepth levels. No input makes it panic; no more than MaxErrors errors are
// reported of one body; an error never repeats a value, only names.
//
// Struct tags: json names a field ("-" leaves it out). pulse holds, separated
// by commas:
//
//	nullable      null is accepted and leaves the field untouched
//	raw           the field, of a []byte type, takes a JSON object as it stands
//	alias=NAME    NAME is accepted too; both at once are a duplicate
package strictjson
