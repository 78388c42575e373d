package composition

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
	"pulse-control-plane/services/clock"
	"pulse-control-plane/services/clusters"
	"pulse-control-plane/services/counters"
	"pulse-control-plane/services/downloads"
	"pulse-control-plane/services/events"
	"pulse-control-plane/services/evictions"
	"pulse-control-plane/services/idempotency"
	"pulse-control-plane/services/ingress"
	"pulse-control-plane/services/livekit"
	"pulse-control-plane/services/lookup"
	"pulse-control-plane/services/media"
	"pulse-control-plane/services/metering"
	"pulse-control-plane/services/operations"
	"pulse-control-plane/services/overview"
	"pulse-control-plane/services/quotas"
	"pulse-control-plane/services/rooms"
	"pulse-control-plane/services/status"
	"pulse-control-plane/services/storage"
	"pulse-control-plane/services/tenancy"
	"pulse-control-plane/services/tokens"
	"pulse-control-plane/services/usage"
	"pulse-control-plane/services/webhooks"
	"pulse-control-plane/utils/ids"
	"pulse-control-plane/utils/observe"
	"pulse-control-plane/utils/ratelimit"
	"pulse-control-plane/utils/required"
	"pulse-control-plane/utils/safedial"
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

// Cluster is what metering and evictions ask of a LiveKit cluster.
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
	// Calls answers for the clusters; optional, by default each one's API.
	Calls Cluster `optional:"true"`
	// DataKeys derive the keys of cursors and of sealed values: the first seals,
	// all open.
	DataKeys []secret.Value
	// Peppers go into the hashes of API secrets (API_KEY_PEPPER): the first
	// hashes, all check.
	Peppers []secret.Value
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
	// Media is what is allowed of egress and ingress; optional.
	Media Media
	// QuotaGrace is how long open sessions may continue after a month is exhausted.
	QuotaGrace time.Duration
	// ProjectRequestsPerMinute is the limit of a project on the free plan,
	// PersonRequestsPerMinute that of a person; 0 means no limit.
	ProjectRequestsPerMinute, PersonRequestsPerMinute int64
	// Mailer sends invitations; optional, without it the response has the token.
	Mailer tenancy.Mailer `optional:"true"`
	// InvitationURL is the page that invitations link to; optional.
	InvitationURL string
	// PublicURL is where browsers reach the installation; optional.
	PublicURL string
	// Targets say which URLs of tenants may be reached.
	Targets safedial.Options
	// ResetURL is the page that mails to set a new password link to; optional.
	ResetURL string
	// ReconcileInterval is the time between two reconciliations.
	ReconcileInterval time.Duration
	// ProjectMetrics has metrics of the most active projects by name.
	ProjectMetrics bool
	// Backups makes backups of the embedded database on a schedule; optional.
	Backups *BackupSchedule `optional:"true"`
	// Recorder observes calls to the database and LiveKit; optional.
	Recorder *observe.Recorder `optional:"true"`
	// Redis counts guesses and failed logins for all replicas; optional, by default
	// the database does.
	Redis *ratelimit.Shared `optional:"true"`
	// Observer receives every pass of a worker; optional.
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
	Clusters       *clusters.Set
	Rooms          *rooms.Rooms
	Trail          *audit.Trail
	AuditLogs      *audit.Logs
	Tokens         *tokens.Minter
	Egresses       *media.Egresses
	Ingresses      *ingress.Ingresses
	Revocations    *tokens.Revocations
	Limits         *quotas.Limits
	Enforcer       *quotas.Enforcer
	Evictions      *evictions.Queue
	Inbox          *metering.Inbox
	InboxWorker    *metering.InboxWorker
	Counters       *counters.Counters
	Totals         *usage.Totals
	Usage          *usage.Reports
	Reconciliation *metering.Reconciliation
	EventLog       *events.Log
	EventTail      *events.Tail
	Events         *events.Feed
	OwnEvents      *events.Owed
	Endpoints      *webhooks.Endpoints
	Deliveries     *webhooks.Worker
	Idempotency    *idempotency.Store
	Overview       *overview.Service
	Storage        *storage.Checker
	Downloads      *downloads.Service
	PasswordResets *auth.PasswordResets
	Status         *status.Monitor
	Operations     *operations.Service
	Clock          *clock.Clock
	redis          *ratelimit.Shared
	exclusive      bool
	workers        []Worker
	measured       []measured
	projectMetrics *counters.ProjectMetrics
}

// New builds every service over an engine with the current schema. It starts
// nothing; the caller runs Workers. It fails if a required field is missing.
func New(engine database.Engine, c Config) (*Services, error) {
	if err := required.Fields(c); err != nil {
		return nil, err
	}
	if len(c.Clusters) == 0 || len(c.JWTKeys) == 0 || len(c.DataKeys) == 0 || len(c.Peppers) == 0 {
		return nil, errors.New("services: Clusters, JWTKeys, DataKeys and Peppers are required")
	}
	if c.SecretCost == 0 {
		c.SecretCost = secretCost
	}
	b := &builder{Config: c, process: ids.New("proc_")}
	b.engine = b.watched(database.Observed(engine, c.Recorder))
	b.stores = newStores(b.engine)
	b.holder = b.process
	if engine.Exclusive() {
		// The previous process is gone, so its leases need not expire first.
		b.holder = "the only process"
	}
	for _, step := range []func() error{b.shared, b.foundations, b.storage, b.authentication, b.metering, b.tenantEvents, b.quotas, b.pages, b.tenancy, b.tokens, b.egress, b.ingress, b.inbox, b.workers, b.operations} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return &b.out, nil
}

// Workers returns the background tasks of this process, to be run concurrently.
func (s *Services) Workers() []Worker { return s.workers }
