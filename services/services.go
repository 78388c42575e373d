package services

import (
	"context"
	"errors"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/crypto/bcrypt"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/audit"
	"pulse-control-plane/services/auth"
	"pulse-control-plane/services/downloads"
	"pulse-control-plane/services/evictions"
	"pulse-control-plane/services/idempotency"
	"pulse-control-plane/services/livekit"
	"pulse-control-plane/services/lookup"
	"pulse-control-plane/services/metering"
	"pulse-control-plane/services/overview"
	"pulse-control-plane/services/quotas"
	"pulse-control-plane/services/rooms"
	"pulse-control-plane/services/status"
	"pulse-control-plane/services/tenancy"
	"pulse-control-plane/services/tokens"
	"pulse-control-plane/utils/bus"
	"pulse-control-plane/utils/cursor"
	"pulse-control-plane/utils/hashing"
	"pulse-control-plane/utils/ids"
	"pulse-control-plane/utils/observe"
	"pulse-control-plane/utils/required"
	"pulse-control-plane/utils/secret"
	"pulse-control-plane/utils/worker"
)

// Sizes of the caches in memory, in entries.
const (
	keyCacheSize     = 200_000
	sessionCacheSize = 50_000
)

// secretCost is bcrypt's cost for API secrets. They are 256 random bits, which
// no cost makes harder to guess; a high one would only slow down every replica
// that meets a key for the first time.
const secretCost = bcrypt.MinCost + 2

// Cluster is what services ask of a LiveKit cluster.
type Cluster interface {
	metering.Lists
	evictions.Cluster
	Ping(ctx context.Context) error
}

// Config of New. Fields without "optional" in their comment are required.
type Config struct {
	// Clusters are the LiveKit clusters; the first signs tokens.
	Clusters []livekit.Cluster
	// Fallback names the regions that take a region's new rooms while none of its
	// clusters is usable; optional.
	Fallback map[string][]string `optional:"true"`
	// Calls are the calls to the first cluster; optional, by default its API.
	Calls Cluster `optional:"true"`
	// DataKey derives the keys of cursors and of sealed values.
	DataKey secret.Value
	// Pepper is mixed into every stored hash (API_KEY_PEPPER).
	Pepper secret.Value
	// JWTKeys sign access tokens: the first signs, all verify.
	JWTKeys []secret.Value
	// Operator is PULSE_ADMIN_TOKEN; optional, without it there is no operator.
	Operator secret.Value `optional:"true"`
	// BcryptCost is the cost of password hashes.
	BcryptCost int
	// SecretCost is the cost of API secret hashes; optional.
	SecretCost int
	// SignUp allows sign-up without credentials; otherwise only the operator may
	// create organizations.
	SignUp bool
	// Plans are the quotas of each plan; optional.
	Plans models.PlanQuotas `optional:"true"`
	// Agents are the LiveKit agents that projects without a setting of their own
	// may dispatch (AGENTS_DEFAULT); "*" is all. Optional.
	Agents []string
	// ReservationTTL is the longest that a token reserves its slots; optional.
	ReservationTTL time.Duration
	// QuotaGrace is how long open sessions may continue after a month is exhausted.
	QuotaGrace time.Duration
	// ProjectRequestsPerMinute is the limit of a project on the free plan,
	// PersonRequestsPerMinute that of a person; 0 means no limit.
	ProjectRequestsPerMinute, PersonRequestsPerMinute int64
	// Mailer sends invitations; optional, without it the response has the token.
	Mailer tenancy.Mailer `optional:"true"`
	// InvitationURL is the page that invitations link to; optional.
	InvitationURL string
	// ResetURL is the page that mails to set a new password link to; optional.
	ResetURL string
	// ReconcileInterval is the time between two reconciliations.
	ReconcileInterval time.Duration
	// Recorder observes calls to the database and LiveKit; optional.
	Recorder *observe.Recorder `optional:"true"`
	// Observer is told of every pass of a worker; optional.
	Observer worker.Observer `optional:"true"`
	// Probes are further dependencies to watch; optional.
	Probes []status.Probe
	Log    zerolog.Logger
	Now    func() time.Time
}

// Worker is a background task that runs as long as the process.
type Worker struct {
	Name string
	// Run works until ctx ends.
	Run func(ctx context.Context) error
}

// Services are all services over one engine.
type Services struct {
	KeyAuth       *auth.Keys
	LoginSessions *auth.LoginSessions
	Organizations *tenancy.Organizations
	Projects      *tenancy.Projects
	Members       *tenancy.Members
	Invitations   *tenancy.Invitations
	Keys          *tenancy.Keys
	// Changes is the bus on which every write publishes what it changed; changes of
	// other processes are injected here.
	Changes        *lookup.Changes
	Clusters       *livekit.Clusters
	Rooms          *rooms.Rooms
	Trail          *audit.Trail
	AuditLogs      *audit.Logs
	Tokens         *tokens.Minter
	Revocations    *tokens.Revocations
	Limits         *quotas.Limits
	Enforcer       *quotas.Enforcer
	Evictions      *evictions.Queue
	Inbox          *metering.Inbox
	InboxWorker    *metering.InboxWorker
	Counters       *metering.Counters
	Totals         *metering.Totals
	Usage          *metering.Usage
	Reconciliation *metering.Reconciliation
	Idempotency    *idempotency.Store
	Overview       *overview.Service
	Downloads      *downloads.Service
	PasswordResets *auth.PasswordResets
	Status         *status.Monitor
	workers        []Worker
}

// New builds every service over an engine with the current schema. It starts
// nothing; the caller runs Workers. It fails if a required field is missing.
func New(engine database.Engine, c Config) (*Services, error) {
	if err := required.Fields(c); err != nil {
		return nil, err
	}
	if len(c.Clusters) == 0 || len(c.JWTKeys) == 0 {
		return nil, errors.New("services: Clusters and JWTKeys are required")
	}
	if c.Calls == nil {
		c.Calls = livekit.NewClient(c.Clusters, c.Recorder)
	}
	if c.SecretCost == 0 {
		c.SecretCost = secretCost
	}
	engine = database.Observed(engine, c.Recorder)
	b := &builder{Config: c, engine: engine, stores: newStores(engine), process: ids.New("proc_")}
	b.holder = b.process
	if engine.Exclusive() {
		// The previous process is gone, so its leases need not expire first.
		b.holder = "the only process"
	}
	for _, step := range []func() error{b.foundations, b.authentication, b.metering, b.quotas, b.pages, b.tenancy, b.tokens, b.inbox, b.workers} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return &b.out, nil
}

// Workers returns the background tasks of this process, to be run concurrently.
func (s *Services) Workers() []Worker { return s.workers }

// stores are the repositories over the engine.
type stores struct {
	organizations *database.Organizations
	users         *database.Users
	projects      *database.Projects
	keys          *database.APIKeys
	logins        *database.Sessions
	auditLogs     *database.AuditLogs
	sessions      *database.UsageSessions
	facts         *database.UsageMetrics
	totals        *database.UsageTotals
	events        *database.LiveKitEvents
	leases        *database.Leases
}

func newStores(engine database.Engine) stores {
	return stores{
		organizations: database.NewOrganizations(engine), users: database.NewUsers(engine),
		projects: database.NewProjects(engine), keys: database.NewAPIKeys(engine), logins: database.NewSessions(engine),
		auditLogs: database.NewAuditLogs(engine), sessions: database.NewUsageSessions(engine),
		facts: database.NewUsageMetrics(engine), totals: database.NewUsageTotals(engine),
		events: database.NewLiveKitEvents(engine), leases: database.NewLeases(engine),
	}
}

// builder holds what the steps of New share.
type builder struct {
	Config
	stores
	engine database.Engine
	// process names this start of the process; holder is its name for leases.
	process, holder string

	placements         *livekit.Placements
	cursors            *cursor.Codec
	passwords, secrets *hashing.Hasher
	// evicting carries out evictions.
	evicting *worker.Worker
	// exchanging tells other replicas of changes, and hears of theirs.
	exchanging *worker.Worker
	out        Services
}

func (b *builder) foundations() (err error) {
	var wrong error
	b.out.Clusters, err = livekit.NewClusters(b.Config.Clusters, b.Fallback, b.Recorder, b.Log, b.Now)
	wrong = errors.Join(wrong, err)
	b.placements, err = livekit.NewPlacements(b.out.Clusters, database.NewPlacements(b.engine), b.Now)
	wrong = errors.Join(wrong, err)
	var store lookup.ChangeStore
	if !b.engine.Exclusive() {
		store = database.NewChanges(b.engine)
	}
	b.out.Changes = lookup.NewChanges(bus.New[models.Change](busLog{b.Log}), store, b.process, func() { b.exchanging.Wake() })
	b.cursors = cursor.New(secret.Derive([]byte(b.DataKey.Reveal()), "cursors"))
	b.passwords, err = hashing.NewHasher(b.Pepper, b.BcryptCost)
	wrong = errors.Join(wrong, err)
	b.secrets, err = hashing.NewHasher(b.Pepper, b.SecretCost)
	wrong = errors.Join(wrong, err)
	b.out.Trail, err = audit.NewTrail(b.auditLogs, b.Now)
	wrong = errors.Join(wrong, err)
	b.out.AuditLogs = audit.NewLogs(b.auditLogs, b.cursors)
	b.out.Idempotency, err = idempotency.NewStore(database.NewIdempotencyKeys(b.engine), database.NewIdempotencyStorage(b.engine), []byte(b.DataKey.Reveal()), b.Now)
	return errors.Join(wrong, err)
}

func (b *builder) authentication() (err error) {
	verified, err := hashing.NewVerified(keyCacheSize, b.Now)
	if err != nil {
		return err
	}
	b.out.KeyAuth, err = auth.NewKeys(auth.KeysConfig{
		APIKeys: b.keys, Projects: b.projects, Organizations: b.organizations, Hasher: b.secrets, Verified: verified, Changes: b.out.Changes,
		CacheSize: keyCacheSize, Exact: b.engine.Exclusive(), Plans: b.Plans, RequestsPerMinute: b.ProjectRequestsPerMinute, Now: b.Now,
	})
	if err != nil {
		return err
	}
	b.out.LoginSessions, err = auth.NewLoginSessions(auth.LoginSessionsConfig{
		Users: b.users, Sessions: b.logins, Organizations: b.organizations, Hasher: b.passwords, Changes: b.out.Changes,
		Keys: b.JWTKeys, CacheSize: sessionCacheSize, Exact: b.engine.Exclusive(),
		RequestsPerMinute: b.PersonRequestsPerMinute, Trail: b.out.Trail, Cursors: b.cursors, Operator: b.Operator, Now: b.Now,
	})
	return err
}

func (b *builder) metering() (err error) {
	b.out.Inbox, err = metering.NewInbox(metering.InboxConfig{
		Events: b.events, Sequences: database.NewSequences(b.engine), Clusters: b.out.Clusters, Exclusive: b.engine.Exclusive(), Now: b.Now,
	})
	if err != nil {
		return err
	}
	b.out.Counters = metering.NewCounters(b.facts, b.totals, b.process, b.Log, b.Now)
	b.out.Totals, err = metering.NewTotals(metering.TotalsConfig{
		Totals: b.totals, Facts: b.facts, Sessions: b.sessions, Now: b.Now,
	})
	if err != nil {
		return err
	}
	b.out.Usage, err = metering.NewUsage(metering.UsageConfig{
		Projects: b.projects, Sessions: b.sessions, Facts: b.facts, Events: b.events,
		Totals: b.out.Totals, Cursors: b.cursors, Now: b.Now,
	})
	return err
}

func (b *builder) quotas() (err error) {
	b.out.Limits, err = quotas.NewLimits(quotas.Config{
		Projects: b.projects, Organizations: b.organizations, Sessions: b.sessions,
		Events: database.NewQuotaEvents(b.engine), Slots: database.NewSlots(b.engine), Usage: b.out.Usage, Changes: b.out.Changes,
		Exclusive: b.engine.Exclusive(), Plans: b.Plans, ReservationTTL: b.ReservationTTL, Log: b.Log, Now: b.Now,
	})
	if err != nil {
		return err
	}
	b.out.Evictions, err = evictions.NewQueue(evictions.Config{
		Store: database.NewEvictions(b.engine), Sessions: b.sessions, Cluster: b.Calls, Spare: b.out.Limits.Spare, Wake: func() { b.evicting.Wake() },
		Log: b.Log, Now: b.Now,
	})
	if err != nil {
		return err
	}
	b.out.Enforcer, err = quotas.NewEnforcer(quotas.EnforcerConfig{
		Limits: b.out.Limits, Evictions: b.out.Evictions, Grace: b.QuotaGrace,
	})
	return err
}

// pages builds what only pages for people ask for.
func (b *builder) pages() (err error) {
	b.out.Overview, err = overview.New(overview.Config{
		Projects: b.projects, Organizations: b.organizations, Sessions: b.sessions, Totals: b.totals, Keys: b.keys, Limits: b.out.Limits, Now: b.Now,
	})
	if err != nil {
		return err
	}
	resets := auth.PasswordResetsConfig{Store: database.NewPasswordResets(b.engine), Sessions: b.out.LoginSessions, Keys: b.JWTKeys, URL: b.ResetURL, Now: b.Now}
	if b.Mailer != nil {
		resets.Mail = func(ctx context.Context, to, subject, text string) error {
			return b.Mailer.Send(ctx, tenancy.Mail{To: to, Subject: subject, Text: text})
		}
	}
	if b.out.PasswordResets, err = auth.NewPasswordResets(resets); err != nil {
		return err
	}
	b.out.Downloads, err = downloads.New(downloads.Config{Store: database.NewDownloads(b.engine), Sessions: b.out.LoginSessions, Now: b.Now})
	return err
}

func (b *builder) tenancy() (err error) {
	var wrong error
	invitations := database.NewInvitations(b.engine)
	b.out.Organizations, err = tenancy.NewOrganizations(tenancy.OrganizationsConfig{
		Organizations: b.organizations, Users: b.users, Projects: b.projects, Logins: b.logins, Sessions: b.out.LoginSessions,
		KeyAuth: b.out.KeyAuth, Hasher: b.passwords, Cursors: b.cursors, Changes: b.out.Changes, Trail: b.out.Trail, Quotas: b.out.Limits, SignUp: b.SignUp, Now: b.Now,
	})
	wrong = errors.Join(wrong, err)
	b.out.Projects, err = tenancy.NewProjects(tenancy.ProjectsConfig{
		Projects: b.projects, Organizations: b.organizations, APIKeys: b.keys, KeyAuth: b.out.KeyAuth, Hasher: b.secrets,
		Cursors: b.cursors, Changes: b.out.Changes, Trail: b.out.Trail, Quotas: b.out.Limits, Agents: b.Agents, Now: b.Now,
	})
	wrong = errors.Join(wrong, err)
	b.out.Members, err = tenancy.NewMembers(tenancy.MembersConfig{
		Organizations: b.organizations, Users: b.users, APIKeys: b.keys, Invitations: invitations, Sessions: b.out.LoginSessions, KeyAuth: b.out.KeyAuth,
		Cursors: b.cursors, Changes: b.out.Changes, Trail: b.out.Trail, Now: b.Now,
	})
	wrong = errors.Join(wrong, err)
	b.out.Invitations, err = tenancy.NewInvitations(tenancy.InvitationsConfig{
		Invitations: invitations, Organizations: b.organizations, Users: b.users, Members: b.out.Members,
		Hasher: b.passwords, Sessions: b.out.LoginSessions, Cursors: b.cursors, Trail: b.out.Trail, Now: b.Now,
		Mailer: b.Mailer, AcceptURL: b.InvitationURL,
	})
	wrong = errors.Join(wrong, err)
	b.out.Keys, err = tenancy.NewKeys(tenancy.KeysConfig{
		APIKeys: b.keys, Projects: b.projects, KeyAuth: b.out.KeyAuth, Hasher: b.secrets, Cursors: b.cursors, Changes: b.out.Changes, Trail: b.out.Trail, Now: b.Now,
	})
	return errors.Join(wrong, err)
}

func (b *builder) tokens() (err error) {
	b.out.Revocations, err = tokens.NewRevocations(tokens.RevocationsConfig{
		Store: database.NewRevocations(b.engine), Projects: b.projects, Sessions: b.sessions, Quotas: b.out.Limits,
		Evictions: b.out.Evictions, Cursors: b.cursors, Trail: b.out.Trail, Log: b.Log, Now: b.Now,
	})
	if err != nil {
		return err
	}
	b.out.Rooms, err = rooms.New(rooms.Config{
		Projects: b.projects, Store: database.NewRooms(b.engine), Clusters: b.out.Clusters, Placements: b.placements,
		Quotas: b.out.Limits, Cursors: b.cursors, Trail: b.out.Trail, Now: b.Now,
	})
	if err != nil {
		return err
	}
	b.out.Tokens, err = tokens.NewMinter(tokens.MinterConfig{
		Clusters: b.out.Clusters, Placements: b.placements, Counters: b.out.Counters, Revoked: b.out.Revocations, Quotas: b.out.Limits,
		Projects: b.projects, Agents: b.Agents, Now: b.Now,
	})
	return err
}

func (b *builder) inbox() (err error) {
	b.out.InboxWorker, err = metering.NewInboxWorker(metering.InboxWorkerConfig{
		Inbox: b.out.Inbox, Events: b.events, Leases: b.leases, Holder: b.holder, Observer: b.Observer, Log: b.Log,
		Recorder: metering.NewRecorder(b.sessions, b.facts, b.totals, b.Now),
		Steps: []metering.Step{
			{Turn: metering.TurnRevocations, Consumer: b.out.Revocations},
			{Turn: metering.TurnQuotas, Consumer: b.out.Enforcer},
		},
	})
	if err != nil {
		return err
	}
	b.out.Reconciliation, err = metering.NewReconciliation(metering.ReconciliationConfig{
		Cluster: b.Calls, Name: b.Config.Clusters[0].APIKey, Inbox: b.out.Inbox, Sessions: b.sessions,
		Sightings: database.NewSightings(b.engine), Log: b.Log,
	})
	probes := []status.Probe{
		{Name: "database", Check: b.engine.Ping, Essential: true},
		{Name: "livekit", Check: b.Calls.Ping},
		{Name: "events", Check: b.out.Inbox.Check},
	}
	for _, m := range b.out.Clusters.All()[1:] {
		probes = append(probes, status.Probe{Name: "livekit/" + m.Name, Check: m.Check})
	}
	b.out.Status = status.New(b.Now, append(probes, b.Probes...)...)
	return err
}

// workers declares the background tasks: what a pass does, how often it runs, how
// long it may take and, for tasks of one replica at a time, how long the others
// wait after it died.
func (b *builder) workers() error {
	s := &b.out
	site := worker.Site{Lease: database.NewElections(b.engine), Owner: b.holder, Log: b.Log, Observer: b.Observer, Tracer: b.Recorder.Tracer()}
	flush := func(last time.Duration) worker.Options {
		o := site.Options()
		o.Last = last // what is in memory when the process stops
		o.Rest = 4
		return o
	}
	settle := site.Led(15*time.Second, s.Totals.CatchUp)
	settle.Rest = 4 // after a long pass the database serves others first
	changes := site.Options()
	changes.Backoff = worker.Backoff{First: 200 * time.Millisecond, Most: time.Second}
	s.workers = append(s.workers, Worker{"inbox", s.InboxWorker.Run})
	for _, w := range []struct {
		config  worker.Config
		options worker.Options
	}{
		{worker.Config{Name: "key_uses", Pass: worker.Simple(s.KeyAuth.Uses().Flush), Every: 10 * time.Second, Deadline: 10 * time.Second}, flush(5 * time.Second)},
		{worker.Config{Name: "usage_counters", Pass: worker.Simple(s.Counters.Flush), Every: time.Second, Deadline: 10 * time.Second}, flush(5 * time.Second)},
		{worker.Config{Name: "usage_totals", Pass: worker.Simple(s.Totals.Settle), Every: time.Second, Deadline: time.Minute}, settle},
		{worker.Config{Name: "reconciliation", Pass: worker.Simple(s.Reconciliation.Compare), Every: b.ReconcileInterval, Deadline: time.Minute}, site.Led(30*time.Second, nil)},
		{worker.Config{Name: "revocations", Pass: worker.Simple(s.Revocations.Refresh), Every: time.Second, Deadline: 10 * time.Second}, site.Options()},
		{worker.Config{Name: "quotas", Pass: worker.Simple(s.Enforcer.Enforce), Every: 5 * time.Second, Deadline: time.Minute}, site.Led(20*time.Second, nil)},
		{worker.Config{Name: "clusters", Pass: worker.Simple(s.Clusters.Probe), Every: 10 * time.Second, Deadline: 10 * time.Second}, site.Options()},
		{worker.Config{Name: "changes", Pass: worker.Simple(s.Changes.Exchange), Every: 500 * time.Millisecond, Deadline: 5 * time.Second}, changes},
		{worker.Config{Name: "password_resets", Pass: worker.Simple(s.PasswordResets.Send), Every: 2 * time.Second, Deadline: time.Minute}, site.Options()},
		{worker.Config{Name: "evictions", Pass: s.Evictions.Work, Every: time.Second, Deadline: time.Minute}, site.Options()},
	} {
		running, err := worker.New(w.config, w.options)
		if err != nil {
			return err
		}
		switch w.config.Name {
		case "evictions":
			b.evicting = running
		case "changes":
			b.exchanging = running
			if b.engine.Exclusive() {
				continue
			}
		}
		s.workers = append(s.workers, Worker{running.Name(), running.Run})
	}
	return nil
}

// busLog logs faults of the bus of changes.
type busLog struct{ log zerolog.Logger }

func (busLog) Delivered(int, bool) {}

func (l busLog) WasReset() { l.log.Info().Msg("caches: dropped, because changes may have been missed") }

func (l busLog) Panicked(value any, stack []byte) {
	l.log.Error().Interface("panic", value).Bytes("stack", stack).Msg("caches: a subscriber panicked")
}
