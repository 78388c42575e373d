package composition_test

import (
	"context"
	"fmt"
	"math"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services"
	"pulse-control-plane/services/tenancy"
	"pulse-control-plane/services/webhooks"
	"pulse-control-plane/utils/secret"
)

// meeting lets something happen before the first write to a collection once it is armed:
// after a change has read, and before it writes.
type meeting struct {
	shared
	collection string
	between    atomic.Pointer[func()]
}

func (m *meeting) meet(collection string) {
	if collection != m.collection {
		return
	}
	if between := m.between.Swap(nil); between != nil {
		(*between)()
	}
}

func (m *meeting) FindOneAndUpdate(ctx context.Context, c string, filter, update bson.D, o database.FindAndUpdateOptions, out any) error {
	m.meet(c)
	return m.shared.FindOneAndUpdate(ctx, c, filter, update, o, out)
}

// trailOf are the successful changes of a target, in their order.
func (w *ownWorld) trailOf(target string) (out []models.AuditEntry) {
	w.t.Helper()
	list, err := database.NewAuditLogs(w.engine).After(w.t.Context(), w.owner.OrgID, database.AuditFilter{Target: target}, 0, math.MaxInt64, 1000)
	if err != nil {
		w.t.Fatal(err)
	}
	for i := range list {
		if list[i].Outcome == models.AuditSuccess {
			out = append(out, list[i])
		}
	}
	return out
}

func fieldsIn(t *testing.T, text string) map[string]any {
	t.Helper()
	var out map[string]any
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// chained checks that each change of a target found what the one before it left, and
// gives what the last one left.
func (w *ownWorld) chained(target string) map[string]any {
	w.t.Helper()
	left := map[string]any{}
	for _, e := range w.trailOf(target) {
		for name, found := range fieldsIn(w.t, e.Before) {
			if name == "storage.credential" { // stands for a secret, which no entry has
				continue
			}
			if value, known := left[name]; known && !reflect.DeepEqual(value, found) {
				w.t.Errorf("%s says that %s was %v; the change before it left %v", e.Action, name, found, value)
			}
		}
		for name, value := range fieldsIn(w.t, e.After) {
			left[name] = value
		}
	}
	return left
}

// met is a change that another one comes between.
type met struct {
	collection string
	// prepare makes what is to be changed: its id, both changes, and what has to hold
	// afterwards, given the error of the first.
	prepare func(w *ownWorld) (target string, first, between func(s *services.Services) error, holds func(err error) error)
}

func metOf() map[string]met {
	type act = func(*services.Services) error
	want := func(ok bool, format string, args ...any) error {
		if ok {
			return nil
		}
		return fmt.Errorf(format, args...)
	}
	update := func(w *ownWorld, id models.ProjectID, c tenancy.ProjectChange) act {
		return func(s *services.Services) error {
			_, err := s.Projects.Update(w.t.Context(), w.owner, id, c)
			return err
		}
	}
	role := func(w *ownWorld, id models.UserID, role models.Role) act {
		return func(s *services.Services) error {
			_, err := s.Members.ChangeRole(w.t.Context(), w.owner, w.owner.OrgID, id, role)
			return err
		}
	}
	of := func(w *ownWorld, id models.UserID) models.Role {
		member, err := w.members.Get(w.t.Context(), w.owner, w.owner.OrgID, id)
		if err != nil {
			w.t.Fatal(err)
		}
		return member.Role
	}
	bucket := func(key, value, prefix string) *tenancy.StorageChange {
		c := &tenancy.StorageChange{To: &models.Storage{Kind: models.StorageS3, Bucket: "recordings", AccessKey: key, Prefix: prefix}}
		if value != "" {
			c.Secret = secret.New(value)
		}
		return c
	}
	return map[string]met{
		"two names": {"projects", func(w *ownWorld) (string, act, act, func(error) error) {
			p := w.project(1)
			return string(p.ID), update(w, p.ID, tenancy.ProjectChange{Name: new("a")}), update(w, p.ID, tenancy.ProjectChange{Name: new("b")}), func(err error) error {
				return want(err == nil && w.stored(p.ID).Name == "a" && w.told("project.updated", `"a"`) == 1, "%v, %q", err, w.stored(p.ID).Name)
			}
		}},
		"back to the name that was read": {"projects", func(w *ownWorld) (string, act, act, func(error) error) {
			p := w.project(1)
			return string(p.ID), update(w, p.ID, tenancy.ProjectChange{Name: &p.Name}), update(w, p.ID, tenancy.ProjectChange{Name: new("b")}), func(err error) error {
				return want(err == nil && w.stored(p.ID).Name == p.Name && w.told("project.updated", `"`+p.Name+`"`) == 1, "%v, %q", err, w.stored(p.ID).Name)
			}
		}},
		"two fields": {"projects", func(w *ownWorld) (string, act, act, func(error) error) {
			p := w.project(1)
			return string(p.ID), update(w, p.ID, tenancy.ProjectChange{Region: new("eu")}), update(w, p.ID, tenancy.ProjectChange{Name: new("b")}), func(err error) error {
				got := w.stored(p.ID)
				return want(err == nil && got.Name == "b" && got.Region == "eu", "%v, %q %q", err, got.Name, got.Region)
			}
		}},
		"a storage that keeps the secret of another account": {"projects", func(w *ownWorld) (string, act, act, func(error) error) {
			p := w.project(1)
			if err := update(w, p.ID, tenancy.ProjectChange{Storage: bucket("one", "secret one", "")})(w.all); err != nil {
				w.t.Fatal(err)
			}
			return string(p.ID), update(w, p.ID, tenancy.ProjectChange{Storage: bucket("one", "", "in")}), update(w, p.ID, tenancy.ProjectChange{Storage: bucket("two", "secret two", "")}),
				func(err error) error {
					got := w.stored(p.ID).Storage
					return want(models.IsKind(err, models.KindInvalid) && got.AccessKey == "two", "%v, account %q", err, got.AccessKey)
				}
		}},
		"recording without the storage": {"projects", func(w *ownWorld) (string, act, act, func(error) error) {
			p := w.project(1)
			if err := update(w, p.ID, tenancy.ProjectChange{Storage: bucket("one", "secret one", "")})(w.all); err != nil {
				w.t.Fatal(err)
			}
			return string(p.ID), update(w, p.ID, tenancy.ProjectChange{Recording: &models.RecordingChange{Enabled: new(true)}}), update(w, p.ID, tenancy.ProjectChange{Storage: &tenancy.StorageChange{}}),
				func(err error) error {
					return want(models.HasCode(err, "storage_not_configured") && !w.stored(p.ID).Recording.Enabled, "%v", err)
				}
		}},
		"a project that is deleted under another name": {"projects", func(w *ownWorld) (string, act, act, func(error) error) {
			p := w.project(1)
			return string(p.ID), func(s *services.Services) error { return s.Projects.Delete(w.t.Context(), w.owner, p.ID) }, update(w, p.ID, tenancy.ProjectChange{Name: new("b")}), func(err error) error {
				return want(err == nil && w.stored(p.ID).IsDeleted && w.told("project.deleted", `"b"`) == 1, "%v", err)
			}
		}},
		"a change of a project that is deleted": {"projects", func(w *ownWorld) (string, act, act, func(error) error) {
			p := w.project(1)
			return string(p.ID), update(w, p.ID, tenancy.ProjectChange{Name: new("a")}), func(s *services.Services) error { return s.Projects.Delete(w.t.Context(), w.owner, p.ID) }, func(err error) error {
				return want(models.IsKind(err, models.KindNotFound) && w.told("project.updated", string(p.ID)) == 0, "%v", err)
			}
		}},
		"two scopes of a key": {"api_keys", func(w *ownWorld) (string, act, act, func(error) error) {
			p := w.project(1)
			k := w.second(p.ID)
			scoped := func(scope models.Scope) act {
				return func(s *services.Services) error {
					_, err := s.Keys.Update(w.t.Context(), w.owner, p.ID, k.ID, tenancy.KeyPairChange{Scopes: &[]models.Scope{scope}})
					return err
				}
			}
			return string(k.ID), scoped(models.ScopeAll), scoped("rooms:read"), func(err error) error {
				got, _ := w.key(p.ID, k.ID)
				return want(err == nil && reflect.DeepEqual(got.Scopes, []models.Scope{models.ScopeAll}) && w.told("key.updated", `["*"]`) == 1, "%v, %v", err, got.Scopes)
			}
		}},
		"a key that is deleted under another name": {"api_keys", func(w *ownWorld) (string, act, act, func(error) error) {
			p := w.project(1)
			k := w.second(p.ID)
			return string(k.ID), func(s *services.Services) error { return s.Keys.Delete(w.t.Context(), w.owner, p.ID, k.ID, true) }, func(s *services.Services) error {
					_, err := s.Keys.Update(w.t.Context(), w.owner, p.ID, k.ID, tenancy.KeyPairChange{Name: new("b")})
					return err
				}, func(err error) error {
					return want(err == nil && w.told("key.deleted", `"b"`) == 1, "%v", err)
				}
		}},
		"the successor of a key that is narrowed": {"api_keys", func(w *ownWorld) (string, act, act, func(error) error) {
			p := w.project(1)
			first, err := database.NewAPIKeys(w.engine).ByKey(w.t.Context(), p.PulseAPIKey)
			if err != nil {
				w.t.Fatal(err)
			}
			return string(p.ID), func(s *services.Services) error {
					_, err := s.Projects.RegenerateKeys(w.t.Context(), w.owner, p.ID, 0)
					return err
				}, func(s *services.Services) error {
					_, err := s.Keys.Update(w.t.Context(), w.owner, p.ID, first.ID, tenancy.KeyPairChange{Scopes: &[]models.Scope{"rooms:read"}})
					return err
				}, func(err error) error {
					next, lookErr := database.NewAPIKeys(w.engine).ByKey(w.t.Context(), w.stored(p.ID).PulseAPIKey)
					return want(err == nil && lookErr == nil && next.ID != first.ID && reflect.DeepEqual(next.Scopes, []models.Scope{"rooms:read"}), "%v %v, %v", err, lookErr, next.Scopes)
				}
		}},
		"two rotations": {"api_keys", func(w *ownWorld) (string, act, act, func(error) error) {
			p := w.project(1)
			rotate := func(s *services.Services) error {
				_, err := s.Projects.RegenerateKeys(w.t.Context(), w.owner, p.ID, 0)
				return err
			}
			return string(p.ID), rotate, rotate, func(err error) error {
				return want(models.HasCode(err, database.ChangedSince) && w.told("key.rotated", "previous_key_id") == 1, "%v", err)
			}
		}},
		"a rotation by the key that another rotation has replaced so far": {"api_keys", func(w *ownWorld) (string, act, act, func(error) error) {
			p, keys := w.project(1), database.NewAPIKeys(w.engine)
			first, err := keys.ByKey(w.t.Context(), p.PulseAPIKey)
			if err != nil {
				w.t.Fatal(err)
			}
			caller := &models.Principal{Kind: models.CallerServerKey, OrgID: p.OrgID, Project: &p, KeyID: first.ID, Scopes: first.Scopes}
			return string(p.ID), func(s *services.Services) error {
					_, err := s.Projects.RegenerateKeys(w.t.Context(), caller, p.ID, time.Hour)
					return err
				}, func(*services.Services) error {
					_, err := keys.Rotate(w.t.Context(), &first, w.clock.Now(), w.clock.Now().Add(time.Hour))
					return err
				}, func(err error) error {
					return want(models.HasCode(err, database.ChangedSince) && w.stored(p.ID).PulseAPIKey == first.Key, "%v", err)
				}
		}},
		"two roles": {"users", func(w *ownWorld) (string, act, act, func(error) error) {
			m := w.member(1).ID
			return string(m), role(w, m, models.RoleDeveloper), role(w, m, models.RoleAdmin), func(err error) error {
				return want(err == nil && of(w, m) == models.RoleDeveloper && w.told("member.role_changed", `"previous_role":"admin"`) == 1, "%v, %s", err, of(w, m))
			}
		}},
		"a role of a member who becomes an owner": {"users", func(w *ownWorld) (string, act, act, func(error) error) {
			m := w.member(1).ID
			return string(m), role(w, m, models.RoleDeveloper), role(w, m, models.RoleOwner), func(err error) error {
				return want(err == nil && of(w, m) == models.RoleDeveloper && w.told("member.role_changed", `"previous_role":"owner"`) == 1, "%v, %s", err, of(w, m))
			}
		}},
		"an owner whose role is changed first": {"users", func(w *ownWorld) (string, act, act, func(error) error) {
			m := w.member(1).ID
			return string(m), role(w, m, models.RoleOwner), role(w, m, models.RoleAdmin), func(err error) error {
				return want(err == nil && of(w, m) == models.RoleOwner && w.told("member.role_changed", `"previous_role":"admin"`) == 1, "%v, %s", err, of(w, m))
			}
		}},
		"a member who is removed with another role": {"users", func(w *ownWorld) (string, act, act, func(error) error) {
			m := w.member(1).ID
			return string(m), func(s *services.Services) error {
					return s.Members.Remove(w.t.Context(), w.owner, tenancy.RemoveInput{OrgID: w.owner.OrgID, UserID: m})
				}, role(w, m, models.RoleAdmin), func(err error) error {
					return want(err == nil && w.userOf(m).IsDeleted && w.told("member.removed", `"role":"admin"`) == 1, "%v", err)
				}
		}},
		"two names of an organization": {"organizations", func(w *ownWorld) (string, act, act, func(error) error) {
			rename := func(name string) act {
				return func(s *services.Services) error {
					_, err := s.Organizations.Update(w.t.Context(), w.owner, w.owner.OrgID, tenancy.OrganizationChange{Name: &name})
					return err
				}
			}
			return string(w.owner.OrgID), rename("a"), rename("b"), func(err error) error {
				org, lookErr := w.organizations.Get(w.t.Context(), w.owner, w.owner.OrgID)
				return want(err == nil && lookErr == nil && org.Name == "a", "%v %v, %q", err, lookErr, org.Name)
			}
		}},
		"an endpoint that Pulse disables while its owner enables it": {"webhook_endpoints", func(w *ownWorld) (string, act, act, func(error) error) {
			p := w.project(1)
			e, _, err := w.all.Endpoints.Create(w.t.Context(), w.owner, webhooks.EndpointInput{Owner: webhooks.Owner{Project: p.ID}, URL: "https://example.com/", Enabled: true})
			if err != nil {
				w.t.Fatal(err)
			}
			return "", func(s *services.Services) error { // what Pulse itself does is no entry of the trail
					_, err := s.Endpoints.Update(w.t.Context(), w.owner, e.ID, webhooks.EndpointChange{Enabled: new(true)})
					return err
				}, func(*services.Services) error {
					_, err := database.NewEndpoints(w.engine).Disable(w.t.Context(), &e, models.EndpointGone, w.clock.Now())
					return err
				}, func(err error) error {
					got, lookErr := database.NewEndpoints(w.engine).Named(w.t.Context(), e.ID)
					return want(err == nil && lookErr == nil && got.Enabled, "%v %v, enabled %t", err, lookErr, got.Enabled)
				}
		}},
	}
}

func TestAChangeThatAnotherComesBetweenIsMadeOfWhatTheOtherLeft(t *testing.T) {
	for name, m := range metOf() {
		t.Run(name, func(t *testing.T) {
			w := &ownWorld{people: newPeople(t)}
			w.org = w.found()
			w.owner = w.actor(w.org.Login)
			target, first, between, holds := m.prepare(w)
			engine := &meeting{shared: shared{w.engine}, collection: m.collection}
			here, there := w.process(engine, nil, "jwt secret of the tests"), w.process(shared{w.engine}, nil, "jwt secret of the tests")
			happened := false
			engine.between.Store(new(func() {
				happened = true
				if err := between(there); err != nil {
					t.Errorf("the change between: %v", err)
				}
			}))
			failed := first(here)
			if !happened {
				t.Fatal("nothing came between")
			}
			for _, s := range []*services.Services{w.all, there, here} {
				if _, err := s.OwnEvents.Pass(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if err := holds(failed); err != nil {
				t.Error(err)
			}
			if target != "" {
				w.chained(target)
			}
		})
	}
}

func TestNoneOfManyConcurrentChangesOfAProjectIsLostOrRefused(t *testing.T) {
	const processes, changes = 3, 12
	w := &ownWorld{people: newPeople(t)}
	w.org = w.found()
	w.owner = w.actor(w.org.Login)
	p := w.project(1)
	var all sync.WaitGroup
	for n := range processes {
		s := w.process(shared{w.engine}, nil, "jwt secret of the tests")
		all.Go(func() {
			for i := range changes {
				c := tenancy.ProjectChange{Name: new(fmt.Sprint(n, "-", i))}
				if i%2 == 1 {
					c = tenancy.ProjectChange{Region: c.Name}
				}
				if _, err := s.Projects.Update(t.Context(), w.owner, p.ID, c); err != nil {
					t.Errorf("process %d, change %d: %v", n, i, err)
				}
			}
			if _, err := s.OwnEvents.Pass(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	left, stored := w.chained(string(p.ID)), w.stored(p.ID)
	if stored.Name != left["name"] || stored.Region != left["region"] {
		t.Errorf("the last changes left %v, %q and %q are stored", left, stored.Name, stored.Region)
	}
	if n := w.told("project.updated", string(p.ID)); n != processes*changes {
		t.Errorf("%d events of %d changes", n, processes*changes)
	}
	if stored.Version != processes*changes {
		t.Errorf("version %d after %d changes", stored.Version, processes*changes)
	}
}
