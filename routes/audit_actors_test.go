package routes_test

import (
	"net/http"
	"testing"

	"pulse-control-plane/handlers"
)

func TestActorsInTheAuditTrailCarryTheirNames(t *testing.T) {
	s := newServer(t)
	own, other := s.tenant("acme"), s.tenant("other")
	s.do(http.MethodPatch, "/v1/auth/me", map[string]any{"name": "Ann Example"}, own.asPerson).want(200)
	s.do(http.MethodPatch, "/v1/projects/"+own.project, map[string]any{"name": "after"}, own.asPerson).want(200)
	s.do(http.MethodPost, "/v1/projects/"+own.project+"/regenerate-keys", nil, own.asOwn).want(200)
	s.do(http.MethodPost, "/v1/organizations/"+own.org+"/suspend", nil, asOperator()).want(200)
	names := func(org string) map[string]string {
		out := map[string]string{}
		for _, e := range read[handlers.List[handlers.AuditEntry]](s.do(http.MethodGet, "/v1/audit-logs?limit=100&org_id="+org, nil, asOperator()).want(200)).Items {
			if e.Actor.ID == "" && e.Actor.Name != nil {
				t.Errorf("%s of %s has the name %s", e.Action, e.Actor.Kind, *e.Actor.Name)
			}
			if e.Actor.Name != nil {
				out[e.Action] = e.Actor.Kind + " " + *e.Actor.Name
			}
		}
		return out
	}
	got := names(own.org)
	if got["project.updated"] != "person Ann Example" || got["key.rotated"] != "server_key default" {
		t.Errorf("names %v", got)
	}
	for action, name := range names(other.org) {
		if name == "person Ann Example" {
			t.Errorf("%s of another organization has the name %s", action, name)
		}
	}
}
