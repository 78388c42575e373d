package request

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"pulse-control-plane/models"
	"pulse-control-plane/utils/secret"
)

type grants struct {
	CanPublish *bool    `json:"canPublish"`
	Sources    []string `json:"canPublishSources" validate:"max=4,dive,oneof=camera microphone"`
}

type base struct {
	Note string `json:"note" validate:"line"`
}

// tokenRequest has every shape a request of /v1 has.
type tokenRequest struct {
	base
	RoomName   string            `json:"room_name,case:ignore" validate:"omitempty,roomname"`
	Identity   string            `json:"participant_identity,case:ignore" validate:"maxbytes=256"`
	Attributes map[string]string `json:"participant_attributes" validate:"max=64,dive,maxbytes=8"`
	RoomConfig Object            `json:"room_config,case:ignore"`
	TTL        int64             `json:"ttl_seconds" validate:"omitempty,min=30,max=86400"`
	Small      *uint8            `json:"small"`
	Ratio      float64           `json:"ratio"`
	Grants     *grants           `json:"grants"`
	Expires    *time.Time        `json:"expires_at"`
	Password   secret.Value      `json:"password" validate:"omitempty,min=10"`
	Data       []byte            `json:"data"`
	Rows       []base            `json:"rows"`
	Hidden     string            `json:"-"`
}

// of gives the errors of a POST body as "location: message" lines.
func of(t testing.TB, body string, into any) []string {
	t.Helper()
	return errorsOf(t, body, into, nullIsAbsent)
}

func errorsOf(t testing.TB, body string, into any, null nulls) []string {
	t.Helper()
	err := NewReader().decode([]byte(body), into, null)
	if err == nil {
		return nil
	}
	invalid, ok := err.(*models.Error)
	if !ok || invalid.Kind != models.KindInvalid || len(invalid.Fields) == 0 {
		t.Fatalf("%.200q: got %#v", body, err)
	}
	var out []string
	for _, f := range invalid.Fields {
		out = append(out, f.Location+": "+f.Message)
	}
	return out
}

func expect(t *testing.T, body string, want ...string) {
	t.Helper()
	if got := of(t, body, new(tokenRequest)); !slices.Equal(got, want) {
		t.Errorf("%.200q\n got %s\nwant %s", body, strings.Join(got, "\n     "), strings.Join(want, "\n     "))
	}
}

func TestAWellFormedBodyIsDecodedCompletely(t *testing.T) {
	var got tokenRequest
	body := ` {"note":"n","room_name":"a\u00e9\ud83d\ude00b","participantIdentity":"i","participant_attributes":{"a":"1","b":"2"},
		"room_config":{ "anything": [1, null] },"ttl_seconds":60,"small":255,"ratio":-1.5e3,"grants":{"canPublish":false,"canPublishSources":["camera"]},
		"expires_at":"2026-01-31T12:00:00Z","password":"0123456789","data":"aGk=","rows":[{"note":"x"},{}]} `
	if errs := of(t, body, &got); errs != nil {
		t.Fatal(errs)
	}
	no, small, at := false, uint8(255), time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)
	want := tokenRequest{
		base: base{Note: "n"}, RoomName: "aé😀b", Identity: "i", Attributes: map[string]string{"a": "1", "b": "2"},
		RoomConfig: Object(`{ "anything": [1, null] }`), TTL: 60, Small: &small, Ratio: -1500,
		Grants: &grants{CanPublish: &no, Sources: []string{"camera"}}, Expires: &at, Password: got.Password,
		Data: []byte("hi"), Rows: []base{{"x"}, {}},
	}
	if !reflect.DeepEqual(got, want) || got.Password.Reveal() != "0123456789" {
		t.Fatalf("\n got %+v\nwant %+v", got, want)
	}
}

func TestEveryWrongFieldIsReportedAtOnce(t *testing.T) {
	expect(t, `{"room_name":7,"nope":{"deep":[1]},"participant_identity":{},"ttl_seconds":"60","grants":{"canPublish":"yes","other":1,"canPublishSources":["camera",1]},
		"participant_attributes":{"x":1,"y":"ok"},"rows":[{"note":"a"},{"note":1},2],"nope2":1}`,
		"body.room_name: must be a string",
		"body.nope: is not a known field",
		"body.participant_identity: must be a string",
		"body.ttl_seconds: must be a whole number",
		"body.grants.canPublish: must be true or false",
		"body.grants.other: is not a known field",
		"body.grants.canPublishSources[1]: must be a string",
		"body.participant_attributes.x: must be a string",
		"body.rows[1].note: must be a string",
		"body.rows[2]: must be an object",
		"body.nope2: is not a known field")
}

func TestBrokenRulesAreReportedTogetherWithWrongTypes(t *testing.T) {
	expect(t, `{"participant_identity":1,"room_name":"a/b","ttl_seconds":5,"password":"short","note":"a\u0000","participant_attributes":{"k":"123456789"},"grants":{"canPublishSources":["camera","radio"]}}`,
		"body.participant_identity: must be a string",
		"body.note: must be one line without control characters",
		`body.room_name: must be 1 to 128 printable characters and at most 215 bytes, none of / \ { }`,
		"body.participant_attributes.k: must be at most 8 bytes long",
		"body.ttl_seconds: must be at least 30",
		"body.grants.canPublishSources[1]: must be one of: camera, microphone",
		"body.password: must be at least 10 characters long")
}

func TestAFieldOfTheWrongTypeIsNotReportedAsMissing(t *testing.T) {
	type request struct {
		Name  string `json:"name" validate:"required"`
		Email string `json:"email" validate:"required,email,maxbytes=254"`
		Inner struct {
			A string `json:"a" validate:"required"`
		} `json:"inner"`
	}
	got := of(t, `{"name":1,"inner":7}`, new(request))
	want := []string{"body.name: must be a string", "body.inner: must be an object", "body.email: is required"}
	if !slices.Equal(got, want) {
		t.Fatalf("got %q", got)
	}
	if got := of(t, `{"name":"n","email":"nobody","inner":{"a":"x"}}`, new(request)); !slices.Equal(got, []string{"body.email: must be an e-mail address"}) {
		t.Fatalf("got %q", got)
	}
}

func TestRulesAreCheckedInNestedAndCrossFieldPositions(t *testing.T) {
	type inner struct {
		Tags []string `json:"tags" validate:"dive,oneof=a b"`
	}
	// Types of their own, so that no rule is checked for another's sake.
	type ordered struct {
		Min int `json:"min"`
		Max int `json:"max" validate:"omitempty,nefield=Min"`
	}
	type both struct {
		One   string `json:"one" validate:"required_with=Other"`
		Other string `json:"other"`
	}
	type nested struct {
		Held  inner  `json:"held"`
		Inner *inner `json:"inner"`
	}
	type needed struct {
		Needed *inner `json:"needed" validate:"required"`
	}
	for _, row := range []struct {
		into any
		body string
		want []string
	}{
		{new(ordered), `{"min":5,"max":5}`, []string{"body.max: is not valid (nefield)"}},
		{new(ordered), `{"min":4,"max":5}`, nil},
		{new(both), `{"other":"x"}`, []string{"body.one: is required"}},
		{new(both), `{}`, nil},
		{new(nested), `{"held":{"tags":["c","a"]},"inner":{"tags":["a"]}}`, []string{"body.held.tags[0]: must be one of: a, b"}},
		{new(nested), `{"inner":{"tags":["a","c"]}}`, []string{"body.inner.tags[1]: must be one of: a, b"}},
		{new(nested), `{"held":{"tags":["a"]},"inner":{"tags":["b"]}}`, nil},
		{new(needed), `{}`, []string{"body.needed: is required"}},
		{new(needed), `{"needed":{"tags":["c"]}}`, []string{"body.needed.tags[0]: must be one of: a, b"}},
		{new(needed), `{"needed":{}}`, nil},
	} {
		if got := of(t, row.body, row.into); !slices.Equal(got, row.want) {
			t.Errorf("%T %s: got %q, want %q", row.into, row.body, got, row.want)
		}
	}
	type hidden struct {
		Name string `json:"name" validate:"max=3"`
		Mark string `json:"-" validate:"required"`
	}
	if got := of(t, `{"name":"a"}`, new(hidden)); len(got) != 1 || !strings.HasSuffix(got[0], ": is required") {
		t.Errorf("a rule on what is not decoded: got %q", got)
	}
	type flat struct {
		Name string `json:"name" validate:"omitempty,max=3"`
	}
	if got := of(t, `{"name":"abc"}`, new(flat)); got != nil {
		t.Errorf("got %q", got)
	}
	if got := of(t, `{"name":"abcd"}`, new(flat)); !slices.Equal(got, []string{"body.name: must be at most 3 characters long"}) {
		t.Errorf("got %q", got)
	}
}

func TestARepeatedNameIsRefused(t *testing.T) {
	expect(t, `{"note":"a","note":"a"}`, "body.note: is given more than once")
	expect(t, `{"note":"a","n\u006fte":"b"}`, "body.note: is given more than once")
	expect(t, `{"grants":{"canPublish":true,"canPublish":true}}`, "body.grants.canPublish: is given more than once")
	expect(t, `{"participant_attributes":{"a":"1","b":"2","a":"3"}}`, "body.participant_attributes.a: is given more than once")
	expect(t, `{"room_config":{"x":{"a":1,"a":2}}}`, "body.room_config.x.a: is given more than once")
	expect(t, `{"rows":[{"note":"a","note":"b"}]}`, "body.rows[0].note: is given more than once")
}

func TestSnakeCaseAndCamelCaseNamesAreAccepted(t *testing.T) {
	var snake, camel tokenRequest
	if errs := of(t, `{"room_name":"a","participant_identity":"b","room_config":{}}`, &snake); errs != nil {
		t.Fatal(errs)
	}
	if errs := of(t, `{"roomName":"a","participantIdentity":"b","roomConfig":{}}`, &camel); errs != nil {
		t.Fatal(errs)
	}
	if !reflect.DeepEqual(snake, camel) || snake.RoomName != "a" {
		t.Fatalf("%+v and %+v", snake, camel)
	}
	expect(t, `{"room_name":"a","roomName":"a"}`, "body.roomName: is given more than once (it is another name of room_name)")
	expect(t, `{"roomName":1}`, "body.room_name: must be a string")
	expect(t, `{"Note":"a","NOTE":"a"}`, "body.Note: is not a known field", "body.NOTE: is not a known field")
	expect(t, `{"Hidden":"a","-":"a"}`, "body.Hidden: is not a known field", "body.-: is not a known field")
}

func TestNumbersThatDoNotFitAreRefused(t *testing.T) {
	expect(t, `{"ttl_seconds":9223372036854775808,"small":256,"ratio":1e400}`,
		"body.ttl_seconds: is out of range", "body.small: is out of range", "body.ratio: is out of range")
	expect(t, `{"ttl_seconds":60.5,"small":-1,"ratio":"1"}`,
		"body.ttl_seconds: must be a whole number", "body.small: must be a whole number", "body.ratio: must be a number")
	expect(t, `{"ttl_seconds":`+strings.Repeat("9", 100_000)+`}`, "body.ttl_seconds: is out of range")
}

func TestErrorsOfFormattedValuesNameTheFormat(t *testing.T) {
	expect(t, `{"expires_at":"tomorrow","data":"%%","password":1,"room_config":[]}`,
		"body.expires_at: must be a time such as 2026-01-31T12:00:00Z (RFC 3339)",
		"body.data: must be a string in base64",
		"body.password: must be a string",
		"body.room_config: must be an object")
}

func TestTextMustBeWellFormedUTF8(t *testing.T) {
	expect(t, "{\"note\":\"a\xffb\"}", "body.note: is not valid UTF-8")
	expect(t, `{"ttl_seconds":"","room_name":"\ud800"}`, "body.room_name: is not valid UTF-8")
	expect(t, "{\"participant_attributes\":{\"k\":\"\xc3\"}}", "body.participant_attributes.k: is not valid UTF-8")
	expect(t, "{\"b\xff\":1}", "body: is not valid UTF-8")
	expect(t, "{\"room_config\":{\"a\":{\"b\":\"\xff\"}}}", "body.room_config.a.b: is not valid UTF-8")
}

func TestABodyIsOneJSONObject(t *testing.T) {
	for _, body := range []string{"", " \r\n\t "} {
		expect(t, body, "body: is empty; send a JSON object")
	}
	for _, body := range []string{"null", "[]", `"a"`, "7", "true", `[{"note":1}]`} {
		expect(t, body, "body: must be a JSON object")
	}
	for _, body := range []string{`{"note":"a"} {}`, `{"note":"a"}x`, `{"note":"a"},`, `{"note":"a"}}`} {
		expect(t, body, "body: must hold one JSON object and nothing after it")
	}
}

func TestInvalidJSONIsReportedAtItsLocation(t *testing.T) {
	expect(t, `{"note":"a","grants":{"canPublish":tru}}`, "body.grants.canPublish: is not valid JSON")
	expect(t, `{"note":1,"ttl_seconds":6`, "body: is not valid JSON: it ends too early")
	expect(t, `{"note":"a",}`, "body: is not valid JSON")
	expect(t, `{'note':'a'}`, "body: is not valid JSON")
	expect(t, `{"note" "a"}`, "body.note: is not valid JSON")
	expect(t, `{"rows":[{"note":"a"},{"note":}]}`, "body.rows[1].note: is not valid JSON")
	expect(t, "\ufeff{}", "body: is not valid JSON")
	expect(t, `{"ttl_seconds":01}`, "body: is not valid JSON")
}

func TestNestingIsBounded(t *testing.T) {
	nested := func(levels int) string {
		return `{"room_config":` + strings.Repeat(`{"a":`, levels-1) + "1" + strings.Repeat("}", levels)
	}
	expect(t, nested(9_999))
	expect(t, nested(10_001), "body: is nested too deeply")
	expect(t, `{"note":"`+strings.Repeat(`[{\"`, 10_000)+`"}`)
	expect(t, strings.Repeat("[", 1<<20), "body: is nested too deeply")
}

func TestErrorsOfOneBodyAreBoundedInNumberAndLength(t *testing.T) {
	var body strings.Builder
	for i := range 10_000 {
		fmt.Fprintf(&body, `,"f%d":1`, i)
	}
	got := of(t, `{"note":"a"`+body.String()+`}`, new(tokenRequest))
	if len(got) != MaxErrors+1 || got[MaxErrors] != "body: has more errors than are listed" {
		t.Fatalf("%d errors, the last %q", len(got), got[len(got)-1])
	}
	long := strings.Repeat("é", 100_000)
	for _, body := range []string{`{"` + long + `":1}`, `{"participant_attributes":{"` + long + `":1}}`, `{"participant_attributes":{"` + long + `":"123456789"}}`, `{"room_config":{"` + long + `":{"` + long + `":tru}}}`} {
		for _, line := range of(t, body, new(tokenRequest)) {
			if len(line) > 1000 {
				t.Errorf("%d bytes: %.200s…", len(line), line)
			}
		}
	}
}

func TestAnUnknownNameIsFoldedOnceHoweverManyFieldsThereAre(t *testing.T) {
	const names = 10_000
	var body strings.Builder
	body.WriteByte('{')
	for i := range names {
		fmt.Fprintf(&body, `"unknown_%d":1,`, i)
	}
	text := strings.TrimSuffix(body.String(), ",") + "}"
	each := testing.AllocsPerRun(3, func() { of(t, text, new(tokenRequest)) }) / names
	if each > 8 {
		t.Errorf("%.1f allocations a name", each)
	}
}

func TestAnErrorNeverRepeatsAValue(t *testing.T) {
	const value = "hunter2hunter2"
	for _, body := range []string{
		`{"password":["` + value + `"]}`, `{"expires_at":"` + value + `"}`, `{"data":"` + value + `!"}`, `{"ttl_seconds":"` + value + `"}`,
		`{"note":` + value + `}`, `{"note":"` + value, `{"note":"a"} ` + value, `{"unknown":"` + value + `"}`, `{"grants":{"canPublishSources":["` + value + `"]}}`,
		`{"password":"` + value + `\u0000","room_name":"` + value + `/"}`,
	} {
		for _, line := range of(t, body, new(tokenRequest)) {
			if strings.Contains(line, value) {
				t.Errorf("%s gives %s", body, line)
			}
		}
	}
}

func TestATypeMayContainItself(t *testing.T) {
	type tree struct {
		Name     string `json:"name"`
		Children []tree `json:"children"`
	}
	var got tree
	if errs := of(t, `{"children":[{"name":"a","children":[{"name":"b"}]}]}`, &got); errs != nil || got.Children[0].Children[0].Name != "b" {
		t.Fatalf("got %+v, %v", got, errs)
	}
	if errs := of(t, `{"children":[{"children":[{"name":1}]}]}`, new(tree)); !slices.Equal(errs, []string{"body.children[0].children[0].name: must be a string"}) {
		t.Fatal(errs)
	}
}

func TestOneDecoderServesManyGoroutines(t *testing.T) {
	r := NewReader()
	var wait sync.WaitGroup
	for i := range 16 {
		wait.Go(func() {
			for range 200 {
				var got tokenRequest
				note := strings.Repeat("x", i)
				if err := r.decode([]byte(`{"note":"`+note+`"}`), &got, nullIsAbsent); err != nil || got.Note != note {
					t.Errorf("got %q, %v", got.Note, err)
				}
				if err := r.decode([]byte(`{"note":1}`), new(tokenRequest), nullIsAbsent); !models.IsKind(err, models.KindInvalid) {
					t.Errorf("got %v", err)
				}
			}
		})
	}
	wait.Wait()
}

func TestANameHasSomethingVisible(t *testing.T) {
	type named struct {
		Name string `json:"name" validate:"required,notblank,max=100,line"`
	}
	for _, name := range []string{"Acme", "\u05d0\u05d1\u200f (Acme)", "\u0646\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "\U0001f468\u200d\U0001f469", "a\u00a0b", "\u3000a"} {
		if got := of(t, `{"name":"`+name+`"}`, new(named)); got != nil {
			t.Errorf("%+q: %v", name, got)
		}
	}
	for _, name := range []string{"\u200d", "\u200b", "\ufeff", "\u00a0\u3000", "\u2060\u00ad", "\u200e"} {
		if got := of(t, `{"name":"`+name+`"}`, new(named)); len(got) != 1 || got[0] != "body.name: must not be blank" {
			t.Errorf("%+q: %v", name, got)
		}
	}
}
