package handlers

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pulse-control-plane/models"
	"pulse-control-plane/services/tenancy"
)

// A struct tag cannot name a constant; this keeps both equal.
func TestRequestTagsMatchTheLimitsOfModels(t *testing.T) {
	for _, tc := range []struct {
		request any
		field   string
		rules   []string
	}{
		{tokenRequest{}, "TTLSeconds", []string{fmt.Sprintf("min=%d", models.MinTokenTTLSeconds), fmt.Sprintf("max=%d", models.MaxTokenTTLSeconds)}},
		{tokenRequest{}, "ParticipantIdentity", []string{fmt.Sprintf("maxbytes=%d", models.MaxIdentityBytes)}},
		{tokenRequest{}, "ParticipantName", []string{fmt.Sprintf("maxbytes=%d", models.MaxIdentityBytes)}},
		{tokenRequest{}, "ParticipantMetadata", []string{fmt.Sprintf("maxbytes=%d", models.MaxMetadataBytes)}},
		{tokenRequest{}, "ParticipantAttributes", []string{fmt.Sprintf("max=%d", models.MaxAttributes), fmt.Sprintf("maxtotal=%d", models.MaxAttributesBytes)}},
		{clientTokensRequest{}, "MaxTTLSeconds", []string{fmt.Sprintf("min=%d", models.MinTokenTTLSeconds), fmt.Sprintf("max=%d", models.MaxTokenTTLSeconds)}},
		{regenerateRequest{}, "GracePeriodSeconds", []string{"min=0", fmt.Sprintf("max=%d", int64(tenancy.MaxGracePeriod.Seconds()))}},
		{grantsRequest{}, "CanPublishSources", []string{"oneof=" + strings.Join(models.TrackSources(), " ")}},
	} {
		field, ok := reflect.TypeOf(tc.request).FieldByName(tc.field)
		if !ok {
			t.Fatalf("%T has no %s", tc.request, tc.field)
		}
		for _, rule := range tc.rules {
			if !slices.Contains(strings.Split(field.Tag.Get("validate"), ","), rule) {
				t.Errorf("%T.%s is %q, without %s", tc.request, tc.field, field.Tag.Get("validate"), rule)
			}
		}
	}
	for _, body := range []any{createAPIKeyRequest{}, patchAPIKeyRequest{}} {
		field, _ := reflect.TypeOf(body).FieldByName("Scopes")
		names := make([]string, 0, len(models.Scopes()))
		for _, s := range models.Scopes() {
			names = append(names, string(s))
		}
		if !strings.Contains(field.Tag.Get("validate"), "oneof="+strings.Join(names, " ")) {
			t.Errorf("%T.Scopes is %q, want %q", body, field.Tag.Get("validate"), names)
		}
	}
}

// A grant that a request has and the response lacks could be requested and never
// seen.
func TestGrantsAreTheSameInRequestsResponsesAndModels(t *testing.T) {
	wide := []string{"roomCreate", "roomList", "roomRecord", "ingressAdmin", "room", "destinationRoom"}
	names := func(v any, tag string) []string {
		var out []string
		for _, f := range reflect.VisibleFields(reflect.TypeOf(v)) {
			if name, _, _ := strings.Cut(f.Tag.Get(tag), ","); !slices.Contains(wide, name) {
				out = append(out, name)
			}
		}
		slices.Sort(out)
		return out
	}
	asked, shown, stored := names(grantsRequest{}, "json"), names(Grants{}, "json"), names(models.VideoGrants{}, "bson")
	if !slices.Equal(asked, shown) || !slices.Equal(asked, stored) || len(asked) == 0 {
		t.Errorf("asked %v\nshown %v\nstored %v", asked, shown, stored)
	}
	yes := true
	request := grantsRequest{}
	for _, f := range reflect.VisibleFields(reflect.TypeOf(request)) {
		value := reflect.ValueOf(&request).Elem().FieldByIndex(f.Index)
		switch value.Interface().(type) {
		case *bool:
			value.Set(reflect.ValueOf(&yes))
		case []string:
			value.Set(reflect.ValueOf([]string{"camera"}))
		}
	}
	grants := request.VideoGrants()
	for _, f := range reflect.VisibleFields(reflect.TypeOf(grants)) {
		if reflect.ValueOf(grants).FieldByIndex(f.Index).IsNil() {
			t.Errorf("%s is lost on the way", f.Name)
		}
	}
}
