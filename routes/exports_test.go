package routes_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/handlers"
	"pulse-control-plane/models"
)

// slow is the reader of an answer who takes their time after its first bytes, while
// something happens.
type slow struct {
	*httptest.ResponseRecorder
	meanwhile func()
}

func (w *slow) Write(data []byte) (int, error) {
	n, err := w.ResponseRecorder.Write(data)
	if happens := w.meanwhile; happens != nil {
		w.meanwhile = nil
		happens()
		time.Sleep(1100 * time.Millisecond) // exports check once a second
	}
	return n, err
}

// exported reads an export slowly and tells whether it was cut off.
func (s *server) exported(path string, how with, meanwhile func()) (body string, cut bool) {
	s.t.Helper()
	r := httptest.NewRequest(http.MethodGet, path, http.NoBody)
	how(r)
	w := &slow{httptest.NewRecorder(), meanwhile}
	defer func() {
		if p := recover(); p != nil && p != http.ErrAbortHandler {
			panic(p)
		} else if p != nil {
			body, cut = w.Body.String(), true
		}
	}()
	s.handler.ServeHTTP(w, r)
	if w.Code != http.StatusOK {
		s.t.Fatalf("%s: %d %s", path, w.Code, w.Body)
	}
	return w.Body.String(), false
}

func TestAnExportEndsWhenItsCallerMayNoLongerReadIt(t *testing.T) {
	const rows, changes, exportsPerMinute = 300, 20, 100
	begins := func(t *testing.T) (*server, tenant) {
		s := newServer(t, func(o *setup) { o.ipPerMinute = exportsPerMinute })
		ada := s.tenant("ada")
		facts := make([]models.UsageFact, rows)
		for i := range facts {
			facts[i] = models.UsageFact{ID: fmt.Sprint("fact_", i), ProjectID: models.ProjectID(ada.project), Meter: models.MeterAPIRequests,
				Timestamp: s.clock.Now().Add(-time.Hour), Value: 1}
		}
		for i := range changes {
			s.do(http.MethodPatch, "/v1/projects/"+ada.project, map[string]any{"name": fmt.Sprint("name ", i)}, ada.asPerson).want(http.StatusOK)
		}
		// Another owner, so that this one can be demoted.
		invited := read[handlers.Invited](s.do(http.MethodPost, "/v1/organizations/"+ada.org+"/invitations", map[string]any{"email": "bob@example.com", "role": "owner"}, ada.asPerson).want(http.StatusCreated))
		s.do(http.MethodPost, "/v1/invitations/accept", map[string]any{"token": invited.AcceptToken, "name": "Bob", "password": password}).want(http.StatusCreated)
		if err := database.NewUsageMetrics(s.engine).Put(t.Context(), facts); err != nil {
			t.Fatal(err)
		}
		return s, ada
	}
	// Anybody may use up the limit of the address, and a change of the project has its
	// keys looked up again.
	crowded := func(s *server, ada tenant) {
		s.do(http.MethodPatch, "/v1/projects/"+ada.project, map[string]any{"name": "another"}, ada.asPerson).want(http.StatusOK)
		for n := 0; s.do(http.MethodPost, create, nil, asKey("x")).status != http.StatusTooManyRequests; n++ {
			if n > 2*exportsPerMinute {
				s.t.Fatal("the address is not limited")
			}
		}
	}
	nothing := func(*server, tenant) {}
	ended := func(s *server, ada tenant) {
		s.do(http.MethodPost, "/v1/auth/logout", map[string]any{"refresh_token": ada.session.RefreshToken}, ada.asPerson).want(http.StatusNoContent)
	}
	deleted := func(s *server, ada tenant) {
		s.do(http.MethodDelete, "/v1/organizations/"+ada.org, nil, ada.asPerson).want(http.StatusNoContent)
	}
	withdrawn := func(s *server, ada tenant) {
		s.do(http.MethodDelete, "/v1/projects/"+ada.project, nil, ada.asPerson).want(http.StatusNoContent)
	}
	suspended := func(s *server, ada tenant) {
		s.do(http.MethodPost, "/v1/organizations/"+ada.org+"/suspend", nil, asOperator()).want(http.StatusOK)
	}
	demoted := func(s *server, ada tenant) {
		s.do(http.MethodPatch, "/v1/organizations/"+ada.org+"/members/"+ada.user, map[string]any{"role": "viewer"}, ada.asPerson).want(http.StatusOK)
	}
	asKeyOf := func(ada tenant) with { return ada.asOwn }
	byOperator := func(tenant) with { return asOperator() }
	for name, c := range map[string]struct {
		path string
		// by is the caller; nil is the owner.
		by        func(tenant) with
		meanwhile func(*server, tenant)
		cut       bool
	}{
		"facts":                              {"/v1/usage/export?format=jsonl&project_id=", nil, nothing, false},
		"facts, logged out":                  {"/v1/usage/export?format=jsonl&project_id=", nil, ended, true},
		"facts as CSV, logged out":           {"/v1/usage/export?format=csv&project_id=", nil, ended, true},
		"facts with a key, crowded":          {"/v1/usage/export?format=jsonl&project_id=", asKeyOf, crowded, false},
		"facts with a key, the tenant gone":  {"/v1/usage/export?format=jsonl&project_id=", asKeyOf, deleted, true},
		"facts, the project gone":            {"/v1/usage/export?format=jsonl&project_id=", nil, withdrawn, true},
		"facts as CSV, the project gone":     {"/v1/usage/export?format=csv&project_id=", nil, withdrawn, true},
		"facts with a key, the project gone": {"/v1/usage/export?format=jsonl&project_id=", asKeyOf, withdrawn, true},
		"the operator's facts, project gone": {"/v1/usage/export?format=jsonl&project_id=", byOperator, withdrawn, true},
		"the operator's, the tenant gone":    {"/v1/usage/export?format=jsonl&project_id=", byOperator, deleted, true},
		"facts, suspended":                   {"/v1/usage/export?format=jsonl&project_id=", nil, suspended, true},
		"facts with a key, suspended":        {"/v1/usage/export?format=jsonl&project_id=", asKeyOf, suspended, true},
		"the trail, suspended":               {"/v1/audit-logs/export", nil, suspended, true},
		"the trail":                          {"/v1/audit-logs/export", nil, nothing, false},
		"the trail, logged out":              {"/v1/audit-logs/export", nil, ended, true},
		"the trail as CSV, logged out":       {"/v1/audit-logs/export?format=csv", nil, ended, true},
		"the trail, demoted":                 {"/v1/audit-logs/export", nil, demoted, true},
		"facts, which a viewer may read too": {"/v1/usage/export?format=jsonl&project_id=", nil, demoted, false},
	} {
		t.Run(name, func(t *testing.T) {
			s, ada := begins(t)
			path, how := c.path, with(ada.asPerson)
			if strings.HasSuffix(path, "project_id=") {
				path += ada.project
			}
			if c.by != nil {
				how = c.by(ada)
			}
			body, cut := s.exported(path, how, func() { c.meanwhile(s, ada) })
			lines, all := strings.Count(body, "\n"), changes
			if strings.Contains(path, "usage") {
				all = rows
			}
			if cut != c.cut || cut == (lines >= all) {
				t.Errorf("cut off: %v, after %d lines", cut, lines)
			}
		})
	}
}

func TestADownloadEndsWhenWhoAskedForItMayNoLongerReadIt(t *testing.T) {
	s := newServer(t)
	ada := s.tenant("ada")
	for i := range 20 {
		s.do(http.MethodPatch, "/v1/projects/"+ada.project, map[string]any{"name": fmt.Sprint("name ", i)}, ada.asPerson).want(http.StatusOK)
	}
	for _, ends := range []bool{false, true} {
		made := read[handlers.Download](s.do(http.MethodPost, "/v1/downloads", map[string]any{"path": "/v1/audit-logs/export"}, ada.asPerson).want(http.StatusCreated))
		body, cut := s.exported(made.URL, func(*http.Request) {}, func() {
			if ends {
				s.do(http.MethodPost, "/v1/auth/logout", map[string]any{"refresh_token": ada.session.RefreshToken}, ada.asPerson).want(http.StatusNoContent)
			}
		})
		if cut != ends || cut == strings.Contains(body, "trailer") {
			t.Errorf("ended %v: cut off %v after %d lines", ends, cut, strings.Count(body, "\n"))
		}
	}
}
