package request

import (
	"reflect"
	"strings"
	"testing"
)

func TestAWholeNumberMayBeWrittenWithAFractionOrAnExponent(t *testing.T) {
	type numbers struct {
		Whole   int64            `json:"whole"`
		Small   *uint8           `json:"small"`
		Cleared Clearable[int64] `json:"cleared"`
		Ratio   float64          `json:"ratio"`
	}
	for text, want := range map[string]int64{
		"60.0": 60, "60.000": 60, "6e1": 60, "6E+1": 60, "600e-1": 60, "0.6e2": 60, "-6.0e1": -60, "0.0": 0, "-0.0": 0, "0e5": 0, "0e-5": 0,
		"9223372036854775807.0": 9223372036854775807, "0.00000006e9": 60, "9.007199254740993e15": 9007199254740993,
	} {
		var got numbers
		if errs := errorsOf(t, `{"whole":`+text+`}`, &got, nullIsWrong); errs != nil || got.Whole != want {
			t.Errorf("%s: %d %v", text, got.Whole, errs)
		}
	}
	var got numbers
	small := uint8(200)
	if errs := errorsOf(t, `{"small":2e2,"cleared":7.0,"ratio":1.5e1}`, &got, nullIsWrong); errs != nil ||
		!reflect.DeepEqual(got.Small, &small) || got.Cleared.Value == nil || *got.Cleared.Value != 7 || got.Ratio != 15 {
		t.Errorf("%+v %v", got, errs)
	}
	for text, message := range map[string]string{
		"60.5": "must be a whole number", "6e-1": "must be a whole number", "60.0000001": "must be a whole number", "1e400": "must be a whole number",
		"1e99999999999999999999": "must be a whole number", "1e30": "is out of range", "1e-400": "must be a whole number",
		"9223372036854775808.0": "is out of range", `"60.0"`: "must be a whole number", "1." + strings.Repeat("0", 100_000) + "1": "must be a whole number",
	} {
		var got numbers
		if errs := errorsOf(t, `{"whole":`+text+`}`, &got, nullIsAbsent); len(errs) != 1 || errs[0] != "body.whole: "+message {
			t.Errorf("%.40s: %v", text, errs)
		}
	}
}
