package routes_test

import (
	"net/http"
	"strings"
	"testing"

	"pulse-control-plane/models"
)

const (
	anyScope = "any scope"
	noKey    = "no key at all"
)

type scopedRoute struct {
	scope models.Scope
	body  any
	// all is true if the caller needs every other scope besides.
	all bool
}

// scopedRoutes says what scope each route asks of a server-grade key, and what
// to send so that nothing else refuses it.
func scopedRoutes() map[string]scopedRoute {
	type row = scopedRoute
	name := map[string]any{"name": "new"}
	return map[string]row{

		"POST /v1/webhooks/endpoints":                               {models.ScopeWebhooksWrite, map[string]any{"url": hook}, false},
		"GET /v1/webhooks/endpoints":                                {models.ScopeWebhooksWrite, nil, false},
		"GET /v1/webhooks/endpoints/{id}":                           {models.ScopeWebhooksWrite, nil, false},
		"PATCH /v1/webhooks/endpoints/{id}":                         {models.ScopeWebhooksWrite, map[string]any{"enabled": true}, false},
		"DELETE /v1/webhooks/endpoints/{id}":                        {models.ScopeWebhooksWrite, nil, false},
		"POST /v1/webhooks/endpoints/{id}/rotate-secret":            {models.ScopeWebhooksWrite, nil, false},
		"POST /v1/webhooks/endpoints/{id}/test":                     {models.ScopeWebhooksWrite, nil, false},
		"POST /v1/webhooks/endpoints/{id}/recover":                  {models.ScopeWebhooksWrite, map[string]any{"since": "2026-01-31T12:00:00Z"}, false},
		"GET /v1/webhooks/deliveries":                               {models.ScopeWebhooksWrite, nil, false},
		"GET /v1/webhooks/deliveries/{id}":                          {models.ScopeWebhooksWrite, nil, false},
		"POST /v1/webhooks/deliveries/{id}/retry":                   {models.ScopeWebhooksWrite, nil, false},
		"POST /v1/events/{id}/resend":                               {models.ScopeWebhooksWrite, nil, false},
		"POST /v1/rooms":                                            {models.ScopeRoomsWrite, map[string]any{"room_name": "hall"}, false},
		"GET /v1/rooms":                                             {models.ScopeRoomsRead, nil, false},
		"GET /v1/rooms/{room}":                                      {models.ScopeRoomsRead, nil, false},
		"PATCH /v1/rooms/{room}":                                    {models.ScopeRoomsWrite, map[string]any{"metadata": "m"}, false},
		"DELETE /v1/rooms/{room}":                                   {models.ScopeRoomsWrite, nil, false},
		"POST /v1/rooms/{room}/data":                                {models.ScopeRoomsWrite, map[string]any{"data": "aGk="}, false},
		"GET /v1/rooms/{room}/participants":                         {models.ScopeRoomsRead, nil, false},
		"GET /v1/rooms/{room}/participants/{identity}":              {models.ScopeRoomsRead, nil, false},
		"PATCH /v1/rooms/{room}/participants/{identity}":            {models.ScopeRoomsWrite, map[string]any{"name": "x"}, false},
		"DELETE /v1/rooms/{room}/participants/{identity}":           {models.ScopeRoomsWrite, nil, false},
		"POST /v1/rooms/{room}/participants/{identity}/mute":        {models.ScopeRoomsWrite, map[string]any{"track_sid": "TR_1", "muted": true}, false},
		"POST /v1/rooms/{room}/participants/{identity}/move":        {models.ScopeRoomsWrite, map[string]any{"destination_room": "hall2"}, false},
		"POST /v1/rooms/{room}/participants/{identity}/forward":     {models.ScopeRoomsWrite, map[string]any{"destination_room": "hall2"}, false},
		"POST /v1/media/egress/start":                               {models.ScopeEgressWrite, map[string]any{"type": "room_composite", "room_name": "hall", "outputs": toRTMP()}, false},
		"POST /v1/media/egress/stop":                                {models.ScopeEgressWrite, map[string]any{"egress_id": "EG_x"}, false},
		"GET /v1/media/egress":                                      {models.ScopeEgressWrite, nil, false},
		"GET /v1/media/egress/{id}":                                 {models.ScopeEgressWrite, nil, false},
		"PATCH /v1/media/egress/{id}":                               {models.ScopeEgressWrite, map[string]any{"layout": "grid"}, false},
		"POST /v1/media/ingress/create":                             {models.ScopeIngressWrite, map[string]any{"input_type": "rtmp", "room_name": "hall", "participant_identity": "obs"}, false},
		"GET /v1/media/ingress":                                     {models.ScopeIngressWrite, nil, false},
		"GET /v1/media/ingress/{id}":                                {models.ScopeIngressWrite, nil, false},
		"PATCH /v1/media/ingress/{id}":                              {models.ScopeIngressWrite, map[string]any{"enabled": false}, false},
		"DELETE /v1/media/ingress/{id}":                             {models.ScopeIngressWrite, nil, false},
		"GET /v1/regions":                                           {anyScope, nil, false},
		"GET /v1/operations":                                        {noKey, nil, false},
		"POST /v1/operations/dead-events/retry":                     {noKey, nil, false},
		"GET /v1/clusters":                                          {noKey, nil, false},
		"GET /v1/status":                                            {anyScope, nil, false},
		"POST /v1/organizations":                                    {anyScope, "{", false}, // takes no credential
		"GET /v1/organizations":                                     {noKey, nil, false},
		"GET /v1/organizations/{id}":                                {noKey, nil, false},
		"PUT /v1/organizations/{id}":                                {noKey, name, false},
		"PATCH /v1/organizations/{id}":                              {noKey, name, false},
		"DELETE /v1/organizations/{id}":                             {noKey, nil, false},
		"POST /v1/auth/login":                                       {anyScope, "{", false}, // takes no credential
		"POST /v1/organizations/{id}/suspend":                       {noKey, nil, false},
		"POST /v1/organizations/{id}/unsuspend":                     {noKey, nil, false},
		"GET /v1/organizations/{id}/members":                        {noKey, nil, false},
		"GET /v1/organizations/{id}/members/{user_id}":              {noKey, nil, false},
		"PATCH /v1/organizations/{id}/members/{user_id}":            {noKey, map[string]any{"role": "admin"}, false},
		"DELETE /v1/organizations/{id}/members/{user_id}":           {noKey, nil, false},
		"POST /v1/organizations/{id}/invitations":                   {noKey, map[string]any{"email": "a@b.co", "role": "admin"}, false},
		"GET /v1/organizations/{id}/invitations":                    {noKey, nil, false},
		"DELETE /v1/organizations/{id}/invitations/{invitation_id}": {noKey, nil, false},
		"POST /v1/auth/logout":                                      {noKey, nil, false},
		"GET /v1/auth/me":                                           {noKey, nil, false},
		"GET /v1/config":                                            {anyScope, nil, false}, // takes no credential
		"GET /v1/downloads/{id}":                                    {anyScope, nil, false}, // takes no credential
		"POST /v1/auth/password/forgot":                             {anyScope, "{", false}, // takes no credential
		"POST /v1/auth/password/reset":                              {anyScope, "{", false}, // takes no credential
		"POST /v1/auth/operator":                                    {anyScope, "{", false}, // takes no credential
		"GET /v1/overview":                                          {noKey, nil, false},
		"POST /v1/downloads":                                        {noKey, map[string]any{"path": "/v1/audit-logs/export"}, false},
		"PATCH /v1/auth/me":                                         {noKey, name, false},
		"GET /v1/auth/sessions":                                     {noKey, nil, false},
		"DELETE /v1/auth/sessions/{id}":                             {noKey, nil, false},
		"POST /v1/auth/password":                                    {noKey, map[string]any{"current_password": "x", "new_password": "y"}, false},
		"GET /v1/auth/permissions":                                  {anyScope, nil, false},
		"POST /v1/auth/refresh":                                     {anyScope, "{", false}, // takes no credential
		"POST /v1/invitations/accept":                               {anyScope, "{", false}, // takes no credential
		"POST /v1/projects":                                         {noKey, name, false},
		"GET /v1/audit-logs":                                        {noKey, nil, false},
		"GET /v1/audit-logs/export":                                 {noKey, nil, false},
		"GET /v1/audit-logs/verify":                                 {noKey, nil, false},
		"GET /v1/projects":                                          {anyScope, nil, false},
		"GET /v1/projects/{id}":                                     {anyScope, nil, false},
		"PUT /v1/projects/{id}":                                     {noKey, name, false},
		"PATCH /v1/projects/{id}":                                   {noKey, name, false},
		"DELETE /v1/projects/{id}":                                  {noKey, nil, false},
		"POST /v1/projects/{id}/regenerate-keys":                    {models.ScopeKeysWrite, nil, true},
		"POST /v1/projects/{id}/storage/check":                      {noKey, nil, false},
		"POST /v1/projects/{id}/keys":                               {models.ScopeKeysWrite, name, true},
		"GET /v1/projects/{id}/keys":                                {models.ScopeKeysWrite, nil, false},
		"GET /v1/projects/{id}/keys/{key_id}":                       {models.ScopeKeysWrite, nil, false},
		"PATCH /v1/projects/{id}/keys/{key_id}":                     {models.ScopeKeysWrite, name, false},
		"DELETE /v1/projects/{id}/keys/{key_id}":                    {models.ScopeKeysWrite, nil, false},
		"POST /v1/tokens/create":                                    {models.ScopeTokensCreate, nil, false},
		"GET /v1/plans":                                             {noKey, nil, false},
		"GET /v1/tokens/revocations":                                {models.ScopeTokensCreate, nil, false},
		"DELETE /v1/tokens/revocations/{id}":                        {models.ScopeTokensCreate, nil, false},
		"POST /v1/tokens/revoke":                                    {models.ScopeTokensCreate, map[string]any{"participant_identity": "x"}, false},
		"GET /v1/usage":                                             {models.ScopeUsageRead, nil, false},
		"GET /v1/events":                                            {models.ScopeUsageRead, nil, false},
		"GET /v1/events/{id}":                                       {models.ScopeUsageRead, nil, false},
		"GET /v1/events/stream":                                     {models.ScopeUsageRead, nil, false},
		"GET /v1/usage/sessions":                                    {models.ScopeUsageRead, nil, false},
		"GET /v1/usage/sessions/{id}":                               {models.ScopeUsageRead, nil, false},
		"GET /v1/usage/explain":                                     {models.ScopeUsageRead, nil, false},
		"GET /v1/usage/quota":                                       {models.ScopeUsageRead, nil, false},
		"GET /v1/usage/export":                                      {models.ScopeUsageRead, nil, false},
		"POST /v1/tokens/validate":                                  {anyScope, map[string]any{"token": "x"}, false},
	}
}

// Two keys of one project, one with the scope a route asks for and one with
// every other scope, behave as the table says on every route.
func TestEveryRouteEnforcesTheScopesOfAKey(t *testing.T) {
	doc, err := document()
	if err != nil {
		t.Fatal(err)
	}
	table := scopedRoutes()
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			route := method + " " + path
			row, known := table[route]
			switch {
			case !strings.HasPrefix(path, "/v1/"), path == "/v1/webhooks/livekit": // the cluster's signature alone opens it
				continue
			case !known:
				t.Errorf("%s has no row", route)
				continue
			}
			t.Run(route, func(t *testing.T) {
				s := newServer(t)
				own := s.tenant("acme")
				var others []models.Scope
				for _, scope := range models.Scopes() {
					if scope != models.ScopeAll && scope != row.scope {
						others = append(others, scope)
					}
				}
				right := []models.Scope{row.scope}
				if row.scope == anyScope || row.scope == noKey {
					right = []models.Scope{models.ScopeRoomsRead}
				}
				holder := s.newKey(own, map[string]any{"scopes": right})
				without := s.newKey(own, map[string]any{"scopes": others})
				// A key that may do no more than either of the two.
				least := s.newKey(own, map[string]any{"scopes": right})
				target := strings.NewReplacer("{id}", own.project, "{key_id}", string(least.Key.ID)).Replace(path)
				if strings.HasPrefix(path, "/v1/organizations/") {
					target = strings.Replace(path, "{id}", own.org, 1)
				}
				if path == "/v1/usage/explain" { // which says what is wrong with a question first
					target += "?meter=room_seconds"
				}
				// allowed holds an answer to what the table says of a key that has
				// what the route asks for.
				allowed := func(caller with) {
					t.Helper()
					switch a := s.do(method, target, row.body, caller); {
					case row.scope == noKey:
						a.refused(http.StatusForbidden, "person_required")
					case a.status == http.StatusForbidden || a.status == http.StatusUnauthorized:
						t.Errorf("refused: %s", a.body)
					}
				}
				if row.scope == anyScope || row.scope == noKey {
					allowed(asPair(without))
				} else {
					s.do(method, target, row.body, asPair(without)).refused(http.StatusForbidden, "insufficient_scope")
				}
				if !row.all {
					allowed(asPair(holder))
					return
				}
				// What is made or replaced there has all scopes, so that its maker
				// must have them.
				s.do(method, target, row.body, asPair(holder)).refused(http.StatusForbidden, "insufficient_scope")
				allowed(own.asOwn)
			})
		}
	}
}
