package composition_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/paging"
	"pulse-control-plane/services/tenancy"
	"pulse-control-plane/utils/secret"
)

func (p *people) invite(by *models.Principal, email string, role models.Role) tenancy.Invited {
	p.t.Helper()
	return must[tenancy.Invited](p.t)(p.invitations.Create(p.t.Context(), by, by.OrgID, tenancy.InvitationInput{Email: email, Role: role}))
}

func (p *people) accept(token secret.Value) (tenancy.SignedUp, error) {
	return p.invitations.Accept(p.t.Context(), tenancy.AcceptInput{Token: token, Name: "Grace", Password: secret.New(ownersPassword)})
}

func TestAcceptingAnInvitationCreatesAMemberWithItsRole(t *testing.T) {
	p := newPeople(t)
	org := p.found()
	invited := p.invite(p.actor(org.Login), " Grace@Example.com ", models.RoleDeveloper)
	in, err := p.accept(invited.Token)
	if err != nil {
		t.Fatal(err)
	}
	if in.User.Email != "grace@example.com" || in.User.Role != models.RoleDeveloper || in.Organization.ID != org.Organization.ID {
		t.Errorf("%+v", in.User)
	}
	if got := p.actor(in.Login); got.Role != models.RoleDeveloper || got.OrgID != org.Organization.ID {
		t.Errorf("%+v", got)
	}
	if _, err := p.login("GRACE@example.com", ownersPassword, anIP); err != nil {
		t.Error(err)
	}
	_, err = p.invitations.Create(t.Context(), p.actor(org.Login), org.Organization.ID,
		tenancy.InvitationInput{Email: "grace@example.com", Role: models.RoleViewer})
	wantCode(t, err, "already_member")
}

func TestConcurrentAcceptancesOfAnInvitationSucceedOnce(t *testing.T) {
	p := newPeople(t)
	invited := p.invite(p.actor(p.found().Login), "grace@example.com", models.RoleViewer)
	errs := make([]error, 16)
	var all sync.WaitGroup
	for i := range errs {
		all.Go(func() { _, errs[i] = p.accept(invited.Token) })
	}
	all.Wait()
	accepted := 0
	for _, err := range errs {
		if err == nil {
			accepted++
		} else {
			wantCode(t, err, "invalid_invitation")
		}
	}
	if accepted != 1 {
		t.Errorf("accepted %d times", accepted)
	}
}

func TestANewInvitationReplacesTheEarlierOneToTheAddress(t *testing.T) {
	p := newPeople(t)
	owner := p.actor(p.found().Login)
	old := p.invite(owner, "grace@example.com", models.RoleViewer)
	other := p.invite(owner, "else@example.com", models.RoleViewer)
	fresh := p.invite(owner, "GRACE@example.com", models.RoleAdmin)
	_, err := p.accept(old.Token)
	wantCode(t, err, "invalid_invitation")
	page, err := p.invitations.List(t.Context(), owner, owner.OrgID, paging.Request{Limit: 10})
	if err != nil || len(page.Items) != 2 || page.Items[0].ID != fresh.Invitation.ID || page.Items[1].ID != other.Invitation.ID {
		t.Errorf("%+v, %v", page.Items, err)
	}
	if in, err := p.accept(fresh.Token); err != nil || in.User.Role != models.RoleAdmin {
		t.Errorf("%s, %v", in.User.Role, err)
	}
}

func TestConcurrentInvitationsOfAnAddressLeaveOneOpen(t *testing.T) {
	p := newPeople(t)
	owner := p.actor(p.found().Login)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			_, err := p.invitations.Create(t.Context(), owner, owner.OrgID, tenancy.InvitationInput{Email: "grace@example.com", Role: models.RoleViewer})
			if err != nil && !models.HasCode(err, "concurrent_change") {
				t.Error(err)
			}
		})
	}
	all.Wait()
	page, err := p.invitations.List(t.Context(), owner, owner.OrgID, paging.Request{Limit: 10})
	if err != nil || len(page.Items) != 1 {
		t.Errorf("%d open, %v", len(page.Items), err)
	}
}

func TestAnInvitationIsValidForSevenDays(t *testing.T) {
	p := newPeople(t)
	owner := p.actor(p.found().Login)
	in, late := p.invite(owner, "in@example.com", models.RoleViewer), p.invite(owner, "late@example.com", models.RoleViewer)
	p.clock.Advance(7*24*time.Hour - time.Second)
	if _, err := p.accept(in.Token); err != nil {
		t.Error(err)
	}
	p.clock.Advance(time.Second)
	_, err := p.accept(late.Token)
	wantCode(t, err, "invalid_invitation")
}

func TestARevokedInvitationIsRefused(t *testing.T) {
	p := newPeople(t)
	owner := p.actor(p.found().Login)
	invited := p.invite(owner, "grace@example.com", models.RoleViewer)
	if err := p.invitations.Revoke(t.Context(), owner, owner.OrgID, invited.Invitation.ID); err != nil {
		t.Fatal(err)
	}
	_, err := p.accept(invited.Token)
	wantCode(t, err, "invalid_invitation")
	if err := p.invitations.Revoke(t.Context(), owner, owner.OrgID, invited.Invitation.ID); !models.IsKind(err, models.KindNotFound) {
		t.Errorf("revoked twice: %v", err)
	}
}

func TestInvitationsOfDeletedAndSuspendedOrganizationsAreRefused(t *testing.T) {
	p := newPeople(t)
	org := p.found()
	owner := p.actor(org.Login)
	invited := p.invite(owner, "grace@example.com", models.RoleViewer)
	if _, err := p.organizations.Suspend(t.Context(), operator(), org.Organization.ID); err != nil {
		t.Fatal(err)
	}
	_, err := p.accept(invited.Token)
	wantCode(t, err, "organization_suspended")
	if err := p.organizations.Delete(t.Context(), operator(), org.Organization.ID); err != nil {
		t.Fatal(err)
	}
	_, err = p.accept(invited.Token)
	wantCode(t, err, "invalid_invitation")
}

func TestAnAddressWithAnAccountCannotAcceptAnInvitation(t *testing.T) {
	p := newPeople(t)
	owner := p.actor(p.found().Login)
	stranger := must[tenancy.SignedUp](t)(p.organizations.SignUp(t.Context(), &models.Principal{}, tenancy.SignUpInput{
		Name: "Other", AdminEmail: "eve@example.com", Password: secret.New(ownersPassword)}))
	invited := p.invite(owner, "eve@example.com", models.RoleViewer)
	_, err := p.accept(invited.Token)
	wantCode(t, err, "email_taken")
	if err := p.organizations.Delete(t.Context(), p.actor(stranger.Login), stranger.Organization.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := p.accept(invited.Token); err != nil {
		t.Errorf("once the address is free: %v", err)
	}
}

func TestOnlyTheHashOfAnAcceptTokenIsStored(t *testing.T) {
	p := newPeople(t)
	invited := p.invite(p.actor(p.found().Login), "grace@example.com", models.RoleViewer)
	seen := 0
	err := p.engine.Find(t.Context(), "invitations", database.Query{Limit: 10}, func(raw bson.Raw) error {
		seen++
		if strings.Contains(raw.String(), invited.Token.Reveal()) {
			t.Error("the token is kept")
		}
		return nil
	})
	if err != nil || seen != 1 {
		t.Errorf("%d invitations, %v", seen, err)
	}
}

func TestOpenInvitationsOfAnOrganizationAreBounded(t *testing.T) {
	p := newPeople(t)
	owner := p.actor(p.found().Login)
	many := make([]any, 0, models.MaxPendingInvitations)
	for i := range models.MaxPendingInvitations {
		id := strings.Repeat("x", i+1)
		many = append(many, &models.Invitation{ID: models.InvitationID(id), OrgID: owner.OrgID, TokenHash: id, PendingKey: id,
			ExpiresAt: p.clock.Now().Add(time.Hour)})
	}
	if _, err := p.engine.InsertMany(t.Context(), "invitations", many); err != nil {
		t.Fatal(err)
	}
	_, err := p.invitations.Create(t.Context(), owner, owner.OrgID, tenancy.InvitationInput{Email: "x@example.com", Role: models.RoleViewer})
	wantCode(t, err, "too_many_invitations")
}

// outbox accepts mails, or refuses them.
type outbox struct {
	mails []tenancy.Mail
	err   error
}

func (o *outbox) Send(_ context.Context, m tenancy.Mail) error {
	if o.err == nil {
		o.mails = append(o.mails, m)
	}
	return o.err
}

func TestTheInviterDoesNotGetTheTokenOfAMailedInvitation(t *testing.T) {
	p := newPeople(t)
	login := p.found().Login
	box := &outbox{}
	p.invitationURL = "https://dashboard.example.com/invitation"
	p.build(box, "jwt secret of the tests")
	invited := p.invite(p.actor(login), "grace@example.com", models.RoleAdmin)
	if !invited.Token.IsZero() || len(box.mails) != 1 || box.mails[0].To != "grace@example.com" {
		t.Fatalf("%+v, %+v", invited, box.mails)
	}
	text := box.mails[0].Text
	_, after, found := strings.Cut(text, "https://dashboard.example.com/invitation#token=")
	if !found || !strings.Contains(text, ownersEmail) || !strings.Contains(text, "Analytical Engines") || !strings.Contains(text, "as admin") {
		t.Fatalf("%s", text)
	}
	token, _, _ := strings.Cut(after, "\n")
	if _, err := p.accept(secret.New(token)); err != nil {
		t.Error(err)
	}
}

func TestAFailedMailCreatesNoInvitationAndKeepsTheEarlierOne(t *testing.T) {
	p := newPeople(t)
	login := p.found().Login
	earlier := p.invite(p.actor(login), "grace@example.com", models.RoleViewer)
	p.build(&outbox{err: models.Unavailable(context.DeadlineExceeded)}, "jwt secret of the tests")
	owner := p.actor(login)
	_, err := p.invitations.Create(t.Context(), owner, owner.OrgID, tenancy.InvitationInput{Email: "grace@example.com", Role: models.RoleAdmin})
	wantCode(t, err, "mail_not_sent")
	if !models.IsKind(err, models.KindUnavailable) {
		t.Errorf("got %v", err)
	}
	if in, err := p.accept(earlier.Token); err != nil || in.User.Role != models.RoleViewer {
		t.Errorf("%s, %v", in.User.Role, err)
	}
}

// between is a database that calls a function just before one write.
type between struct {
	database.Engine
	collection string
	happens    func()
}

func (b *between) now(collection string) {
	if happens := b.happens; happens != nil && collection == b.collection {
		b.happens = nil
		happens()
	}
}

func (b *between) Insert(ctx context.Context, collection string, doc any) error {
	b.now(collection)
	return b.Engine.Insert(ctx, collection, doc)
}

func (b *between) FindOneAndUpdate(ctx context.Context, collection string, filter, update bson.D, o database.FindAndUpdateOptions, out any) error {
	b.now(collection)
	return b.Engine.FindOneAndUpdate(ctx, collection, filter, update, o, out)
}

func TestAnAddressIsReleasedWhenItsOrganizationIsDeletedDuringAcceptance(t *testing.T) {
	for _, collection := range []string{"users", "organizations"} {
		p := newPeople(t)
		b := &between{Engine: p.engine, collection: collection}
		p.engine = b
		p.build(nil, "jwt secret of the tests")
		org := p.found()
		// By the operator, whose rights do not go with the organization.
		invited := must[tenancy.Invited](t)(p.invitations.Create(t.Context(), operator(), org.Organization.ID,
			tenancy.InvitationInput{Email: "grace@example.com", Role: models.RoleViewer}))
		closes := func() {
			if err := p.organizations.Delete(t.Context(), operator(), org.Organization.ID); err != nil {
				t.Error(err)
			}
		}
		if collection == "users" {
			// The organization is deleted between its look-up and the insert.
			b.happens = closes
			_, err := p.accept(invited.Token)
			wantCode(t, err, "invalid_invitation")
		} else {
			// The person accepts while the organization is being deleted.
			b.happens = func() {
				if _, err := p.accept(invited.Token); err != nil {
					t.Error(err)
				}
			}
			closes()
		}
		if _, err := p.organizations.SignUp(t.Context(), &models.Principal{}, tenancy.SignUpInput{
			Name: "Hers", AdminEmail: "grace@example.com", Password: secret.New(ownersPassword)}); err != nil {
			t.Errorf("while %s are written: %v", collection, err)
		}
	}
}
