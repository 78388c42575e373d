package routes_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gin-gonic/gin"

	"pulse-control-plane/handlers/request"
	"pulse-control-plane/routes"
)

// route is a route of /v1 with a path that names a tenant's own objects.
type route struct{ method, pattern, path string }

// routesOf lists the router's routes of /v1, except the webhook, whose URL is
// configured in LiveKit.
func routesOf(s *server, own tenant) []route {
	var out []route
	for _, r := range s.handler.(*gin.Engine).Routes() {
		if !strings.HasPrefix(r.Path, "/v1/") || r.Method == http.MethodHead || r.Path == "/v1/webhooks/livekit" {
			continue
		}
		id := own.org
		if strings.HasPrefix(r.Path, "/v1/projects") {
			id = own.project
		}
		path := strings.NewReplacer(":id", id, ":user_id", own.user, ":key_id", "key_x", ":invitation_id", "inv_x").Replace(
			strings.ReplaceAll(r.Path, "/:id", "/"+id))
		out = append(out, route{r.Method, r.Path, path})
	}
	return out
}

// allowed gives a route's response to the first kind of caller it accepts.
func (s *server) allowed(r route, query string, own tenant) *answer {
	s.t.Helper()
	var a *answer
	for _, caller := range []with{asOperator(), own.asPerson, own.asOwn, own.asKey} {
		a = s.do(r.method, r.path+query, nil, caller)
		if a.status != http.StatusUnauthorized && a.status != http.StatusForbidden {
			break
		}
	}
	return a
}

func TestTheParametersOfRoutesAreThoseOfTheDocument(t *testing.T) {
	doc, err := document()
	if err != nil {
		t.Fatal(err)
	}
	described := request.Parameters{}
	for path, item := range doc.Paths.Map() {
		for method, o := range item.Operations() {
			if !strings.HasPrefix(path, "/v1/") {
				continue
			}
			at := request.Route{Method: method, Pattern: strings.NewReplacer("{", ":", "}", "").Replace(path)}
			for _, p := range append(slices.Clone(item.Parameters), o.Parameters...) {
				if p.Value.In == "query" {
					described[at] = append(described[at], p.Value.Name)
				}
			}
		}
	}
	served := routes.Parameters()
	for at, names := range described {
		if got := slices.Sorted(slices.Values(served[at])); !slices.Equal(got, slices.Sorted(slices.Values(names))) {
			t.Errorf("%v takes %q, the document says %q", at, got, names)
		}
	}
	for at := range served {
		if described[at] == nil {
			t.Errorf("the document has no parameters for %v", at)
		}
	}
}

func TestEveryRouteRefusesAnUnknownQueryParameterByName(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	for _, r := range routesOf(s, ada) {
		t.Run(r.method+" "+r.pattern, func(t *testing.T) {
			s.in(t).allowed(r, "?start_time=x&no.such[]=1", ada).refused(http.StatusBadRequest, "invalid_request", "query.no.such[]", "query.start_time")
		})
	}
}

func TestEveryRouteRefusesAQueryThatDoesNotParse(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	for _, r := range routesOf(s, ada) {
		t.Run(r.method+" "+r.pattern, func(t *testing.T) {
			for _, query := range []string{"?start=a;end=b", "?a=%zz", "?%", "?start=2026-01-31T12:00:00Z;"} {
				s.in(t).allowed(r, query, ada).refused(http.StatusBadRequest, "invalid_request", "query")
			}
		})
	}
	detail := s.do(http.MethodGet, "/v1/usage?start=a;end=b", nil, ada.asOwn).problem().Errors[0].Message
	if !strings.Contains(detail, "%3B") {
		t.Errorf("%q does not say how to write a semicolon", detail)
	}
}

func TestEveryRouteRefusesARepeatedQueryParameter(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	eachRouteWithParameters(t, s, ada, func(t *testing.T, r route, names []string) {
		for _, name := range names {
			s.in(t).allowed(r, "?"+name+"=1&"+name+"=1", ada).refused(http.StatusBadRequest, "invalid_request", "query."+name)
		}
	})
}

// eachRouteWithParameters runs a test of each route that has query parameters, with
// their names.
func eachRouteWithParameters(t *testing.T, s *server, ada tenant, test func(*testing.T, route, []string)) {
	t.Helper()
	for at, names := range routes.Parameters() {
		for _, r := range routesOf(s, ada) {
			if (request.Route{Method: r.method, Pattern: r.pattern}) == at {
				t.Run(r.method+" "+r.pattern, func(t *testing.T) { test(t, r, names) })
			}
		}
	}
}

func TestAnEmptyTimeOrChoiceIsRefusedRatherThanDefaulted(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	eachRouteWithParameters(t, s, ada, func(t *testing.T, r route, names []string) {
		for _, name := range names {
			switch name {
			case "start", "end", "window", "group_by", "open", "subject", "status", "plan", "format", "of", "force", "revoke_keys", "limit":
				query := "?" + name + "="
				if slices.Contains(names, "meter") {
					query += "&meter=room_seconds"
				}
				s.in(t).allowed(r, query, ada).refused(http.StatusBadRequest, "invalid_request", "query."+name)
			}
		}
	})
}

func TestErrorsOfTimesExplainHowToEncodeAPlus(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	for at, names := range routes.Parameters() {
		for _, name := range []string{"start", "end"} {
			if !slices.Contains(names, name) {
				continue
			}
			for _, r := range routesOf(s, ada) {
				if (request.Route{Method: r.method, Pattern: r.pattern}) != at {
					continue
				}
				caller := ada.asOwn
				if strings.HasPrefix(r.path, "/v1/audit-logs") {
					caller = ada.asPerson
				}
				query := func(value string) string { return r.path + "?meter=room_seconds&" + name + "=" + value }
				if !slices.Contains(names, "meter") {
					query = func(value string) string { return r.path + "?" + name + "=" + value }
				}
				a := s.do(r.method, query("2026-01-31T12:00:00+01:00"), nil, caller).refused(http.StatusBadRequest, "invalid_request", "query."+name)
				if !strings.Contains(a.problem().Errors[0].Message, "%2B") {
					t.Errorf("%s %s: %s", r.path, name, a.body)
				}
				if a := s.do(r.method, query("2026-01-31T12:00:00%2B01:00"), nil, caller); a.status == http.StatusBadRequest && strings.Contains(string(a.body), "%2B") {
					t.Errorf("%s %s: %s", r.path, name, a.body)
				}
			}
		}
	}
}
