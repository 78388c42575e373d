package routes

import (
	"net/http"
	"slices"

	"pulse-control-plane/handlers/request"
)

// Parameters are the query parameters of every route that takes any; a test
// compares them with the OpenAPI document.
func Parameters() request.Parameters {
	const get, post, remove = http.MethodGet, http.MethodPost, http.MethodDelete
	page := []string{"limit", "cursor"}
	with := func(names ...string) []string { return slices.Concat(page, names) }
	span := []string{"project_id", "start", "end"}
	trail := []string{"org_id", "actor", "action", "target", "start", "end"}
	named := []string{"project_id"}
	room, participant := "/v1/rooms/:room", "/v1/rooms/:room/participants/:identity"
	owner := []string{"project_id", "org_id"}
	return request.Parameters{
		{Method: post, Pattern: "/v1/webhooks/endpoints"}:                   owner,
		{Method: get, Pattern: "/v1/webhooks/endpoints"}:                    with(owner...),
		{Method: get, Pattern: "/v1/webhooks/deliveries"}:                   with("project_id", "org_id", "endpoint_id", "status"),
		{Method: post, Pattern: "/v1/rooms"}:                                named,
		{Method: get, Pattern: "/v1/rooms"}:                                 with("project_id"),
		{Method: get, Pattern: room}:                                        named,
		{Method: http.MethodPatch, Pattern: room}:                           named,
		{Method: remove, Pattern: room}:                                     named,
		{Method: post, Pattern: room + "/data"}:                             named,
		{Method: get, Pattern: room + "/participants"}:                      named,
		{Method: get, Pattern: participant}:                                 named,
		{Method: http.MethodPatch, Pattern: participant}:                    named,
		{Method: remove, Pattern: participant}:                              named,
		{Method: post, Pattern: participant + "/mute"}:                      named,
		{Method: post, Pattern: participant + "/move"}:                      named,
		{Method: post, Pattern: participant + "/forward"}:                   named,
		{Method: post, Pattern: "/v1/media/egress/start"}:                   named,
		{Method: post, Pattern: "/v1/media/egress/stop"}:                    named,
		{Method: get, Pattern: "/v1/media/egress"}:                          with("project_id", "status", "room_name"),
		{Method: get, Pattern: "/v1/media/egress/:id"}:                      named,
		{Method: http.MethodPatch, Pattern: "/v1/media/egress/:id"}:         named,
		{Method: post, Pattern: "/v1/media/ingress/create"}:                 named,
		{Method: get, Pattern: "/v1/media/ingress"}:                         with("project_id", "status", "room_name"),
		{Method: get, Pattern: "/v1/media/ingress/:id"}:                     named,
		{Method: http.MethodPatch, Pattern: "/v1/media/ingress/:id"}:        named,
		{Method: http.MethodDelete, Pattern: "/v1/media/ingress/:id"}:       named,
		{Method: get, Pattern: "/v1/organizations"}:                         with("q", "plan"),
		{Method: get, Pattern: "/v1/organizations/:id/members"}:             page,
		{Method: remove, Pattern: "/v1/organizations/:id/members/:user_id"}: {"revoke_keys"},
		{Method: get, Pattern: "/v1/organizations/:id/invitations"}:         page,
		{Method: get, Pattern: "/v1/projects"}:                              with("q", "org_id"),
		{Method: get, Pattern: "/v1/projects/:id/keys"}:                     page,
		{Method: remove, Pattern: "/v1/projects/:id/keys/:key_id"}:          {"force"},
		{Method: get, Pattern: "/v1/audit-logs"}:                            with(trail...),
		{Method: get, Pattern: "/v1/audit-logs/export"}:                     append(trail, "format"),
		{Method: get, Pattern: "/v1/audit-logs/verify"}:                     {"org_id"},
		{Method: get, Pattern: "/v1/events"}:                                with("project_id", "org_id", "type", "start", "end"),
		{Method: get, Pattern: "/v1/events/:id"}:                            named,
		{Method: get, Pattern: "/v1/events/stream"}:                         {"project_id", "org_id", "type"},
		{Method: get, Pattern: "/v1/usage"}:                                 append(span, "window", "org_id", "group_by"),
		{Method: get, Pattern: "/v1/overview"}:                              {"org_id"},
		{Method: get, Pattern: "/v1/auth/sessions"}:                         page,
		{Method: get, Pattern: "/v1/downloads/:id"}:                         {"key"},
		{Method: get, Pattern: "/v1/usage/sessions"}:                        with("project_id", "room_name", "participant_identity", "subject", "kind", "room_sid", "open", "start", "end"),
		{Method: get, Pattern: "/v1/usage/sessions/:id"}:                    {"project_id"},
		{Method: get, Pattern: "/v1/usage/explain"}:                         with("project_id", "start", "end", "meter"),
		{Method: post, Pattern: "/v1/tokens/create"}:                        {"project_id"},
		{Method: post, Pattern: "/v1/tokens/validate"}:                      {"project_id"},
		{Method: post, Pattern: "/v1/tokens/revoke"}:                        {"project_id"},
		{Method: get, Pattern: "/v1/tokens/revocations"}:                    with("project_id"),
		{Method: remove, Pattern: "/v1/tokens/revocations/:id"}:             {"project_id"},
		{Method: get, Pattern: "/v1/usage/quota"}:                           {"project_id"},
		{Method: get, Pattern: "/v1/usage/export"}:                          append(span, "format", "of"),
	}
}
