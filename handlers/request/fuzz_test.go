package request

import (
	"bytes"
	"math/big"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"pulse-control-plane/models"
)

// plainRequest is read by json alone in the same way, except for null.
type plainRequest struct {
	Name   string             `json:"name"`
	Count  int32              `json:"count"`
	Ratio  *float64           `json:"ratio"`
	On     bool               `json:"on"`
	Tags   []string           `json:"tags"`
	ByName map[string]string  `json:"by_name"`
	Inner  *struct{ A []int } `json:"inner"`
	Any    any                `json:"any"`
}

// decoded gives the errors of decoding a PATCH body, where every null is wrong.
func decoded(r *Reader, body []byte, into any) []models.FieldError {
	err := r.decode(body, into, nullIsWrong)
	if err == nil {
		return nil
	}
	return err.(*models.Error).Fields
}

// integer reads a whole number as JSON Schema does: 1e2 is one.
func integer[T int | int32](raw []byte, into *T) error {
	number := strings.ToLower(string(raw))
	mantissa, exponent, _ := strings.Cut(number, "e")
	if n, err := strconv.Atoi(exponent); exponent != "" && (err != nil || n < -maxWholeExponent || n > maxWholeExponent) {
		return strconv.ErrRange // big.Rat would take very long
	}
	exact, ok := new(big.Rat).SetString(number)
	if !ok || strings.Trim(mantissa, "-.0123456789") != "" || !exact.IsInt() || !exact.Num().IsInt64() || int64(T(exact.Num().Int64())) != exact.Num().Int64() {
		return strconv.ErrSyntax
	}
	*into = T(exact.Num().Int64())
	return nil
}

func FuzzWhatIsDecodedIsWhatJSONv2ReadsStrictly(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"name":"a","count":1,"ratio":1.5,"on":true,"tags":["x"],"by_name":{"a":"b"},"inner":{"A":[1,2]},"any":{"x":[]}}`,
		`{"name":"a","name":"b"}`, `{"by_name":{"a":"b","a":"c"}}`, `{"any":{"a":1,"a":2}}`, `{"name":null}`, `{"name":"\ud800"}`,
		`{"count":2147483648}`, `{"count":1e2}`, `{"count":-1.50e1}`, `{"inner":{"A":[1.0,200e-2]}}`, `{"count":1.5}`, `{"count":1e10}`, `{"tags":[null]}`, `{"x":1}`, `{} {}`, `[]`, `{"inner":{"A":[1,{}]}}`, "{\"name\":\"\xff\"}",
	} {
		f.Add([]byte(seed))
	}
	r := NewReader()
	f.Fuzz(func(t *testing.T, body []byte) {
		before := bytes.Clone(body)
		var ours, theirs plainRequest
		found := decoded(r, body, &ours)
		if !bytes.Equal(body, before) {
			t.Fatal("the body was written to")
		}
		err := json.Unmarshal(body, &theirs, json.RejectUnknownMembers(true), json.WithUnmarshalers(json.JoinUnmarshalers(
			json.UnmarshalFunc(integer[int]), json.UnmarshalFunc(integer[int32]))))
		if err != nil && len(found) == 0 {
			t.Fatalf("%q is taken, json/v2 says %v", body, err)
		}
		if len(found) == 0 && !reflect.DeepEqual(ours, theirs) {
			t.Fatalf("%q is read as %+v, by json/v2 as %+v", body, ours, theirs)
		}
		for _, field := range found {
			if field.Location == "" || field.Message == "" {
				t.Fatalf("%q: %+v", body, found)
			}
		}
	})
}

func FuzzATokenRequestIsTakenOnlyIfItIsOneWellFormedObject(f *testing.F) {
	for _, seed := range []string{
		`{"room_name":"a","participant_identity":"b"}`, `{"roomName":"a","room_name":"a"}`, `{"room_config":{"a":{"b":1,"b":2}}}`,
		`{"expires_at":null,"password":"0123456789","data":"aGk="}`, `{"rows":[{"note":"a","note":"b"}]}`, `{"grants":{"canPublishSources":["camera"]}}`,
		`{"room_name":"a/b"}`, `{"participant_attributes":{"a":"123456789"}}`, `{"ttl_seconds":29}`, `{"ttl_seconds":0}`, `{"password":"short"}`, `{"note":"\u0000"}`,
		`{"grants":{"canPublishSources":["x"]}}`, `{"rows":[{"note":"\u0007"}]}`,
	} {
		f.Add([]byte(seed))
	}
	r := NewReader()
	f.Fuzz(func(t *testing.T, body []byte) {
		var into tokenRequest
		if r.decode(body, &into, nullIsAbsent) != nil {
			return
		}
		if broken := r.broken(&into); len(broken) > 0 {
			t.Fatalf("%q is taken and breaks %v", body, broken)
		}
		// Duplicate names and malformed UTF-8 make a value invalid here.
		if v := jsontext.Value(bytes.TrimSpace(body)); v.Kind() != '{' || !v.IsValid() {
			t.Fatalf("%q is taken", body)
		}
	})
}

func BenchmarkTokenRequest(b *testing.B) {
	r, body := NewReader(), []byte(`{"room_name":"a","participant_identity":"b"}`)
	b.ReportAllocs()
	for b.Loop() {
		var into tokenRequest
		if err := r.decode(body, &into, nullIsAbsent); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkJSONv2ForComparison(b *testing.B) {
	body := []byte(`{"room_name":"a","participant_identity":"b"}`)
	b.ReportAllocs()
	for b.Loop() {
		var into tokenRequest
		if err := json.Unmarshal(body, &into, json.RejectUnknownMembers(true)); err != nil {
			b.Fatal(err)
		}
	}
}
