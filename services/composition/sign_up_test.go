package composition_test

import (
	"context"
	"fmt"
	"testing"

	"pulse-control-plane/models"
	"pulse-control-plane/services/tenancy"
	"pulse-control-plane/utils/intent"
	"pulse-control-plane/utils/secret"
)

func TestARepeatedSignUpOfAnOwnerWhoLeftKeepsTheOrganizationOfTheOthers(t *testing.T) {
	p := newPeople(t)
	i := intent.Intent{Seed: fmt.Appendf(nil, "%032d", 1), At: p.clock.Now()}
	signUp := func(ctx context.Context) (tenancy.SignedUp, error) {
		return p.organizations.SignUp(ctx, &models.Principal{}, tenancy.SignUpInput{
			Name: "Analytical Engines", AdminEmail: ownersEmail, Password: secret.New(ownersPassword)})
	}
	ada := must[tenancy.SignedUp](t)(signUp(intent.With(t.Context(), i)))
	owner := p.actor(ada.Login)
	grace := p.add(owner, "grace@example.com", models.RoleAdmin)
	if _, err := p.members.ChangeRole(t.Context(), owner, owner.OrgID, grace.User.ID, models.RoleOwner); err != nil {
		t.Fatal(err)
	}
	if err := p.members.Remove(t.Context(), owner, tenancy.RemoveInput{OrgID: owner.OrgID, UserID: ada.User.ID}); err != nil {
		t.Fatal(err)
	}
	i.Resumed = true
	_, err := signUp(intent.With(t.Context(), i))
	wantCode(t, err, "email_taken")
	if _, err := p.organizations.Get(t.Context(), operator(), owner.OrgID); err != nil {
		t.Errorf("the organization of those who stay is gone: %v", err)
	}
}
