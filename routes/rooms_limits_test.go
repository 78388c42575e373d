package routes_test

import (
	"net/http"
	"strings"
	"testing"
)

// roomBounds are the limits of the fields of /v1/rooms.
func roomBounds(ada tenant) []bound {
	x := func(n int) string { return strings.Repeat("x", n) }
	hall, ann := "/v1/rooms/hall", "/v1/rooms/hall/participants/ann"
	tags := func(n int) map[string]string {
		out := map[string]string{}
		for i := range n {
			out[x(i+1)] = ""
		}
		return out
	}
	named, muting := map[string]any{"room_name": "hall"}, map[string]any{"track_sid": "TR_1", "muted": true}
	seconds, notSeconds := []any{0, 86400}, []any{-1, 86401, 1.5, "60"}
	names, notNames := []any{"x", x(128), "a b", "日本"}, []any{"", x(129), "a/b", `a\b`, "{a", 1}
	all := []bound{
		{method: "POST", path: "/v1/rooms", field: "room_name", fits: names, over: notNames, unsaid: []any{strings.Repeat("会", 72)}},
		{method: "POST", path: "/v1/rooms", base: named, field: "empty_timeout", fits: seconds, over: notSeconds},
		{method: "POST", path: "/v1/rooms", base: named, field: "departure_timeout", fits: seconds, over: notSeconds},
		{method: "POST", path: "/v1/rooms", base: named, field: "max_participants", fits: []any{0, 100000}, over: []any{-1, 100001, "5"}},
		{method: "POST", path: "/v1/rooms", base: named, field: "recording", fits: []any{true, false}, over: []any{1, "true"}},
		{method: "POST", path: "/v1/rooms", base: named, field: "metadata", fits: []any{"", x(32768)}, over: []any{x(32769), 1}},
		{method: "POST", path: "/v1/rooms", base: named, field: "tags", fits: []any{tags(0), tags(32)}, over: []any{tags(33), 1}, unsaid: []any{map[string]string{"a": x(4096)}}},
		{method: "PATCH", path: hall, field: "metadata", fits: []any{"", x(32768)}, over: []any{x(32769), 1}},
		{method: "PATCH", path: hall, field: "tags", fits: []any{tags(32)}, over: []any{tags(33), 1}},
		{method: "POST", path: hall + "/data", field: "data", fits: []any{"aGk="}, over: []any{"", 1}, unsaid: []any{"%%"}},
		{method: "POST", path: hall + "/data", base: map[string]any{"data": "aGk="}, field: "topic", fits: []any{"", x(256)}, over: []any{x(257), 1}},
		{method: "POST", path: hall + "/data", base: map[string]any{"data": "aGk="}, field: "destination_identities", fits: []any{[]any{}, repeat(100, "a")}, over: []any{repeat(101, "a"), 1}},
		{method: "PATCH", path: ann, field: "name", fits: []any{"", x(256)}, over: []any{x(257), 1}},
		{method: "PATCH", path: ann, field: "metadata", fits: []any{"", x(32768)}, over: []any{x(32769), 1}},
		{method: "PATCH", path: ann, field: "attributes", fits: []any{pairs(64)}, over: []any{pairs(65), 1}},
		{method: "PATCH", path: ann, field: "permission.canPublishSources", fits: []any{[]any{"camera"}}, over: []any{repeat(5, "camera"), 1}},
		{method: "POST", path: ann + "/mute", base: muting, field: "track_sid", fits: []any{"x", x(128)}, over: []any{"", x(129), 1}},
		{method: "POST", path: ann + "/mute", base: muting, field: "muted", fits: []any{true}, over: []any{1, "true"}},
		{method: "POST", path: ann + "/move", field: "destination_room", fits: names, over: notNames},
		{method: "POST", path: ann + "/forward", field: "destination_room", fits: names, over: notNames},
	}
	for _, name := range []string{"canPublish", "canSubscribe", "canPublishData", "canUpdateOwnMetadata", "hidden"} {
		all = append(all, bound{method: "PATCH", path: ann, field: "permission." + name, fits: []any{true, false}, over: []any{1, "true"}})
	}
	for i := range all {
		all[i].caller = ada.asOwn
	}
	return all
}

func TestARoomOfAnotherTenantIsAMissingOne(t *testing.T) {
	s := newServer(t)
	ada, eve := s.tenant("ada"), s.tenant("eve")
	s.do(http.MethodPost, "/v1/rooms", map[string]any{"room_name": "daily"}, ada.asOwn).want(http.StatusCreated)
	for _, route := range []struct {
		method, path string
		body         any
	}{
		{"GET", "/v1/rooms/daily", nil}, {"PATCH", "/v1/rooms/daily", map[string]any{"metadata": "x"}}, {"DELETE", "/v1/rooms/daily", nil},
		{"GET", "/v1/rooms/daily/participants", nil}, {"POST", "/v1/rooms/daily/data", map[string]any{"data": "aGk="}},
		{"GET", "/v1/rooms/daily/participants/ann", nil}, {"DELETE", "/v1/rooms/daily/participants/ann", nil},
		{"PATCH", "/v1/rooms/daily/participants/ann", map[string]any{"name": "x"}},
		{"POST", "/v1/rooms/daily/participants/ann/mute", map[string]any{"track_sid": "TR_1", "muted": true}},
		{"POST", "/v1/rooms/daily/participants/ann/move", map[string]any{"destination_room": "b"}},
		{"POST", "/v1/rooms/daily/participants/ann/forward", map[string]any{"destination_room": "b"}},
	} {
		s.do(route.method, route.path, route.body, eve.asOwn).refused(http.StatusNotFound, "not_found")
		foreign := s.do(route.method, route.path+"?project_id="+ada.project, route.body, eve.asPerson).refused(http.StatusNotFound, "not_found")
		missing := s.do(route.method, route.path+"?project_id=prj_01936d6e-1111-7abc-8def-0123456789ab", route.body, eve.asPerson).refused(http.StatusNotFound, "not_found")
		if foreign.problem().Detail != missing.problem().Detail {
			t.Errorf("%s %s: another tenant's project is not like a missing one", route.method, route.path)
		}
	}
	s.do(http.MethodGet, "/v1/rooms?project_id="+ada.project, nil, eve.asPerson).refused(http.StatusNotFound, "not_found")
	s.do(http.MethodGet, "/v1/rooms/daily", nil, ada.asOwn).want(http.StatusOK)
}
