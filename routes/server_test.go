package routes_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/crypto/bcrypt"

	"pulse-control-plane/dashboard"
	"pulse-control-plane/database"
	"pulse-control-plane/database/embedded"
	"pulse-control-plane/database/testkit"
	"pulse-control-plane/handlers"
	"pulse-control-plane/middleware"
	"pulse-control-plane/models"
	"pulse-control-plane/routes"
	"pulse-control-plane/services"
	"pulse-control-plane/services/livekit"
	"pulse-control-plane/services/tenancy"
	"pulse-control-plane/utils/ratelimit"
	"pulse-control-plane/utils/safedial"
	"pulse-control-plane/utils/secret"
)

const (
	operatorToken = "operator-token-of-the-tests-0123456789"
	clusterKey    = "devkey"
	clusterSecret = "secret-of-the-cluster-in-the-tests-0123456789"
	clusterURL    = "wss://livekit.test.example"
	version       = "1.2.3-test"
	cacheSize     = 1000
)

// setup is what a test may choose of a server; the zero value has no limits on
// requests and lets everybody sign up.
type setup struct {
	// tracing makes spans; nil makes none.
	tracing                                        trace.TracerProvider
	signUpClosed                                   bool
	ipPerMinute, personPerMinute, projectPerMinute int
	// clientIPPerMinute is the limit of one address with one project's key.
	clientIPPerMinute int
	origins           []string
	proxies           []netip.Prefix
	metricsToken      string
	strict            bool
	// bcryptCost replaces the least that bcrypt knows.
	bcryptCost int
	// replica makes the engine say that other processes change the data too.
	replica bool
	// liveKitAway makes the probe of LiveKit fail.
	liveKitAway bool
	plans       models.PlanQuotas
	// agents are AGENTS_DEFAULT; nil is all, as in development.
	agents     []string
	quotaGrace time.Duration
	mailer     tenancy.Mailer
	// fenced allows neither the workers' disks nor web pages to egress.
	fenced bool
	// bodyMemory bounds the bodies being read; 0 is no bound.
	bodyMemory int64
	// privateTargets lets targets be on this machine, and http.
	privateTargets bool
}

// server is the whole stack in this process, over an embedded database in a
// folder of the test's own. Every answer it gives is held against the document.
type server struct {
	t       testing.TB
	handler http.Handler
	engine  *meteredEngine
	crash   *crashingEngine
	clock   *clock
	log     *lockedBuffer
	health  *handlers.Health
	setup   setup
	*services.Services
	cluster *fakeCluster
	livekit *fakeLiveKit
	// liveKitURL is where Pulse calls livekit.
	liveKitURL string
}

// fakeCluster remembers who was removed from where, and what was ended.
type fakeCluster struct {
	mu             sync.Mutex
	removed, ended []string
	away           bool
	// asked is called before anything is done.
	asked func()
	// egresses are what it lists.
	egresses []livekit.Media
	// unreachable makes the probe fail.
	unreachable bool
}

func (c *fakeCluster) Ping(context.Context) error {
	if c.unreachable {
		return errAway
	}
	return nil
}

func (c *fakeCluster) Rooms(context.Context) ([]livekit.Room, error) { return nil, nil }

func (c *fakeCluster) Participants(context.Context, string) ([]models.EventParticipant, []string, error) {
	return nil, nil, nil
}

func (c *fakeCluster) Egresses(context.Context) ([]livekit.Media, error) { return c.egresses, nil }

func (c *fakeCluster) Ingresses(context.Context) ([]livekit.Media, error) { return nil, nil }

func (c *fakeCluster) EndRoom(_ context.Context, room string) error { return c.end(room) }

func (c *fakeCluster) StopEgress(_ context.Context, id string) error { return c.end(id) }

func (c *fakeCluster) end(what string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asked != nil {
		c.asked()
	}
	if c.away {
		return models.Unavailable(errAway)
	}
	c.ended = append(c.ended, what)
	return nil
}

func (c *fakeCluster) RemoveParticipant(_ context.Context, room, identity string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.asked != nil {
		c.asked()
	}
	if c.away {
		return models.Unavailable(errAway)
	}
	c.removed = append(c.removed, room+" "+identity)
	return nil
}

func newServer(t testing.TB, choose ...func(*setup)) *server {
	t.Helper()
	var o setup
	for _, c := range choose {
		c(&o)
	}
	s := &server{t: t, clock: &clock{now: time.Now().UTC().Truncate(time.Millisecond)}, setup: o}
	embedded := testkit.Open(t, embedded.Options{Clock: s.clock.Now})
	s.crash = &crashingEngine{Engine: embedded}
	s.engine = &meteredEngine{Engine: s.crash, replica: o.replica}
	s.build()
	t.Cleanup(func() { allCatalogued(t, embedded) })
	return s
}

// another is a second process over the same database.
func (s *server) another() *server {
	s.t.Helper()
	second := &server{t: s.t, clock: s.clock, crash: s.crash, engine: s.engine, setup: s.setup, livekit: s.livekit, liveKitURL: s.liveKitURL}
	second.build()
	return second
}

// sharedDashboard is the handler of the dashboard's files, made once for all servers,
// because compressing the files takes longer than the rest of a server.
var sharedDashboard = sync.OnceValues(func() (*dashboard.Handler, error) {
	return dashboard.New(dashboard.Config{Connect: []string{clusterURL}})
})

// build puts the stack together over the engine.
func (s *server) build() {
	s.t.Helper()
	must := func(err error) {
		s.t.Helper()
		if err != nil {
			s.t.Fatal(err)
		}
	}
	s.log = &lockedBuffer{}
	o, now := s.setup, s.clock.Now
	if o.agents == nil {
		o.agents = []string{"*"}
	}
	if s.livekit == nil {
		s.livekit, s.liveKitURL = startLiveKit(s.t)
	}
	if s.cluster == nil {
		s.cluster = &fakeCluster{unreachable: o.liveKitAway}
	}
	var err error
	s.Services, err = services.New(s.engine, services.Config{
		Clusters: []livekit.Cluster{{Name: "default", Region: "default", URL: clusterURL, APIURL: s.liveKitURL, APIKey: clusterKey, APISecret: secret.New(clusterSecret)}}, Calls: s.cluster,
		DataKeys: []secret.Value{secret.New("data key of the tests")}, Peppers: []secret.Value{secret.New("pepper of the tests")},
		JWTKeys: []secret.Value{secret.New("jwt secret of the tests")}, BcryptCost: max(o.bcryptCost, bcrypt.MinCost), Operator: secret.New(operatorToken), Mailer: o.mailer,
		SecretCost: max(o.bcryptCost, bcrypt.MinCost), SignUp: !o.signUpClosed, Plans: o.plans, QuotaGrace: o.quotaGrace, Agents: o.agents,
		ProjectRequestsPerMinute: int64(o.projectPerMinute), PersonRequestsPerMinute: int64(o.personPerMinute),
		Targets:           safedial.Options{AllowHTTP: o.privateTargets, AllowPrivate: o.privateTargets, Resolver: testNames{}},
		Media:             services.Media{EgressLocal: !o.fenced, EgressWeb: !o.fenced, AllowPrivate: o.privateTargets, StopWait: 300 * time.Millisecond},
		ReconcileInterval: time.Minute, Recorder: o.recorder(), Log: zerolog.New(s.log), Now: now,
	})
	must(err)
	s.health = handlers.NewHealth(version, s.Status)
	all := routes.HandlersOf(s.Services, s.health, middleware.NewMetrics(version, secret.New(o.metricsToken), now), handlers.Facts{
		Secure: o.strict, SignupEnabled: !o.signUpClosed, Mail: o.mailer != nil, OperatorLogin: true, LiveKitURLs: []string{clusterURL}, Version: version,
	})
	all.Dashboard, err = sharedDashboard()
	must(err)
	s.handler, err = routes.New(all, routes.Options{
		Log:         zerolog.New(s.log),
		Idempotency: &middleware.Idempotency{Service: s.Idempotency},
		Authentication: &middleware.Authentication{
			Keys: s.KeyAuth, People: s.LoginSessions, Operator: secret.New(operatorToken),
			Limits: &middleware.RateLimits{Limiter: ratelimit.Local{Limiter: ratelimit.New(cacheSize, now)}, IPPerMinute: o.ipPerMinute, ClientIPPerMinute: o.clientIPPerMinute, Now: now},
		},
		CORSOrigins: o.origins, TrustedProxies: o.proxies, Mode: "test", Inflight: new(middleware.Inflight), BodyMemory: o.bodyMemory, Strict: o.strict, Now: now,
		Requests: s.Counters, Tracing: o.tracing,
	})
	must(err)
}

// exchangeChanges has processes tell each other what they changed, as their workers do
// twice a second.
func exchangeChanges(all ...*server) {
	for range 2 {
		for _, s := range all {
			s.t.Helper()
			if err := s.Changes.Exchange(s.t.Context()); err != nil {
				s.t.Fatal(err)
			}
		}
	}
}

// in gives the same server to a part of the test.
func (s *server) in(t testing.TB) *server {
	part := *s
	part.t = t
	return &part
}

// clock stands still until it is told otherwise.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// lockedBuffer takes a log that several goroutines write.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) Reset() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.text.Reset()
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// errAway is why a dependency the test took away does not answer.
var errAway = errors.New("the test took it away")

// meteredEngine counts what is asked of an engine, and is away on demand.
type meteredEngine struct {
	database.Engine
	replica       bool
	away          atomic.Bool
	reads, writes atomic.Int64
	// changing, if set, is called before a document of a collection is changed.
	changing func(collection string)
}

func (e *meteredEngine) count(n *atomic.Int64) error {
	n.Add(1)
	if e.away.Load() {
		return models.Unavailable(errAway)
	}
	return nil
}

func (e *meteredEngine) Exclusive() bool { return !e.replica && e.Engine.Exclusive() }

func (e *meteredEngine) Insert(ctx context.Context, c string, doc any) error {
	if err := e.count(&e.writes); err != nil {
		return err
	}
	return e.Engine.Insert(ctx, c, doc)
}

func (e *meteredEngine) InsertMany(ctx context.Context, c string, docs []any) ([]int, error) {
	if err := e.count(&e.writes); err != nil {
		return nil, err
	}
	return e.Engine.InsertMany(ctx, c, docs)
}

func (e *meteredEngine) FindOne(ctx context.Context, c string, q database.Query, out any) error {
	if err := e.count(&e.reads); err != nil {
		return err
	}
	return e.Engine.FindOne(ctx, c, q, out)
}

func (e *meteredEngine) Find(ctx context.Context, c string, q database.Query, each func(bson.Raw) error) error {
	if err := e.count(&e.reads); err != nil {
		return err
	}
	return e.Engine.Find(ctx, c, q, each)
}

func (e *meteredEngine) Update(ctx context.Context, c string, filter, update bson.D, o database.UpdateOptions) (int64, error) {
	if err := e.count(&e.writes); err != nil {
		return 0, err
	}
	return e.Engine.Update(ctx, c, filter, update, o)
}

func (e *meteredEngine) FindOneAndUpdate(ctx context.Context, c string, filter, update bson.D, o database.FindAndUpdateOptions, out any) error {
	if err := e.count(&e.writes); err != nil {
		return err
	}
	if e.changing != nil {
		e.changing(c)
	}
	return e.Engine.FindOneAndUpdate(ctx, c, filter, update, o, out)
}

func (e *meteredEngine) Delete(ctx context.Context, c string, filter bson.D, limit int64) (int64, error) {
	if err := e.count(&e.writes); err != nil {
		return 0, err
	}
	return e.Engine.Delete(ctx, c, filter, limit)
}

func (e *meteredEngine) Count(ctx context.Context, c string, filter bson.D, limit int64) (int64, error) {
	if err := e.count(&e.reads); err != nil {
		return 0, err
	}
	return e.Engine.Count(ctx, c, filter, limit)
}

func (e *meteredEngine) Sum(ctx context.Context, c string, filter bson.D, field string, by ...string) ([]database.Group, error) {
	if err := e.count(&e.reads); err != nil {
		return nil, err
	}
	return e.Engine.Sum(ctx, c, filter, field, by...)
}

func (e *meteredEngine) Ping(ctx context.Context) error {
	if err := e.count(&e.reads); err != nil {
		return err
	}
	return e.Engine.Ping(ctx)
}
