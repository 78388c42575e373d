package routes_test

import (
	"fmt"
	"net/http"
	"slices"
	"testing"

	"pulse-control-plane/handlers"
)

// pages walks a list to its end and gives the ids in order.
func (s *server) pages(path string, caller with) (ids []string, sizes []int) {
	s.t.Helper()
	next := ""
	for {
		type item struct {
			ID string `json:"id"`
		}
		page := read[handlers.List[item]](s.do(http.MethodGet, path+"&cursor="+next, nil, caller).want(http.StatusOK))
		for _, i := range page.Items {
			ids = append(ids, i.ID)
		}
		sizes = append(sizes, len(page.Items))
		if page.HasMore != (page.NextCursor != nil) {
			s.t.Fatalf("%s: has_more is %v and next_cursor %v", path, page.HasMore, page.NextCursor)
		}
		if !page.HasMore || len(sizes) > 50 {
			return ids, sizes
		}
		next = *page.NextCursor
	}
}

func TestAListIsReadPageByPageNewestFirst(t *testing.T) {
	s := newServer(t)
	ada, eve := s.signUp("ada"), s.signUp("eve")
	var made []string
	for i := range 25 {
		made = append(made, string(s.newProject(ada, fmt.Sprintf("project %d", i)).Project.ID))
		s.newProject(eve, "project of eve")
	}
	slices.Reverse(made)
	for limit, want := range map[string][]int{"limit=10": {10, 10, 5}, "limit=25": {25}, "limit=24": {24, 1}, "limit=5": {5, 5, 5, 5, 5}, "": {20, 5}, "limit=100": {25}} {
		ids, sizes := s.pages("/v1/projects?"+limit, ada.asPerson)
		if !slices.Equal(ids, made) || !slices.Equal(sizes, want) {
			t.Errorf("%q: pages of %v, want %v; in order: %v", limit, sizes, want, slices.Equal(ids, made))
		}
	}
	if ids, _ := s.pages("/v1/projects?limit=7&org_id="+ada.org, asOperator()); !slices.Equal(ids, made) {
		t.Errorf("the operator reads %v", ids)
	}
	if ids, _ := s.pages("/v1/projects?limit=7", asOperator()); len(ids) != 50 {
		t.Errorf("the operator reads %d in all", len(ids))
	}
	if ids, sizes := s.pages("/v1/organizations?limit=1", asOperator()); !slices.Equal(ids, []string{eve.org, ada.org}) || len(sizes) != 2 {
		t.Errorf("organizations %v in pages of %v", ids, sizes)
	}
	if ids, _ := s.pages("/v1/projects?q=project+2", ada.asPerson); len(ids) != 6 { // 2, 20 … 24
		t.Errorf("a prefix finds %d", len(ids))
	}
}

func TestAListDoesNotSkipOrRepeatWhileItGrows(t *testing.T) {
	s := newServer(t)
	ada := s.signUp("ada")
	for range 4 {
		s.newProject(ada, "before")
	}
	first := read[handlers.List[handlers.Project]](s.do(http.MethodGet, "/v1/projects?limit=2", nil, ada.asPerson).want(http.StatusOK))
	s.newProject(ada, "in between")
	s.do(http.MethodDelete, "/v1/projects/"+string(first.Items[1].ID), nil, ada.asPerson).want(http.StatusNoContent)
	second := read[handlers.List[handlers.Project]](s.do(http.MethodGet, "/v1/projects?limit=2&cursor="+*first.NextCursor, nil, ada.asPerson).want(http.StatusOK))
	if len(second.Items) != 2 || second.HasMore || second.Items[0].ID >= first.Items[1].ID || second.Items[0].Name != "before" {
		t.Errorf("then %+v", second)
	}
}

func TestACursorIsGoodForItsListAndTenantOnly(t *testing.T) {
	s := newServer(t)
	ada, eve := s.tenant("ada"), s.tenant("eve")
	for range 3 {
		s.newProject(ada, "x")
		s.newProject(eve, "x")
	}
	cursor := func(path string, caller with) string {
		return *read[handlers.List[any]](s.do(http.MethodGet, path, nil, caller).want(http.StatusOK)).NextCursor
	}
	adas := cursor("/v1/projects?limit=1", ada.asPerson)
	refused := func(path string, caller with) {
		t.Helper()
		s.do(http.MethodGet, path, nil, caller).refused(http.StatusBadRequest, "invalid_request", "query.cursor")
	}
	refused("/v1/projects?cursor="+adas, eve.asPerson)
	refused("/v1/projects?cursor="+adas, ada.asOwn)
	refused("/v1/projects?cursor="+adas, asOperator())
	refused("/v1/organizations?cursor="+adas, ada.asPerson)
	refused("/v1/projects?org_id="+ada.org+"&cursor="+adas, ada.asPerson)
	refused("/v1/projects?cursor="+cursor("/v1/organizations?limit=1", asOperator()), asOperator())
	for i := range adas {
		for _, c := range []byte{'A', 'z', '%', '='} {
			if altered := []byte(adas); altered[i] != c {
				altered[i] = c
				text := string(altered)
				if c == '%' {
					text = adas[:i] + "%25" + adas[i+1:]
				}
				refused("/v1/projects?cursor="+text, ada.asPerson)
			}
		}
		if i > 0 {
			refused("/v1/projects?cursor="+adas[:i], ada.asPerson)
		}
	}
	refused("/v1/projects?cursor="+adas+"A", ada.asPerson)
	s.do(http.MethodGet, "/v1/projects?cursor="+adas, nil, ada.asPerson).want(http.StatusOK)
}
