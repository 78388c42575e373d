// Package required checks the configuration structs of constructors: every
// field that can be nil must be set, unless it is tagged `optional:"true"`.
package required

import (
	"fmt"
	"reflect"
	"strings"
)

// Fields returns an error that names each nil pointer, function, interface, map
// or channel field of config, which must be a struct. Fields tagged
// `optional:"true"` may be nil; fields of other kinds are not checked.
func Fields(config any) error {
	v := reflect.ValueOf(config)
	var missing []string
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if field.Tag.Get("optional") == "true" {
			continue
		}
		switch v.Field(i).Kind() {
		case reflect.Pointer, reflect.Func, reflect.Interface, reflect.Map, reflect.Chan:
			if v.Field(i).IsNil() {
				missing = append(missing, field.Name)
			}
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("%s: required but not set: %s", v.Type(), strings.Join(missing, ", "))
}
