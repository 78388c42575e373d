package composition_test

import (
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"pulse-control-plane/database"
	"pulse-control-plane/database/embedded"
	"pulse-control-plane/database/testkit"
	"pulse-control-plane/models"
	"pulse-control-plane/services"
	"pulse-control-plane/services/auth"
	"pulse-control-plane/services/livekit"
	"pulse-control-plane/services/tenancy"
	"pulse-control-plane/utils/secret"
)

// Limits of auth: wrong passwords without delay, the longest delay, and how long a
// used refresh token still works.
const (
	freeAccountFailures = 5
	longestDelay        = 5 * time.Minute
	refreshRace         = 10 * time.Second
)

const (
	ownersEmail    = "ada@example.com"
	ownersPassword = "a password of the tests"
	anIP           = "203.0.113.7"
)

// people are the services for people, over an embedded database.
type people struct {
	t             *testing.T
	engine        database.Engine
	clock         *testkit.Clock
	bcryptCost    int
	invitationURL string
	all           *services.Services
	sessions      *auth.LoginSessions
	organizations *tenancy.Organizations
	projects      *tenancy.Projects
	members       *tenancy.Members
	invitations   *tenancy.Invitations
	auth          *auth.Keys
}

func must[T any](t *testing.T) func(T, error) T { return testkit.Must[T](t) }

func newPeople(t *testing.T) *people {
	t.Helper()
	p := &people{t: t, clock: testkit.NewClock(), bcryptCost: bcrypt.MinCost}
	p.engine = testkit.Open(t, embedded.Options{Clock: p.clock.Now})
	p.build(nil, "jwt secret of the tests")
	return p
}

// build builds the services again, like another process over the same database.
func (p *people) build(mailer tenancy.Mailer, jwtSecrets ...string) {
	p.t.Helper()
	p.all = p.process(p.engine, mailer, jwtSecrets...)
	p.sessions, p.organizations, p.projects = p.all.LoginSessions, p.all.Organizations, p.all.Projects
	p.members, p.invitations, p.auth = p.all.Members, p.all.Invitations, p.all.KeyAuth
}

func (p *people) process(engine database.Engine, mailer tenancy.Mailer, jwtSecrets ...string) *services.Services {
	p.t.Helper()
	keys := make([]secret.Value, 0, len(jwtSecrets))
	for _, s := range jwtSecrets {
		keys = append(keys, secret.New(s))
	}
	return must[*services.Services](p.t)(services.New(engine, services.Config{
		Clusters: []livekit.Cluster{{URL: "wss://livekit.test.example", APIKey: "devkey", APISecret: secret.New("secret of the cluster")}},
		DataKeys: []secret.Value{secret.New("data key of the tests")}, Peppers: []secret.Value{secret.New("pepper")}, JWTKeys: keys,
		BcryptCost: p.bcryptCost, SecretCost: bcrypt.MinCost, SignUp: true, ProjectRequestsPerMinute: 1000,
		Mailer: mailer, InvitationURL: p.invitationURL, ReconcileInterval: time.Minute, Now: p.clock.Now,
	}))
}

// shared is an engine that is not exclusive.
type shared struct{ database.Engine }

func (shared) Exclusive() bool { return false }

// found signs an organization up.
func (p *people) found() tenancy.SignedUp {
	p.t.Helper()
	return must[tenancy.SignedUp](p.t)(p.organizations.SignUp(p.t.Context(), &models.Principal{}, tenancy.SignUpInput{
		Name: "Analytical Engines", AdminEmail: ownersEmail, Password: secret.New(ownersPassword)}))
}

// actor is the principal of an access token.
func (p *people) actor(l auth.Login) *models.Principal {
	p.t.Helper()
	return must[*models.Principal](p.t)(p.sessions.Person(p.t.Context(), l.AccessToken))
}

// add invites a person to an organization and accepts.
func (p *people) add(inviter *models.Principal, email string, role models.Role) tenancy.SignedUp {
	p.t.Helper()
	invited := must[tenancy.Invited](p.t)(p.invitations.Create(p.t.Context(), inviter, inviter.OrgID,
		tenancy.InvitationInput{Email: email, Role: role}))
	return must[tenancy.SignedUp](p.t)(p.invitations.Accept(p.t.Context(),
		tenancy.AcceptInput{Token: invited.Token, Name: email, Password: secret.New(ownersPassword)}))
}

func (p *people) login(email, password, ip string) (auth.Login, error) {
	_, login, err := p.sessions.Login(p.t.Context(), auth.LoginInput{Email: email, Password: secret.New(password), Origin: models.Origin{IP: ip}})
	return login, err
}

func (p *people) refresh(token string) (auth.Login, error) {
	return p.sessions.Refresh(p.t.Context(), secret.New(token), models.Origin{IP: anIP})
}

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	if !models.HasCode(err, code) {
		t.Fatalf("got %v, want %s", err, code)
	}
}

func operator() *models.Principal { return &models.Principal{Kind: models.CallerOperator} }
