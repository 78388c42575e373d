package composition

import (
	"context"
	"errors"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/audit"
	"pulse-control-plane/services/auth"
	"pulse-control-plane/services/clusters"
	"pulse-control-plane/services/counters"
	"pulse-control-plane/services/downloads"
	"pulse-control-plane/services/events"
	"pulse-control-plane/services/evictions"
	"pulse-control-plane/services/idempotency"
	"pulse-control-plane/services/livekit"
	"pulse-control-plane/services/lookup"
	"pulse-control-plane/services/metering"
	"pulse-control-plane/services/overview"
	"pulse-control-plane/services/quotas"
	"pulse-control-plane/services/rooms"
	"pulse-control-plane/services/status"
	"pulse-control-plane/services/storage"
	"pulse-control-plane/services/tenancy"
	"pulse-control-plane/services/tokens"
	"pulse-control-plane/services/usage"
	"pulse-control-plane/utils/bus"
	"pulse-control-plane/utils/cursor"
	"pulse-control-plane/utils/hashing"
	"pulse-control-plane/utils/safedial"
	"pulse-control-plane/utils/secret"
	"pulse-control-plane/utils/worker"
)

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
	elections     *database.Elections
}

func newStores(engine database.Engine) stores {
	table := database.NewLeaseTable(engine)
	return stores{
		organizations: database.NewOrganizations(engine), users: database.NewUsers(engine),
		projects: database.NewProjects(engine), keys: database.NewAPIKeys(engine), logins: database.NewSessions(engine),
		auditLogs: database.NewAuditLogs(engine), sessions: database.NewUsageSessions(engine),
		facts: database.NewUsageMetrics(engine), totals: database.NewUsageTotals(engine),
		events: database.NewLiveKitEvents(engine), leases: table.Leases(), elections: table.Elections(),
	}
}

// builder holds what the steps of New share.
type builder struct {
	Config
	stores
	engine database.Engine
	// process names this start of the process; holder is its name for leases.
	process, holder string
	// own is the process's own clock, for durations in memory. Now follows the
	// database's.
	own func() time.Time

	placements *clusters.Placements
	cursors    *cursor.Codec
	// sealed are the fields that are sealed at rest.
	sealed             *database.SealedFields
	passwords, secrets *hashing.Hasher
	// guesses and failures count for all replicas.
	guesses  auth.Guesses
	failures auth.Failures
	// evicting carries out evictions.
	evicting *worker.Worker
	// sources make the events that tenants are informed of; tailing reads them.
	sources *events.Sources
	tailing *worker.Worker
	// owed has the events of changes stored, when owedSoon runs.
	owed     *events.Owed
	owedSoon *worker.Worker
	// activity lets the workers pause while nothing happens; nil without replicas.
	activity *worker.Activity
	// revoking reads the revocations of other replicas.
	revoking *worker.Worker
	// exchanging sends changes to other replicas and receives theirs.
	exchanging *worker.Worker
	// vault seals the credentials of storages.
	vault *storage.Vault
	// stopping stops egresses that were to stop before they were active.
	stopping *worker.Worker
	// recording starts the recordings of rooms that tokens open.
	recording *worker.Worker
	out       Services
}

func (b *builder) foundations() (err error) {
	var wrong error
	b.out.Clusters, err = clusters.New(b.Config.Clusters, b.Fallback, b.Recorder, b.Log, b.Now)
	wrong = errors.Join(wrong, err)
	b.placements, err = clusters.NewPlacements(b.out.Clusters, database.NewPlacements(b.engine), b.Now)
	wrong = errors.Join(wrong, err)
	var store lookup.ChangeStore
	if !b.engine.Exclusive() {
		store = database.NewChanges(b.engine)
	}
	b.out.Changes = lookup.NewChanges(bus.New[models.Change](busLog{b.Log}), store, b.process, func() { b.exchanging.Wake() })
	ring, err := secret.NewRing(b.DataKeys...)
	if err != nil {
		return errors.Join(wrong, err)
	}
	b.sealed = database.SealedUnder(ring)
	cursors := ring.Derive("cursors")
	b.cursors = cursor.New(cursors[0], cursors[1:]...)
	b.passwords, err = hashing.NewHasher(b.Peppers[0], b.BcryptCost)
	wrong = errors.Join(wrong, err)
	b.secrets, err = hashing.NewHasher(b.Peppers[0], b.SecretCost, b.Peppers[1:]...)
	wrong = errors.Join(wrong, err)
	b.out.Trail, err = audit.NewTrail(b.auditLogs, owing{b}, b.Now)
	wrong = errors.Join(wrong, err)
	b.out.AuditLogs = audit.NewLogs(b.auditLogs, audit.NewActorNames(database.NewUsers(b.engine), database.NewAPIKeys(b.engine)), b.cursors)
	seed, err := b.sealed.Of("idempotency_keys", "seed")
	wrong = errors.Join(wrong, err)
	answer, err := b.sealed.Of("idempotency_keys", "answer")
	wrong = errors.Join(wrong, err)
	b.out.Idempotency, err = idempotency.NewStore(idempotency.Config{
		Keys: database.NewIdempotencyKeys(b.engine), Storage: database.NewIdempotencyStorage(b.engine), Seed: seed, Answer: answer,
		Fingerprints: ring.Derive("idempotency fingerprints"), Now: b.Now,
	})
	return errors.Join(wrong, err)
}

func (b *builder) authentication() (err error) {
	verified, err := hashing.NewVerified(keyCacheSize, b.own)
	if err != nil {
		return err
	}
	b.out.KeyAuth, err = auth.NewKeys(auth.KeysConfig{
		APIKeys: b.keys, Projects: b.projects, Organizations: b.organizations, Hasher: b.secrets, Verified: verified, Changes: b.out.Changes,
		CacheSize: keyCacheSize, Guesses: b.guesses, Exact: b.engine.Exclusive(), Plans: b.Plans, RequestsPerMinute: b.ProjectRequestsPerMinute, Now: b.Now,
	})
	if err != nil {
		return err
	}
	b.out.LoginSessions, err = auth.NewLoginSessions(auth.LoginSessionsConfig{
		Users: b.users, Sessions: b.logins, Organizations: b.organizations, Hasher: b.passwords, Changes: b.out.Changes,
		Keys: b.JWTKeys, CacheSize: sessionCacheSize, Exact: b.engine.Exclusive(),
		RequestsPerMinute: b.PersonRequestsPerMinute, Failures: b.failures, Trail: b.out.Trail, Cursors: b.cursors, Operator: b.Operator, Now: b.Now,
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
	counting := counters.Config{
		Facts: b.facts, Totals: b.totals, Journal: database.NewCounterJournal(b.engine), Holder: b.process, Exclusive: b.engine.Exclusive(), Log: b.Log, Now: b.Now,
	}
	if b.ProjectMetrics {
		if counting.Metrics, err = counters.NewProjectMetrics(); err != nil {
			return err
		}
		b.out.projectMetrics = counting.Metrics
	}
	if b.out.Counters, err = counters.New(counting); err != nil {
		return err
	}
	b.out.Totals, err = usage.NewTotals(usage.TotalsConfig{
		Totals: b.totals, Facts: b.facts, Sessions: b.sessions, Now: b.Now,
	})
	if err != nil {
		return err
	}
	b.out.Usage, err = usage.New(usage.Config{
		Projects: b.projects, Sessions: b.sessions, Facts: b.facts, Events: b.events,
		Totals: b.out.Totals, Cursors: b.cursors, Now: b.Now,
	})
	return err
}

func (b *builder) quotas() (err error) {
	b.out.Limits, err = quotas.NewLimits(quotas.Config{
		Projects: b.projects, Organizations: b.organizations, Sessions: b.sessions,
		Events: database.NewQuotaEvents(b.engine), Slots: database.NewSlots(b.engine), Egresses: database.NewEgresses(b.engine),
		Ingresses: database.NewIngresses(b.engine), Usage: b.out.Usage, Changes: b.out.Changes, Told: b.sources.Quota,
		Exclusive: b.engine.Exclusive(), Plans: b.Plans, ReservationTTL: b.ReservationTTL, Log: b.Log, Now: b.Now,
	})
	if err != nil {
		return err
	}
	b.out.Evictions, err = evictions.NewQueue(evictions.Config{
		Store: database.NewEvictions(b.engine), Sessions: b.sessions, Clusters: b.evictionsOn, Spare: b.out.Limits.Spare, Wake: func() { b.evicting.Wake() },
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
		Projects: b.projects, Organizations: b.organizations, Sessions: b.sessions, Totals: b.totals, Keys: b.keys, Endpoints: database.NewEndpoints(b.engine), Limits: b.out.Limits, Now: b.Now,
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
		Cursors: b.cursors, Changes: b.out.Changes, Trail: b.out.Trail, Quotas: b.out.Limits, Agents: b.Agents,
		Vault: b.vault, Targets: safedial.New(b.storageTargets()), EgressLocal: b.Media.EgressLocal, Now: b.Now,
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
		Stored: func() { b.out.Changes.Tell(models.TopicRevocations) },
	})
	if err != nil {
		return err
	}
	b.out.Rooms, err = rooms.New(rooms.Config{
		Projects: b.projects, Store: database.NewRooms(b.engine), Clusters: b.out.Clusters, Placements: b.placements,
		Quotas: b.out.Limits, Cursors: b.cursors, Trail: b.out.Trail, Now: b.Now,
		Recording: func(ctx context.Context, p *models.Project, room string) (*livekit.EgressRequest, func(context.Context, error), error) {
			return b.out.Egresses.Recording(ctx, p, room)
		},
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
		Inbox: b.out.Inbox, Events: b.events, Leases: b.leases, Site: b.site(),
		Recorder: metering.NewRecorder(b.sessions, b.facts, b.totals, b.Now),
		Own:      b.out.Egresses.Own,
		Steps: append(b.egressSteps(), []metering.Step{
			{Turn: metering.TurnRevocations, Consumer: b.out.Revocations},
			{Turn: metering.TurnQuotas, Consumer: b.out.Enforcer},
			{Turn: metering.TurnPlacements, Consumer: b.out.Rooms},
			{Turn: metering.TurnEvents, Consumer: telling{b.sources}},
		}...),
	})
	if err != nil {
		return err
	}
	b.out.Reconciliation, err = metering.NewReconciliation(metering.ReconciliationConfig{
		Clusters: b.compared, Inbox: b.out.Inbox, Sessions: b.sessions,
		Sightings: database.NewSightings(b.engine), Log: b.Log,
	})
	probes := []status.Probe{
		{Name: "database", Check: b.engine.Ping, Essential: true},
		{Name: "livekit", Check: b.calls("").Ping},
		{Name: "events", Check: b.eventsCome},
	}
	for _, m := range b.out.Clusters.All()[1:] {
		probes = append(probes, status.Probe{Name: "livekit/" + m.Name, Check: m.Check})
	}
	probes = append(probes, b.clockProbes()...)
	b.out.Status = status.New(b.own, append(probes, b.Probes...)...)
	return err
}
