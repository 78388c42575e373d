package events

import (
	"testing"

	"pulse-control-plane/models"
)

func TestAStreamIsCheckedWhenTheProjectItIsOfChangesForEachKindOfReader(t *testing.T) {
	deleted := models.ProjectChanged("prj_a")
	named := func(p models.ProjectID) StreamQuery { return StreamQuery{Scope: Scope{Project: p}} }
	person := &models.Principal{Kind: models.CallerPerson, OrgID: "org_a", UserID: "usr_a", SessionID: "ses_a"}
	for name, c := range map[string]struct {
		actor *models.Principal
		query StreamQuery
		want  bool
	}{
		"a key's":            {&models.Principal{Kind: models.CallerServerKey, OrgID: "org_a", Project: &models.Project{ID: "prj_a"}}, StreamQuery{}, true},
		"another key's":      {&models.Principal{Kind: models.CallerServerKey, OrgID: "org_a", Project: &models.Project{ID: "prj_b"}}, StreamQuery{}, false},
		"a person's":         {person, named("prj_a"), true},
		"of another project": {person, named("prj_b"), false},
		"the operator's":     {&models.Principal{Kind: models.CallerOperator}, named("prj_a"), true},
	} {
		s := &Stream{actor: c.actor, query: c.query}
		if got := s.concerned(deleted); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
	operators := &Stream{actor: &models.Principal{Kind: models.CallerOperator}, query: named("prj_a")}
	if !operators.concerned(models.OrganizationChanged("org_a")) {
		t.Error("the operator's is not checked when the organization changes")
	}
}
