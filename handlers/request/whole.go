package request

import (
	"bytes"
	"reflect"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// maxWholeExponent bounds the exponent of a whole number. No integer has as many
// digits.
const maxWholeExponent = 32

// whole gives a number that is whole, but written with a fraction or an exponent, such
// as 60.0 and 6e1, as digits alone, where an integer is wanted; anything else as it is.
// These are integers to JSON Schema (Validation, section 6.1.1), so to the OpenAPI
// document too, and clients whose numbers are floating-point ones write them.
func whole(raw jsontext.Value, v reflect.Value) jsontext.Value {
	if raw.Kind() != '0' || !v.CanInt() && !v.CanUint() || !bytes.ContainsAny(raw, ".eE") {
		return raw
	}
	mantissa, exponent, _ := strings.Cut(strings.ToLower(string(raw)), "e")
	digits, negative := strings.CutPrefix(mantissa, "-")
	integral, fraction, _ := strings.Cut(digits, ".")
	shift := 0
	if exponent != "" {
		var err error
		if shift, err = strconv.Atoi(exponent); err != nil || shift > maxWholeExponent || shift < -maxWholeExponent {
			return raw
		}
	}
	digits = integral + fraction
	shift -= len(fraction)
	for ; shift < 0; shift++ {
		rest, ends := strings.CutSuffix(digits, "0")
		if !ends && digits != "" {
			return raw // a fraction is left
		}
		digits = rest
	}
	digits = strings.TrimLeft(digits+strings.Repeat("0", shift), "0")
	switch {
	case digits == "":
		digits = "0"
	case negative:
		digits = "-" + digits
	}
	return jsontext.Value(digits)
}
