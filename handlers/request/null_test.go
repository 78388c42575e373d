package request

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"pulse-control-plane/utils/secret"
)

func TestNullInAPostMeansNotSent(t *testing.T) {
	var got tokenRequest
	if errs := of(t, `{"note":null,"room_name":null,"participant_attributes":null,"room_config":null,"ttl_seconds":null,"small":null,"ratio":null,
		"grants":{"canPublish":null,"canPublishSources":null},"expires_at":null,"password":null,"data":null,"rows":null}`, &got); errs != nil {
		t.Fatal(errs)
	}
	if want := (tokenRequest{Grants: &grants{}}); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
	type request struct {
		Name string       `json:"name" validate:"required"`
		Pass secret.Value `json:"pass" validate:"required"`
	}
	if got := of(t, `{"name":null,"pass":null}`, new(request)); !slices.Equal(got, []string{"body.name: is required", "body.pass: is required"}) {
		t.Errorf("got %q", got)
	}
	expect(t, `{"participant_attributes":{"a":null},"grants":{"canPublishSources":[null]},"rows":[null]}`,
		"body.participant_attributes.a: must not be null",
		"body.grants.canPublishSources[0]: must not be null",
		"body.rows[0]: must not be null")
	expect(t, `{"unknown":null}`, "body.unknown: is not a known field")
}

func TestNullInAPatchClearsWhatCanBeCleared(t *testing.T) {
	type patch struct {
		Name    *string              `json:"name" validate:"omitempty,min=2"`
		Region  Clearable[string]    `json:"region" validate:"omitempty,max=3"`
		Expires Clearable[time.Time] `json:"expires_at"`
		Limits  struct {
			Rooms Clearable[int64] `json:"rooms" validate:"omitempty,min=1"`
		} `json:"limits"`
		Origins Clearable[[]string] `json:"origins" validate:"omitempty,dive,max=3"`
	}
	var got patch
	if errs := errorsOf(t, `{"region":null,"expires_at":null,"limits":{"rooms":null},"origins":null}`, &got, nullIsWrong); errs != nil {
		t.Fatal(errs)
	}
	if !got.Region.Null || *got.Region.Value != "" || !got.Expires.Null || !got.Limits.Rooms.Null || *got.Limits.Rooms.Value != 0 ||
		!got.Origins.Null || *got.Origins.Value != nil || got.Name != nil {
		t.Errorf("got %+v", got)
	}
	got = patch{}
	if errs := errorsOf(t, `{"region":"eu","expires_at":"2026-01-31T12:00:00Z","limits":{"rooms":5},"origins":["a"]}`, &got, nullIsWrong); errs != nil {
		t.Fatal(errs)
	}
	if *got.Region.Value != "eu" || got.Region.Null || got.Expires.Value.Year() != 2026 || *got.Limits.Rooms.Value != 5 || !slices.Equal(*got.Origins.Value, []string{"a"}) {
		t.Errorf("got %+v", got)
	}
	for body, want := range map[string][]string{
		`{}`:                          nil,
		`{"name":null,"limits":null}`: {"body.name: must not be null", "body.limits: must not be null"},
		`{"name":"x","region":"long","limits":{"rooms":-1},"origins":["a","long",null]}`: {"body.origins[2]: must not be null",
			"body.name: must be at least 2 characters long", "body.region: must be at most 3 characters long", "body.limits.rooms: must be at least 1", "body.origins[1]: must be at most 3 characters long"},
		`{"origins":["a","long"]}`: {"body.origins[1]: must be at most 3 characters long"},
		`{"region":1,"expires_at":"x","limits":{"rooms":"1"}}`: {"body.region: must be a string",
			"body.expires_at: must be a time such as 2026-01-31T12:00:00Z (RFC 3339)", "body.limits.rooms: must be a whole number"},
	} {
		if got := errorsOf(t, body, new(patch), nullIsWrong); !slices.Equal(got, want) {
			t.Errorf("%s\n got %q\nwant %q", body, got, want)
		}
	}
}
