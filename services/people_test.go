package services

import (
	"context"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"pulse-control-plane/database"
	"pulse-control-plane/database/embedded"
	"pulse-control-plane/models"
	"pulse-control-plane/utils/cursor"
	"pulse-control-plane/utils/hashing"
	"pulse-control-plane/utils/secret"
)

const (
	ownersEmail    = "ada@example.com"
	ownersPassword = "a password of the tests"
	anIP           = "203.0.113.7"
)

// people is everything people touch, over an embedded database of the test's.
type people struct {
	t             *testing.T
	engine        database.Engine
	clock         *testClock
	trail         *Trail
	sessions      *Sessions
	organizations *Organizations
	projects      *Projects
	members       *Members
	invitations   *Invitations
	auth          *KeyAuth
	hasher        *hashing.Hasher
}

type testClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *testClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *testClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func must[T any](t *testing.T) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func newPeople(t *testing.T) *people {
	t.Helper()
	p := &people{t: t, clock: &testClock{now: time.Now().UTC().Truncate(time.Millisecond)}}
	engine := must[*embedded.Engine](t)(embedded.Open(t.Context(), filepath.Join(t.TempDir(), "pulse.db"),
		database.Schema(), embedded.Options{Clock: p.clock.Now}))
	t.Cleanup(func() {
		if err := engine.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	p.engine = engine
	p.hasher = must[*hashing.Hasher](t)(hashing.NewHasher(secret.New("pepper"), 4))
	p.build(nil, "jwt secret of the tests")
	return p
}

// build makes the services anew, as another process over the same database.
func (p *people) build(mailer Mailer, jwtSecrets ...string) {
	p.t.Helper()
	now := p.clock.Now
	orgs, users := database.NewOrganizations(p.engine), database.NewUsers(p.engine)
	projects, keys := database.NewProjects(p.engine), database.NewAPIKeys(p.engine)
	cursors := cursor.New([]byte("cursors"))
	verified := must[*hashing.Verified](p.t)(hashing.NewVerified(100, now))
	trail := must[*Trail](p.t)(NewTrail(database.NewAuditLogs(p.engine), now))
	p.trail = trail
	p.sessions = p.newSessions(jwtSecrets...)
	p.auth = must[*KeyAuth](p.t)(NewKeyAuth(keys, projects, orgs, p.hasher, verified,
		KeyAuthOptions{CacheSize: 100, Exact: true, RequestsPerMinute: 1000, Now: now}))
	p.organizations = NewOrganizations(orgs, users, projects, p.sessions, p.auth, OrganizationOptions{
		SignUp: true, Hasher: p.hasher, Cursors: cursors, Logins: database.NewSessions(p.engine), Trail: trail, Quotas: p.quotas(), Now: now})
	p.projects = NewProjects(projects, orgs, keys, p.auth, p.hasher, ProjectOptions{Cursors: cursors, Trail: trail, Quotas: p.quotas(), Now: now})
	p.members = NewMembers(orgs, users, keys, p.sessions, p.auth, MemberOptions{Cursors: cursors, Trail: trail, Now: now})
	p.invitations = must[*Invitations](p.t)(NewInvitations(database.NewInvitations(p.engine), orgs, users, p.members,
		InvitationOptions{Mailer: mailer, Hasher: p.hasher, Sessions: p.sessions, Cursors: cursors, Trail: trail, Now: now}))
}

// quotas limits nothing.
func (p *people) quotas() *Quotas {
	p.t.Helper()
	places := must[*Places](p.t)(NewPlaces(database.NewPlaces(p.engine), true, p.clock.Now))
	removals := NewRemovals(database.NewRemovals(p.engine), database.NewUsageSessions(p.engine), nil, zerolog.Nop(), p.clock.Now)
	return must[*Quotas](p.t)(NewQuotas(QuotaStores{}, places, nil, removals, QuotaOptions{Now: p.clock.Now}))
}

// newSessions is another replica's: it hears of no other's changes.
func (p *people) newSessions(jwtSecrets ...string) *Sessions {
	p.t.Helper()
	keys := make([]secret.Value, 0, len(jwtSecrets))
	for _, s := range jwtSecrets {
		keys = append(keys, secret.New(s))
	}
	return must[*Sessions](p.t)(NewSessions(database.NewUsers(p.engine), database.NewSessions(p.engine),
		database.NewOrganizations(p.engine), p.hasher, SessionOptions{Keys: keys, CacheSize: 100, Trail: p.trail, Now: p.clock.Now}))
}

// found signs an organization up.
func (p *people) found() SignedUp {
	p.t.Helper()
	return must[SignedUp](p.t)(p.organizations.SignUp(p.t.Context(), &models.Principal{}, SignUpInput{
		Name: "Analytical Engines", AdminEmail: ownersEmail, Password: secret.New(ownersPassword)}))
}

// actor is who an access token belongs to.
func (p *people) actor(l Login) *models.Principal {
	p.t.Helper()
	return must[*models.Principal](p.t)(p.sessions.Person(p.t.Context(), l.AccessToken))
}

// add invites somebody into an organization and accepts.
func (p *people) add(inviter *models.Principal, email string, role models.Role) SignedUp {
	p.t.Helper()
	invited := must[Invited](p.t)(p.invitations.Create(p.t.Context(), inviter, inviter.OrgID,
		InvitationInput{Email: email, Role: role}))
	return must[SignedUp](p.t)(p.invitations.Accept(p.t.Context(),
		AcceptInput{Token: invited.Token, Name: email, Password: secret.New(ownersPassword)}))
}

func (p *people) login(email, password, ip string) (Login, error) {
	_, login, err := p.sessions.Login(p.t.Context(), LoginInput{Email: email, Password: secret.New(password), Origin: models.Origin{IP: ip}})
	return login, err
}

func (p *people) refresh(token string) (Login, error) {
	return p.sessions.Refresh(p.t.Context(), secret.New(token), models.Origin{IP: anIP})
}

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	if !models.HasCode(err, code) {
		t.Fatalf("got %v, want %s", err, code)
	}
}

func operator() *models.Principal { return &models.Principal{Kind: models.CallerOperator} }
