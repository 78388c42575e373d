package tenancy

import (
	"testing"

	"pulse-control-plane/database"
	"pulse-control-plane/database/testkit"
	"pulse-control-plane/models"
)

func TestConcurrentOwnerChangesDoNotOverwriteEachOther(t *testing.T) {
	orgs := database.NewOrganizations(testkit.NewEngine(t))
	org := models.Organization{ID: "org_1", AdminEmail: "ada@example.com", OwnerIDs: []models.UserID{"usr_ada"}}
	if err := orgs.Insert(t.Context(), &org); err != nil {
		t.Fatal(err)
	}
	members := &Members{MembersConfig{Organizations: orgs}}
	stale := testkit.Must[models.Organization](t)(orgs.Get(t.Context(), models.TenantOf(org.ID), org.ID))
	fresh := stale
	if err := members.addOwner(t.Context(), &fresh, "usr_grace"); err != nil {
		t.Fatal(err)
	}
	testkit.WantCode(t, members.setMembers(t.Context(), &stale, nil, nil), database.ChangedSince)
}
