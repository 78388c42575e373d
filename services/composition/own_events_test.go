package composition_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/database/testkit"
	"pulse-control-plane/models"
	"pulse-control-plane/services"
	"pulse-control-plane/services/events"
	"pulse-control-plane/services/tenancy"
	"pulse-control-plane/services/tokens"
	"pulse-control-plane/utils/intent"
	"pulse-control-plane/utils/secret"
)

// heard is a kind of change that tenants are informed of.
type heard struct {
	// kind is the type of the event; resumes tells that a request with an
	// Idempotency-Key finds what an attempt before it has made.
	kind    string
	resumes bool
	// prepare makes what is to be changed and gives the change, a text that the data
	// of its event alone has, and whether the change was made.
	prepare func(w *ownWorld, n int) (act func(ctx context.Context, s *services.Services) error, mark func() string, made func() bool)
}

// ownWorld is an organization in which things are changed.
type ownWorld struct {
	*people
	org   tenancy.SignedUp
	owner *models.Principal
}

func (w *ownWorld) project(n int) models.Project {
	w.t.Helper()
	out, err := w.projects.Create(w.t.Context(), w.owner, tenancy.ProjectInput{Name: fmt.Sprint("project ", n)})
	if err != nil {
		w.t.Fatal(err)
	}
	return out.Project
}

func (w *ownWorld) stored(id models.ProjectID) models.Project {
	w.t.Helper()
	p, err := database.NewProjects(w.engine).Named(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

func (w *ownWorld) key(project models.ProjectID, id models.KeyID) (models.APIKey, bool) {
	key, err := database.NewAPIKeys(w.engine).Known(w.t.Context(), project, id)
	return key, err == nil
}

func (w *ownWorld) second(project models.ProjectID) models.APIKey {
	w.t.Helper()
	out, err := w.all.Keys.Create(w.t.Context(), w.owner, project, tenancy.KeyPairInput{Name: "second"})
	if err != nil {
		w.t.Fatal(err)
	}
	return out.Key
}

func (w *ownWorld) member(n int) models.User {
	return w.add(w.owner, fmt.Sprintf("member%d@example.com", n), models.RoleViewer).User
}

func (w *ownWorld) userOf(id models.UserID) models.User {
	user, _ := database.NewUsers(w.engine).Known(w.t.Context(), w.org.Organization.ID, id)
	return user
}

// heardOf are all kinds of change that tenants are informed of.
func heardOf() []heard {
	type act = func(context.Context, *services.Services) error
	return []heard{
		{events.ProjectCreated, true, func(w *ownWorld, n int) (act, func() string, func() bool) {
			var id models.ProjectID
			return func(ctx context.Context, s *services.Services) error {
					id = models.ProjectID(intent.ID(ctx, models.ProjectPrefix))
					_, err := s.Projects.Create(ctx, w.owner, tenancy.ProjectInput{Name: fmt.Sprint("made ", n)})
					return err
				}, func() string { return string(id) }, func() bool {
					_, err := database.NewProjects(w.engine).Named(w.t.Context(), id)
					return err == nil
				}
		}},
		{events.ProjectUpdated, false, func(w *ownWorld, n int) (act, func() string, func() bool) {
			p, name := w.project(n), fmt.Sprint("renamed ", n)
			return func(ctx context.Context, s *services.Services) error {
				grants := models.DefaultGrants()
				_, err := s.Projects.Update(ctx, w.owner, p.ID, tenancy.ProjectChange{Name: &name, ClientTokens: models.ClientTokensChange{
					Grants: &grants, AllowedOrigins: &[]string{"https://app.example.com"}, Agents: &[]string{}}})
				return err
			}, func() string { return string(p.ID) }, func() bool { return w.stored(p.ID).Name == name }
		}},
		{events.ProjectDeleted, false, func(w *ownWorld, n int) (act, func() string, func() bool) {
			p := w.project(n)
			return func(ctx context.Context, s *services.Services) error { return s.Projects.Delete(ctx, w.owner, p.ID) },
				func() string { return string(p.ID) }, func() bool { return w.stored(p.ID).IsDeleted }
		}},
		{events.KeyCreated, true, func(w *ownWorld, n int) (act, func() string, func() bool) {
			p, name := w.project(n), fmt.Sprint("key ", n, " of the test")
			return func(ctx context.Context, s *services.Services) error {
					_, err := s.Keys.Create(ctx, w.owner, p.ID, tenancy.KeyPairInput{Name: name})
					return err
				}, func() string { return name }, func() bool {
					list, err := database.NewAPIKeys(w.engine).List(w.t.Context(), w.owner.Tenant(), p.ID, database.Page{Limit: 10})
					return err == nil && len(list) == 2
				}
		}},
		{events.KeyUpdated, false, func(w *ownWorld, n int) (act, func() string, func() bool) {
			p := w.project(n)
			key, end := w.second(p.ID), w.clock.Now().Add(time.Hour+time.Microsecond)
			return func(ctx context.Context, s *services.Services) error {
				_, err := s.Keys.Update(ctx, w.owner, p.ID, key.ID, tenancy.KeyPairChange{ExpiresAt: &end, AllowedIPs: &[]string{"192.0.2.1"}})
				return err
			}, func() string { return string(key.ID) }, func() bool { key, _ := w.key(p.ID, key.ID); return key.ExpiresAt != nil }
		}},
		{events.KeyDeleted, false, func(w *ownWorld, n int) (act, func() string, func() bool) {
			p := w.project(n)
			key := w.second(p.ID)
			return func(ctx context.Context, s *services.Services) error {
					return s.Keys.Delete(ctx, w.owner, p.ID, key.ID, false)
				},
				func() string { return string(key.ID) }, func() bool { key, _ := w.key(p.ID, key.ID); return key.IsDeleted }
		}},
		{events.KeyRotated, true, func(w *ownWorld, n int) (act, func() string, func() bool) {
			p := w.project(n)
			first, err := database.NewAPIKeys(w.engine).ByKey(w.t.Context(), p.PulseAPIKey)
			if err != nil {
				w.t.Fatal(err)
			}
			return func(ctx context.Context, s *services.Services) error {
				_, err := s.Projects.RegenerateKeys(ctx, w.owner, p.ID, time.Hour)
				return err
			}, func() string { return string(first.ID) }, func() bool { return w.stored(p.ID).PulseAPIKey != p.PulseAPIKey }
		}},
		{events.MemberJoined, true, func(w *ownWorld, n int) (act, func() string, func() bool) {
			email := fmt.Sprintf("joins%d@example.com", n)
			invited, err := w.invitations.Create(w.t.Context(), w.owner, w.owner.OrgID, tenancy.InvitationInput{Email: email, Role: models.RoleDeveloper})
			if err != nil {
				w.t.Fatal(err)
			}
			return func(ctx context.Context, s *services.Services) error {
				_, err := s.Invitations.Accept(ctx, tenancy.AcceptInput{Token: invited.Token, Name: "A member", Password: secret.New(ownersPassword)})
				return err
			}, func() string { return email }, func() bool { _, err := database.NewUsers(w.engine).ByEmail(w.t.Context(), email); return err == nil }
		}},
		{events.MemberRoleChanged, false, func(w *ownWorld, n int) (act, func() string, func() bool) {
			member := w.member(n)
			return func(ctx context.Context, s *services.Services) error {
				_, err := s.Members.ChangeRole(ctx, w.owner, w.owner.OrgID, member.ID, models.RoleAdmin)
				return err
			}, func() string { return string(member.ID) }, func() bool { return w.userOf(member.ID).Role == models.RoleAdmin }
		}},
		{events.MemberRemoved, false, func(w *ownWorld, n int) (act, func() string, func() bool) {
			member := w.member(n)
			return func(ctx context.Context, s *services.Services) error {
				return s.Members.Remove(ctx, w.owner, tenancy.RemoveInput{OrgID: w.owner.OrgID, UserID: member.ID, RevokeKeys: true})
			}, func() string { return string(member.ID) }, func() bool { return w.userOf(member.ID).IsDeleted }
		}},
		{events.ProjectDeleted, false, func(w *ownWorld, n int) (act, func() string, func() bool) { // with its organization
			w.org = must[tenancy.SignedUp](w.t)(w.organizations.SignUp(w.t.Context(), &models.Principal{}, tenancy.SignUpInput{
				Name: "To be deleted", AdminEmail: fmt.Sprintf("founder%d@example.com", n), Password: secret.New(ownersPassword)}))
			w.owner = w.actor(w.org.Login)
			p := []models.Project{w.project(1), w.project(2)}[n%2]
			return func(ctx context.Context, s *services.Services) error {
					return s.Organizations.Delete(ctx, w.owner, w.owner.OrgID)
				}, func() string { return string(p.ID) }, func() bool { // another process finishes what the request began
					must[int](w.t)(w.all.Organizations.FinishDeletions(w.t.Context()))
					return w.stored(p.ID).IsDeleted
				}
		}},
		{events.KeyDeleted, false, func(w *ownWorld, n int) (act, func() string, func() bool) { // with the member who created it
			p, admin := w.project(n), w.add(w.owner, fmt.Sprintf("admin%d@example.com", n), models.RoleAdmin)
			var keys []models.APIKey
			for range 2 {
				made := must[tenancy.NewKeyPair](w.t)(w.all.Keys.Create(w.t.Context(), w.actor(admin.Login), p.ID, tenancy.KeyPairInput{Name: "theirs"}))
				keys = append(keys, made.Key)
			}
			key := keys[n%2]
			return func(ctx context.Context, s *services.Services) error {
				return s.Members.Remove(ctx, w.owner, tenancy.RemoveInput{OrgID: w.owner.OrgID, UserID: admin.User.ID, RevokeKeys: true})
			}, func() string { return string(key.ID) }, func() bool { key, _ := w.key(p.ID, key.ID); return key.IsDeleted }
		}},
		{events.TokenRevoked, false, func(w *ownWorld, n int) (act, func() string, func() bool) {
			p, identity := w.project(n), fmt.Sprint("identity-", n, "-")
			return func(ctx context.Context, s *services.Services) error {
					_, err := s.Revocations.Revoke(ctx, w.owner, tokens.RevokeInput{Project: p.ID, Identity: identity, BanSeconds: 60})
					return err
				}, func() string { return identity }, func() bool {
					list, err := database.NewRevocations(w.engine).Named(w.t.Context(), []string{models.RevocationKey(p.ID, "", identity)})
					return err == nil && len(list) == 1
				}
		}},
	}
}

// told counts the events of a type whose data has a text.
func (w *ownWorld) told(kind, mark string) (n int) {
	w.t.Helper()
	list, err := database.NewEvents(w.engine).List(w.t.Context(), database.EventsOf{Org: w.owner.OrgID}, database.EventFilter{Type: kind}, 0, 10_000)
	if err != nil {
		w.t.Fatal(err)
	}
	for i := range list {
		if mark != "" && strings.Contains(list[i].Data, mark) {
			n++
		}
	}
	return n
}

// TestEachChangeHasOneEventWhereverTheProcessDies kills the process at each write of
// each kind of change, before the write and before its answer. The next process tells
// of a change that was made, once, and of none that was not; and of the change when
// the same request is made again.
func TestEachChangeHasOneEventWhereverTheProcessDies(t *testing.T) {
	for _, change := range heardOf() {
		t.Run(change.kind, func(t *testing.T) {
			w := &ownWorld{people: newPeople(t)}
			w.org = w.found()
			w.owner = w.actor(w.org.Login)
			n := 0
			for write, dies := 0, true; dies; write++ {
				for _, late := range []bool{false, true} {
					n++
					dies = w.dies(change, n, late, write)
				}
			}
			if n < 8 {
				t.Errorf("killed %d times only", n-2)
			}
			t.Logf("killed %d times", n-2)
		})
	}
}

// dies makes a change of which the write is fatal, and tells whether there is one.
func (w *ownWorld) dies(change heard, n int, late bool, write int) bool {
	w.t.Helper()
	act, mark, made := change.prepare(w, n)
	if _, err := w.all.OwnEvents.Pass(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	engine := &testkit.Engine{Engine: w.engine, Late: late}
	dying := w.process(engine, nil, "jwt secret of the tests")
	engine.Fatal = engine.Writes.Load() + 1 + int64(write)
	i := intent.Intent{Seed: fmt.Appendf(nil, "%032d", n), At: w.clock.Now()}
	done := act(intent.With(w.t.Context(), i), dying)
	_, passed := dying.OwnEvents.Pass(w.t.Context())
	dead := engine.Writes.Load() >= engine.Fatal
	if done == nil && !made() {
		w.t.Fatalf("write %d: the change is answered and not made", write)
	}
	when := fmt.Sprintf("killed at write %d, answer lost %t (the request: %v, the event: %v)", write, late, done, passed)
	w.clock.Advance(time.Second)
	w.restart(when, change, mark(), made())
	if made() && !change.resumes { // the same request again would be another change
		return dead
	}
	i.Resumed = true
	failed := act(intent.With(w.t.Context(), i), w.all)
	w.clock.Advance(time.Second)
	w.restart(fmt.Sprintf("%s, made again: %v", when, failed), change, mark(), made())
	if failed == nil && !made() {
		w.t.Errorf("%s: made again, it is not made", when)
	}
	return dead
}

// restart is the next process, which sees to what the last one owed.
func (w *ownWorld) restart(when string, change heard, mark string, made bool) {
	w.t.Helper()
	if _, err := w.all.OwnEvents.Pass(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	w.build(nil, "jwt secret of the tests")
	for range 2 {
		if err := w.all.OwnEvents.Sweep(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
	}
	want := 0
	if made {
		want = 1
	}
	if got := w.told(change.kind, mark); got != want {
		w.t.Errorf("%s: made %t, told %d times", when, made, got)
	}
}

// TestAChangeOfAReplicaIsDecidedOnlyOnceItCannotBeUnderWay has a replica die after a
// change and another one before, whose project the next change finds as they left it.
func TestAChangeOfAReplicaIsDecidedOnlyOnceItCannotBeUnderWay(t *testing.T) {
	w := &ownWorld{people: newPeople(t)}
	w.org = w.found()
	w.owner = w.actor(w.org.Login)
	done, undone := w.project(1), w.project(2)
	lives := w.process(shared{w.engine}, nil, "jwt secret of the tests")
	rename := func(s *services.Services, id models.ProjectID, name string) error {
		_, err := s.Projects.Update(t.Context(), w.owner, id, tenancy.ProjectChange{Name: &name})
		return err
	}
	for _, dies := range []struct {
		id    models.ProjectID
		write int64 // 1 is the entry of the trail, 2 the change, 3 its outcome
	}{{done.ID, 3}, {undone.ID, 2}} {
		engine := &testkit.Engine{Engine: shared{w.engine}}
		dying := w.process(engine, nil, "jwt secret of the tests")
		engine.Fatal = engine.Writes.Load() + dies.write
		_ = rename(dying, dies.id, "lost")
	}
	sweep := func() {
		t.Helper()
		if err := lives.OwnEvents.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	mark := `"lost"`
	w.clock.Advance(models.AuditSettled - time.Second)
	sweep()
	if n := w.told(events.ProjectUpdated, mark); n != 0 {
		t.Errorf("told of %d changes that may be under way", n)
	}
	for _, id := range []models.ProjectID{done.ID, undone.ID} { // what they left is overwritten
		if err := rename(lives, id, "later"); err != nil {
			t.Fatal(err)
		}
	}
	w.clock.Advance(2 * time.Second)
	sweep()
	sweep()
	if n := w.told(events.ProjectUpdated, mark); n != 1 {
		t.Errorf("told of %d changes, want that which was made", n)
	}
	if n := w.told(events.ProjectUpdated, string(undone.ID)); n != 0 {
		t.Errorf("told %d times of a change that was not made, or before the process that made it", n)
	}
	if n, err := lives.OwnEvents.Pass(t.Context()); n != 2 || err != nil {
		t.Errorf("%d changes of its own were told, %v", n, err)
	}
}

func TestARevocationThatAnotherOverwroteHasItsEvent(t *testing.T) {
	w := &ownWorld{people: newPeople(t)}
	w.org = w.found()
	w.owner = w.actor(w.org.Login)
	p := w.project(1)
	lives := w.process(shared{w.engine}, nil, "jwt secret of the tests")
	revoke := func(s *services.Services, identity string) error {
		_, err := s.Revocations.Revoke(t.Context(), w.owner, tokens.RevokeInput{Project: p.ID, Identity: identity, BanSeconds: 60})
		return err
	}
	for identity, write := range map[string]int64{"made": 3, "not made": 2} { // 1 is the entry of the trail, 2 the revocation
		engine := &testkit.Engine{Engine: shared{w.engine}}
		dying := w.process(engine, nil, "jwt secret of the tests")
		engine.Fatal = engine.Writes.Load() + write
		if err := revoke(dying, identity); err == nil && identity == "not made" {
			t.Fatal("the revocation was to fail")
		}
		w.clock.Advance(time.Second)
		if err := revoke(lives, identity); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := lives.OwnEvents.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.clock.Advance(models.AuditSettled + time.Second)
	if err := lives.OwnEvents.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	for identity, want := range map[string]int{`"made"`: 2, `"not made"`: 1} {
		if n := w.told(events.TokenRevoked, identity); n != want {
			t.Errorf("told of %d revocations of %s, want %d", n, identity, want)
		}
	}
}
