package composition_test

import (
	"fmt"
	"sync"
	"testing"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/paging"
	"pulse-control-plane/services/tenancy"
	"pulse-control-plane/utils/secret"
)

func TestTheLastOwnerCannotLeaveOrBeDemoted(t *testing.T) {
	p := newPeople(t)
	org := p.found()
	owner := p.actor(org.Login)
	for _, actor := range []*models.Principal{owner, operator()} {
		_, err := p.members.ChangeRole(t.Context(), actor, org.Organization.ID, org.User.ID, models.RoleViewer)
		wantCode(t, err, "last_owner")
		wantCode(t, p.members.Remove(t.Context(), actor, tenancy.RemoveInput{OrgID: org.Organization.ID, UserID: org.User.ID}), "last_owner")
	}
	second := p.add(owner, "grace@example.com", models.RoleOwner)
	if second.User.Role != models.RoleOwner {
		t.Fatalf("invited as %s", second.User.Role)
	}
	if err := p.members.Remove(t.Context(), owner, tenancy.RemoveInput{OrgID: org.Organization.ID, UserID: org.User.ID}); err != nil {
		t.Fatal(err)
	}
	_, err := p.members.ChangeRole(t.Context(), p.actor(second.Login), org.Organization.ID, second.User.ID, models.RoleAdmin)
	wantCode(t, err, "last_owner")
}

func TestAnOrganizationKeepsAnOwnerWhenAllLeaveConcurrently(t *testing.T) {
	p := newPeople(t)
	org := p.found()
	actors, users := []*models.Principal{p.actor(org.Login)}, []models.UserID{org.User.ID}
	for i := range 7 {
		added := p.add(actors[0], fmt.Sprint("owner", i, "@example.com"), models.RoleOwner)
		actors, users = append(actors, p.actor(added.Login)), append(users, added.User.ID)
	}
	var all sync.WaitGroup
	for i := range users {
		all.Go(func() { // half leave, the others demote themselves or another
			if i%2 == 0 {
				_ = p.members.Remove(t.Context(), actors[i], tenancy.RemoveInput{OrgID: org.Organization.ID, UserID: users[i]})
				return
			}
			_, _ = p.members.ChangeRole(t.Context(), actors[i], org.Organization.ID, users[(i+i%4-1)%len(users)], models.RoleDeveloper)
		})
	}
	all.Wait()
	page, err := p.members.List(t.Context(), operator(), org.Organization.ID, paging.Request{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	owners := 0
	for _, member := range page.Items {
		if member.Role == models.RoleOwner {
			owners++
		}
	}
	if owners == 0 || owners == len(users) {
		t.Errorf("%d of %d are owners", owners, len(page.Items))
	}
}

func TestAMemberBeingRemovedCannotBecomeAnOwner(t *testing.T) {
	p := newPeople(t)
	org := p.found()
	owner := p.actor(org.Login)
	member := p.add(owner, "grace@example.com", models.RoleViewer)
	// The state after a process died between the two writes of a removed member.
	found, err := database.NewOrganizations(p.engine).Get(t.Context(), owner.Tenant(), org.Organization.ID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := database.NewOrganizations(p.engine).SetMembers(t.Context(), found.ID, found.MembersVersion, found.OwnerIDs, []models.UserID{member.User.ID}); err != nil {
		t.Fatal(err)
	}
	_, err = p.members.ChangeRole(t.Context(), owner, org.Organization.ID, member.User.ID, models.RoleOwner)
	wantCode(t, err, "member_leaving")
	if err := p.members.Remove(t.Context(), owner, tenancy.RemoveInput{OrgID: org.Organization.ID, UserID: member.User.ID}); err != nil {
		t.Errorf("removing the member can't be completed: %v", err)
	}
	found, err = database.NewOrganizations(p.engine).Get(t.Context(), owner.Tenant(), org.Organization.ID)
	if err != nil || len(found.LeavingIDs) != 0 {
		t.Errorf("%v still leaving, %v", found.LeavingIDs, err)
	}
}

func TestOnlyOwnersGrantAndRevokeTheRoleOwner(t *testing.T) {
	p := newPeople(t)
	org := p.found()
	owner := p.actor(org.Login)
	id := org.Organization.ID
	admin := p.add(owner, "admin@example.com", models.RoleAdmin)
	viewer := p.add(owner, "viewer@example.com", models.RoleViewer)
	asAdmin := p.actor(admin.Login)
	_, err := p.members.ChangeRole(t.Context(), asAdmin, id, viewer.User.ID, models.RoleOwner)
	wantCode(t, err, "insufficient_role")
	_, err = p.members.ChangeRole(t.Context(), asAdmin, id, admin.User.ID, models.RoleOwner)
	wantCode(t, err, "insufficient_role")
	_, err = p.members.ChangeRole(t.Context(), asAdmin, id, org.User.ID, models.RoleViewer)
	wantCode(t, err, "insufficient_role")
	wantCode(t, p.members.Remove(t.Context(), asAdmin, tenancy.RemoveInput{OrgID: id, UserID: org.User.ID}), "insufficient_role")
	_, err = p.invitations.Create(t.Context(), asAdmin, id, tenancy.InvitationInput{Email: "x@example.com", Role: models.RoleOwner})
	wantCode(t, err, "insufficient_role")

	made, err := p.members.ChangeRole(t.Context(), asAdmin, id, viewer.User.ID, models.RoleDeveloper)
	if err != nil || made.Role != models.RoleDeveloper {
		t.Errorf("an admin makes a developer: %s, %v", made.Role, err)
	}
	if made, err = p.members.ChangeRole(t.Context(), owner, id, viewer.User.ID, models.RoleOwner); err != nil || made.Role != models.RoleOwner {
		t.Errorf("an owner makes an owner: %s, %v", made.Role, err)
	}
	if got := p.actor(viewer.Login).Role; got != models.RoleOwner {
		t.Errorf("the new role is %s at once", got)
	}
	if made, err = p.members.ChangeRole(t.Context(), owner, id, viewer.User.ID, models.RoleViewer); err != nil || made.Role != models.RoleViewer {
		t.Errorf("an owner unmakes an owner: %s, %v", made.Role, err)
	}
	if got := p.actor(viewer.Login).Role; got != models.RoleViewer {
		t.Errorf("the old role is %s still", got)
	}
}

func TestAViewerMayLeaveButNotRemoveOthers(t *testing.T) {
	p := newPeople(t)
	org := p.found()
	viewer := p.add(p.actor(org.Login), "viewer@example.com", models.RoleViewer)
	other := p.add(p.actor(org.Login), "other@example.com", models.RoleViewer)
	actor := p.actor(viewer.Login)
	wantCode(t, p.members.Remove(t.Context(), actor, tenancy.RemoveInput{OrgID: org.Organization.ID, UserID: other.User.ID}), "insufficient_role")
	wantCode(t, p.members.Remove(t.Context(), actor,
		tenancy.RemoveInput{OrgID: org.Organization.ID, UserID: viewer.User.ID, RevokeKeys: true}), "insufficient_role")
	if err := p.members.Remove(t.Context(), actor, tenancy.RemoveInput{OrgID: org.Organization.ID, UserID: viewer.User.ID}); err != nil {
		t.Error(err)
	}
}

func TestRemovingAMemberEndsTheirSessionsAndReleasesTheirAddress(t *testing.T) {
	p := newPeople(t)
	org := p.found()
	owner := p.actor(org.Login)
	member := p.add(owner, "grace@example.com", models.RoleDeveloper)
	p.actor(member.Login)
	if err := p.members.Remove(t.Context(), owner, tenancy.RemoveInput{OrgID: org.Organization.ID, UserID: member.User.ID}); err != nil {
		t.Fatal(err)
	}
	_, err := p.sessions.Person(t.Context(), member.Login.AccessToken)
	wantCode(t, err, "invalid_token")
	_, err = p.refresh(member.Login.RefreshToken)
	wantCode(t, err, "invalid_refresh_token")
	_, err = p.login("grace@example.com", ownersPassword, anIP)
	wantCode(t, err, "invalid_credentials")
	if err := p.members.Remove(t.Context(), owner, tenancy.RemoveInput{OrgID: org.Organization.ID, UserID: member.User.ID}); !models.IsKind(err, models.KindNotFound) {
		t.Errorf("removed twice: %v", err)
	}
	p.add(owner, "grace@example.com", models.RoleViewer)
}

func TestRemovingAMemberDeletesTheirKeysOnlyOnRequest(t *testing.T) {
	p := newPeople(t)
	org := p.found()
	owner := p.actor(org.Login)
	create := func(by *models.Principal) tenancy.KeyedProject {
		return must[tenancy.KeyedProject](t)(p.projects.Create(t.Context(), by, tenancy.ProjectInput{Name: "p"}))
	}
	works := func(k tenancy.KeyedProject) bool {
		_, err := p.auth.Server(t.Context(), k.Key, secret.New(k.Secret.Reveal()), anIP)
		return err == nil
	}
	owners := create(owner)
	for _, revoke := range []bool{false, true} {
		member := p.add(owner, fmt.Sprint(revoke, "@example.com"), models.RoleDeveloper)
		theirs := create(p.actor(member.Login))
		if !works(theirs) || !works(owners) {
			t.Fatal("the keys do not work to begin with")
		}
		if err := p.members.Remove(t.Context(), owner, tenancy.RemoveInput{
			OrgID: org.Organization.ID, UserID: member.User.ID, RevokeKeys: revoke}); err != nil {
			t.Fatal(err)
		}
		if works(theirs) == revoke || !works(owners) {
			t.Errorf("revoke %v: theirs work %v, the owner's %v", revoke, works(theirs), works(owners))
		}
	}
}

func TestMembersOfAnotherOrganizationAreNotFound(t *testing.T) {
	p := newPeople(t)
	org := p.found()
	stranger := must[tenancy.SignedUp](t)(p.organizations.SignUp(t.Context(), &models.Principal{}, tenancy.SignUpInput{
		Name: "Other", AdminEmail: "eve@example.com", Password: secret.New(ownersPassword)}))
	eve := p.actor(stranger.Login)
	for what, err := range map[string]error{
		"list": func() error {
			_, err := p.members.List(t.Context(), eve, org.Organization.ID, paging.Request{Limit: 10})
			return err
		}(),
		"get": func() error { _, err := p.members.Get(t.Context(), eve, org.Organization.ID, org.User.ID); return err }(),
		"mixed": func() error {
			_, err := p.members.Get(t.Context(), eve, stranger.Organization.ID, org.User.ID)
			return err
		}(),
		"role": func() error {
			_, err := p.members.ChangeRole(t.Context(), eve, org.Organization.ID, org.User.ID, models.RoleViewer)
			return err
		}(),
		"remove": p.members.Remove(t.Context(), eve, tenancy.RemoveInput{OrgID: org.Organization.ID, UserID: org.User.ID}),
		"invite": func() error {
			_, err := p.invitations.Create(t.Context(), eve, org.Organization.ID, tenancy.InvitationInput{Email: "x@example.com", Role: models.RoleViewer})
			return err
		}(),
		"invitations": func() error {
			_, err := p.invitations.List(t.Context(), eve, org.Organization.ID, paging.Request{Limit: 10})
			return err
		}(),
		"suspend": func() error { _, err := p.organizations.Suspend(t.Context(), operator(), "org_x"); return err }(),
	} {
		if !models.IsKind(err, models.KindNotFound) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
