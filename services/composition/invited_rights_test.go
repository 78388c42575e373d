package composition_test

import (
	"context"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/tenancy"
)

// losing is a way in which a person loses rights.
type losing struct {
	name string
	// lose takes rights from the person, by the owner.
	lose func(p *people, owner *models.Principal, person models.UserID) error
	// left are the roles of invitations that the person could still give out.
	left []models.Role
}

func waysOfLosing() []losing {
	to := func(role models.Role) func(*people, *models.Principal, models.UserID) error {
		return func(p *people, owner *models.Principal, person models.UserID) error {
			_, err := p.members.ChangeRole(p.t.Context(), owner, owner.OrgID, person, role)
			return err
		}
	}
	return []losing{
		{"removed", func(p *people, owner *models.Principal, person models.UserID) error {
			return p.members.Remove(p.t.Context(), owner, tenancy.RemoveInput{OrgID: owner.OrgID, UserID: person})
		}, nil},
		{"demoted to viewer", to(models.RoleViewer), nil},
		{"demoted to developer", to(models.RoleDeveloper), nil},
		{"demoted to admin", to(models.RoleAdmin), []models.Role{models.RoleAdmin, models.RoleDeveloper, models.RoleViewer}},
	}
}

func TestInvitationsEndWithTheRightsOfTheirInviter(t *testing.T) {
	for _, way := range waysOfLosing() {
		t.Run(way.name, func(t *testing.T) {
			p := newPeople(t)
			owner := p.actor(p.found().Login)
			second := p.add(owner, "second@example.com", models.RoleOwner)
			inviter := p.actor(second.Login)
			tokens := map[models.Role]tenancy.Invited{}
			for _, role := range models.Roles() {
				tokens[role] = p.invite(inviter, string(role)+"@example.com", role)
			}
			others := p.invite(owner, "other@example.com", models.RoleOwner)
			if err := way.lose(p, owner, second.User.ID); err != nil {
				t.Fatal(err)
			}
			left := map[models.Role]bool{}
			for _, role := range way.left {
				left[role] = true
			}
			open, err := database.NewInvitations(p.engine).List(t.Context(), owner.OrgID, p.clock.Now(), database.Page{Limit: 10})
			if err != nil || len(open) != len(way.left)+1 {
				t.Errorf("%d are open, want %d and another owner's: %v", len(open), len(way.left), err)
			}
			for role, invited := range tokens {
				if _, err := p.accept(invited.Token); left[role] {
					if err != nil {
						t.Errorf("%s: %v", role, err)
					}
				} else {
					wantCode(t, err, "invalid_invitation")
				}
			}
			if _, err := p.accept(others.Token); err != nil {
				t.Errorf("another owner's: %v", err)
			}
		})
	}
}

// afterClosing lets something happen once, when an invitation has been closed.
type afterClosing struct {
	database.Engine
	happens func()
}

func (a *afterClosing) FindOneAndUpdate(ctx context.Context, collection string, filter, update bson.D, o database.FindAndUpdateOptions, out any) error {
	err := a.Engine.FindOneAndUpdate(ctx, collection, filter, update, o, out)
	if happens := a.happens; happens != nil && collection == "invitations" {
		a.happens = nil
		happens()
	}
	return err
}

// Rights may go before an acceptance closes the invitation, or right after,
// when it is no longer found open.
func TestAcceptanceChecksTheInvitersRightsAtThatMoment(t *testing.T) {
	for _, way := range waysOfLosing() {
		for name, wrap := range map[string]func(database.Engine, func()) database.Engine{
			"before it is closed": func(e database.Engine, happens func()) database.Engine {
				return &between{Engine: e, collection: "invitations", happens: happens}
			},
			"after it is closed": func(e database.Engine, happens func()) database.Engine { return &afterClosing{e, happens} },
		} {
			t.Run(way.name+" "+name, func(t *testing.T) {
				p := newPeople(t)
				owner := p.actor(p.found().Login)
				second := p.add(owner, "second@example.com", models.RoleOwner)
				invited := p.invite(p.actor(second.Login), "grace@example.com", models.RoleOwner)
				engine := p.engine
				p.engine = wrap(engine, func() {
					if err := way.lose(p, owner, second.User.ID); err != nil {
						t.Error(err)
					}
				})
				p.build(nil, "jwt secret of the tests")
				_, err := p.accept(invited.Token)
				wantCode(t, err, "invalid_invitation")
				if _, err := database.NewUsers(engine).ByEmail(t.Context(), "grace@example.com"); !models.IsKind(err, models.KindNotFound) {
					t.Errorf("she came in: %v", err)
				}
			})
		}
	}
}

func TestAnInvitationOfAnEarlierVersionEndsWithItsInvitersRightsToo(t *testing.T) {
	p := newPeople(t)
	owner := p.actor(p.found().Login)
	second := p.add(owner, "second@example.com", models.RoleAdmin)
	invited := p.invite(p.actor(second.Login), "grace@example.com", models.RoleAdmin)
	if err := p.members.Remove(t.Context(), owner, tenancy.RemoveInput{OrgID: owner.OrgID, UserID: second.User.ID}); err != nil {
		t.Fatal(err)
	}
	// As a version left it that revoked nothing.
	if err := database.NewInvitations(p.engine).Reopen(t.Context(), invited.Invitation.ID, invited.Invitation.PendingKey); err != nil {
		t.Fatal(err)
	}
	_, err := p.accept(invited.Token)
	wantCode(t, err, "invalid_invitation")
}

func TestLosingRightsEndsOrNarrowsSessionsAndRefreshTokens(t *testing.T) {
	for _, way := range waysOfLosing() {
		t.Run(way.name, func(t *testing.T) {
			p := newPeople(t)
			owner := p.actor(p.found().Login)
			second := p.add(owner, "second@example.com", models.RoleOwner)
			before := p.actor(second.Login)
			if err := before.May(models.ActionOwnersWrite); err != nil {
				t.Fatal(err)
			}
			if err := way.lose(p, owner, second.User.ID); err != nil {
				t.Fatal(err)
			}
			now, err := p.sessions.Person(t.Context(), second.Login.AccessToken)
			if way.name == "removed" {
				wantCode(t, err, "invalid_token")
				_, err = p.refresh(second.Login.RefreshToken)
				wantCode(t, err, "invalid_refresh_token")
				return
			}
			if err != nil || now.May(models.ActionOwnersWrite) == nil {
				t.Errorf("an owner still: %+v, %v", now, err)
			}
			next, err := p.refresh(second.Login.RefreshToken)
			if err != nil || p.actor(next).May(models.ActionOwnersWrite) == nil {
				t.Errorf("an owner again by a refresh token: %v", err)
			}
		})
	}
}
