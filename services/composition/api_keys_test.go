package composition_test

import (
	"testing"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/database/embedded"
	"pulse-control-plane/database/testkit"
	"pulse-control-plane/models"
	"pulse-control-plane/services/auth"
	"pulse-control-plane/services/lookup"
	"pulse-control-plane/utils/apikey"
	"pulse-control-plane/utils/bus"
	"pulse-control-plane/utils/hashing"
	"pulse-control-plane/utils/ids"
	"pulse-control-plane/utils/ratelimit"
	"pulse-control-plane/utils/secret"
)

// clock stands still until it is set.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func openEngine(t testing.TB, c *clock) database.Engine {
	t.Helper()
	return testkit.Open(t, embedded.Options{Clock: c.Now})
}

// keyWorld is one project with one API key, and processes that authenticate it.
type keyWorld struct {
	t      testing.TB
	clock  *clock
	engine database.Engine
	pair   models.APIKey
	secret secret.Value
	hasher *hashing.Hasher
	// changes are the bus of each process.
	changes map[*auth.Keys]*lookup.Changes
}

func newKeyWorld(t testing.TB, allowed []string, scopes ...models.Scope) *keyWorld {
	t.Helper()
	ctx := t.Context()
	w := &keyWorld{t: t, clock: &clock{time.Date(2026, 1, 31, 12, 0, 0, 0, time.UTC)}}
	w.engine = openEngine(t, w.clock)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	var err error
	w.hasher, err = hashing.NewHasher(secret.New("pepper"), 4)
	must(err)
	org := models.Organization{ID: models.OrganizationID(ids.New(models.OrganizationPrefix)), Name: "acme", AdminEmail: "a@example.com", Plan: models.PlanFree}
	project := models.Project{ID: models.ProjectID(ids.New(models.ProjectPrefix)), OrgID: org.ID, Name: "p", ClientTokens: models.DefaultClientTokens()}
	project.PulseAPIKey, w.secret, err = apikey.Generate()
	must(err)
	hash, err := w.hasher.Hash(ctx, w.secret)
	must(err)
	w.pair = models.APIKey{
		ID: models.KeyID(ids.New(models.KeyPrefix)), Key: project.PulseAPIKey, ProjectID: project.ID, OrgID: org.ID,
		SecretHash: hash.Hash, PepperID: hash.Pepper, Scopes: scopes, AllowedIPs: allowed,
	}
	w.pair.SecretMark = w.hasher.Mark(string(w.pair.ID), hash.Hash, w.secret)
	must(database.NewOrganizations(w.engine).Insert(ctx, &org))
	must(database.NewProjects(w.engine).Insert(ctx, &project))
	must(database.NewAPIKeys(w.engine).Insert(ctx, &w.pair))
	return w
}

// process is another process's Keys over the same database; with exact it is the
// only process.
func (w *keyWorld) process(exact bool) *auth.Keys {
	w.t.Helper()
	return w.processWith(exact, ratelimit.Local{Limiter: ratelimit.New(1000, w.clock.Now)})
}

// processWith is process, which counts guesses as told.
func (w *keyWorld) processWith(exact bool, guesses auth.Guesses) *auth.Keys {
	w.t.Helper()
	keys := database.NewAPIKeys(w.engine)
	verified, err := hashing.NewVerified(1000, w.clock.Now)
	if err != nil {
		w.t.Fatal(err)
	}
	var store lookup.ChangeStore
	if !exact {
		store = database.NewChanges(w.engine)
	}
	changes := lookup.NewChanges(bus.New[models.Change](nil), store, ids.New("proc_"), func() {})
	built, err := auth.NewKeys(auth.KeysConfig{
		APIKeys: keys, Projects: database.NewProjects(w.engine), Organizations: database.NewOrganizations(w.engine),
		Hasher: w.hasher, Verified: verified, Changes: changes, CacheSize: 1000, Guesses: guesses, Exact: exact, Now: w.clock.Now})
	if err != nil {
		w.t.Fatal(err)
	}
	if w.changes == nil {
		w.changes = map[*auth.Keys]*lookup.Changes{}
	}
	w.changes[built] = changes
	return built
}

func TestARevocationReachesAnotherProcessAtItsNextExchange(t *testing.T) {
	w := newKeyWorld(t, nil, models.ScopeAll)
	here, there := w.process(false), w.process(false)
	ask := func(a *auth.Keys) error {
		_, err := a.Server(t.Context(), w.pair.Key, w.secret, "203.0.113.1")
		return err
	}
	exchange := func(a *auth.Keys) {
		t.Helper()
		if err := w.changes[a].Exchange(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for _, a := range []*auth.Keys{here, there} {
		exchange(a)
		if err := ask(a); err != nil {
			t.Fatal(err)
		}
	}
	if err := database.NewAPIKeys(w.engine).Remove(t.Context(), models.TenantOf(w.pair.OrgID), &w.pair); err != nil {
		t.Fatal(err)
	}
	w.changes[here].Publish(models.KeyChanged(w.pair.ID, w.pair.Key))
	if err := ask(here); !models.HasCode(err, "invalid_api_key") {
		t.Errorf("where it was revoked: %v", err)
	}
	exchange(here)
	exchange(there)
	if err := ask(there); !models.HasCode(err, "invalid_api_key") {
		t.Errorf("elsewhere: %v", err)
	}
}

// BenchmarkAuthenticateKey authenticates a key and its secret and checks that it may
// mint a token: for a key without limits and for one with scopes and networks.
func BenchmarkAuthenticateKey(b *testing.B) {
	for name, w := range map[string]*keyWorld{
		"plain":   newKeyWorld(b, nil, models.ScopeAll),
		"limited": newKeyWorld(b, []string{"10.0.0.0/8", "2001:db8::/32", "203.0.113.0/24"}, models.ScopeRoomsRead, models.ScopeTokensCreate),
	} {
		b.Run(name, func(b *testing.B) {
			auth := w.process(true)
			for b.Loop() {
				p, err := auth.Server(b.Context(), w.pair.Key, w.secret, "203.0.113.9")
				if err != nil {
					b.Fatal(err)
				}
				if err := p.May(models.ActionTokensCreate); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
