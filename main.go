// Command pulse-control-plane is the control plane: one binary that serves
// /v1. See README.md for its sub-commands and settings.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/crypto/bcrypt"

	"pulse-control-plane/config"
	"pulse-control-plane/dashboard"
	"pulse-control-plane/database"
	"pulse-control-plane/handlers"
	"pulse-control-plane/middleware"
	"pulse-control-plane/routes"
	"pulse-control-plane/services"
	"pulse-control-plane/utils/cursor"
	"pulse-control-plane/utils/hashing"
	"pulse-control-plane/utils/lifecycle"
	"pulse-control-plane/utils/ratelimit"
	"pulse-control-plane/utils/secret"
)

// version is set when a release is built.
var version = "dev"

// Exit codes. A wrong configuration has its own, so that a supervisor can tell
// it from a crash.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

const usage = `usage: pulse-control-plane [command]

  serve        serve /v1 (the default)
  migrate      make or verify collections and indexes, then exit
  healthcheck  exit 0 if the server on this machine answers /health
  audit verify FILE [HEAD]
               check an export of the audit trail (JSON lines); HEAD is the
               head_hash it must end with
  version      print the version
  help         print this

Settings are read from the environment and from .env; .env.example says more.
`

// process is what a run gets from outside.
type process struct {
	environ        []string
	stdout, stderr io.Writer
	// ready, when set, is told the address once the server listens.
	ready func(net.Addr)
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	// After the first signal the default is back: a second one ends at once.
	context.AfterFunc(ctx, stop)
	os.Exit(process{environ: os.Environ(), stdout: os.Stdout, stderr: os.Stderr}.run(ctx, os.Args[1:]))
}

// run does one sub-command and gives the exit code.
func (p process) run(ctx context.Context, args []string) int {
	command := "serve"
	if len(args) > 0 {
		command = args[0]
	}
	if command == "audit" {
		return p.audit(args[1:])
	}
	if len(args) > 1 {
		fmt.Fprintf(p.stderr, "one command at a time, and none takes arguments\n%s", usage)
		return exitUsage
	}
	switch command {
	case "version", "-version", "--version":
		fmt.Fprintln(p.stdout, buildVersion())
		return exitOK
	case "help", "-h", "-help", "--help":
		fmt.Fprint(p.stdout, usage)
		return exitOK
	case "serve", "migrate", "healthcheck":
	default:
		fmt.Fprintf(p.stderr, "there is no command %q\n%s", command, usage)
		return exitUsage
	}
	cfg, err := config.Load(p.environ, ".env")
	if err != nil {
		fmt.Fprintln(p.stderr, err)
		return exitUsage
	}
	log, flush := newLog(cfg, p.stderr)
	defer flush()
	switch command {
	case "healthcheck":
		err = healthcheck(ctx, cfg)
	case "migrate":
		err = migrate(ctx, cfg, log)
	default:
		err = p.serve(ctx, cfg, log)
	}
	if err != nil {
		log.Error().Err(err).Msg(command + " failed")
		return exitFailed
	}
	return exitOK
}

// buildVersion is the release's, or the commit it was built from.
func buildVersion() string {
	info, ok := debug.ReadBuildInfo()
	if version != "dev" || !ok {
		return version
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return version + "-" + s.Value[:min(12, len(s.Value))]
		}
	}
	return version
}

// open opens the engine the configuration names and brings it to the schema.
func open(ctx context.Context, cfg config.Config, log zerolog.Logger) (database.Engine, error) {
	return database.Open(ctx, database.Location{
		URI: cfg.Database.URI.Reveal(), Name: cfg.Database.Name, Path: cfg.Database.Path,
	}, log)
}

// migrate opens the database, which makes and verifies what is declared.
func migrate(ctx context.Context, cfg config.Config, log zerolog.Logger) error {
	engine, err := open(ctx, cfg, log)
	if err != nil {
		return err
	}
	log.Info().Str("engine", engine.Name()).Int("collections", len(database.Schema())).Msg("the database is as declared")
	return engine.Close(ctx)
}

// healthcheck asks the server of this configuration, on this machine, for
// /health.
func healthcheck(ctx context.Context, cfg config.Config) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	host := cfg.Host
	if ip := net.ParseIP(host); host == "" || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	address := "http://" + net.JoinHostPort(host, strconv.Itoa(cfg.Port)) + "/health"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", address, response.Status)
	}
	return nil
}

// ballastBytes of memory that is never touched count as live for the garbage
// collector, which then lets garbage grow to about as much again before it
// runs. The live heap of a small installation is a few MB, and collecting it
// every few MB was a twentieth of what a token exchange costs; untouched memory
// takes address space only.
const ballastBytes = 32 << 20

// serve builds the parts in order and runs them until ctx ends.
func (p process) serve(ctx context.Context, cfg config.Config, log zerolog.Logger) error {
	ballast := make([]byte, ballastBytes)
	defer runtime.KeepAlive(ballast)
	life := lifecycle.Life{Grace: cfg.ShutdownTimeout}
	engine, err := open(ctx, cfg, log)
	if err == nil {
		life.Closer("database", engine.Close)
	}
	if ctx.Err() != nil {
		log.Info().Msg("told to stop before it served")
		return life.Close(ctx)
	}
	if err != nil {
		return err
	}
	life.Worker("database", engine.Run)

	built, err := build(engine, cfg, log, &life)
	if err != nil {
		return errors.Join(err, life.Close(ctx))
	}
	life.Worker("key uses", built.uses.Run)
	life.OnDrain(func() {
		built.health.Draining.Store(true)
		// Who asks is told, for as long as there is something to wait for.
		built.inflight.Drain(cfg.ShutdownTimeout)
	})
	for _, w := range built.workers {
		life.Worker(w.name, w.run)
	}

	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(cfg.Host, strconv.Itoa(cfg.Port)))
	if err != nil {
		return errors.Join(err, life.Close(ctx))
	}
	server := newServer(built.router)
	life.Server("http", func() error { return server.serve(listener) }, server.shutdown)

	log.Info().Str("version", buildVersion()).Str("address", listener.Addr().String()).Str("engine", engine.Name()).
		Str("livekit", cfg.LiveKit.Host).Str("environment", string(cfg.Environment)).Msg("serving")
	if p.ready != nil {
		p.ready(listener.Addr())
	}
	err = life.Run(ctx)
	log.Info().Err(err).Msg("stopped")
	return err
}

// Sizes of what is remembered in memory, in entries.
const (
	keyCacheSize     = 200_000
	sessionCacheSize = 50_000
	limiterSize      = 200_000
)

// secretCost is bcrypt's cost for API secrets. They are 256 random bits, which
// no cost makes harder to guess; a high one would only slow down every replica
// that meets a key again.
const secretCost = bcrypt.MinCost + 2

// parts are what serve needs of the whole.
type parts struct {
	router   http.Handler
	health   *handlers.Health
	inflight *middleware.Inflight
	uses     *services.KeyUses
	workers  []worker
}

// worker is long work that lasts as long as the process.
type worker struct {
	name string
	run  func(context.Context) error
}

// build puts the layers together, from the repositories up, and registers with
// life what must run or be closed.
func build(engine database.Engine, cfg config.Config, log zerolog.Logger, life *lifecycle.Life) (parts, error) {
	now := time.Now
	master := []byte(cfg.DataKey.Reveal())
	cluster := services.Cluster{URL: cfg.LiveKit.Host, APIKey: cfg.LiveKit.APIKey, APISecret: cfg.LiveKit.APISecret}

	orgs, users, projects := database.NewOrganizations(engine), database.NewUsers(engine), database.NewProjects(engine)
	keys, logins := database.NewAPIKeys(engine), database.NewSessions(engine)
	invitations := database.NewInvitations(engine)

	passwords, err := hashing.NewHasher(cfg.APIKeyPepper, cfg.BcryptCost)
	if err != nil {
		return parts{}, err
	}
	secrets, err := hashing.NewHasher(cfg.APIKeyPepper, secretCost)
	if err != nil {
		return parts{}, err
	}
	verified, err := hashing.NewVerified(keyCacheSize, now)
	if err != nil {
		return parts{}, err
	}
	cursors := cursor.New(secret.Derive(master, "cursors"))

	keyAuth, err := services.NewKeyAuth(keys, projects, orgs, secrets, verified, services.KeyAuthOptions{
		CacheSize: keyCacheSize, Exact: engine.Exclusive(), Plans: cfg.Quotas, RequestsPerMinute: int64(cfg.RateLimitProject), Now: now,
	})
	if err != nil {
		return parts{}, err
	}
	auditLogs := database.NewAuditLogs(engine)
	trail, err := services.NewTrail(auditLogs, now)
	if err != nil {
		return parts{}, err
	}
	sessions, err := services.NewSessions(users, logins, orgs, passwords, services.SessionOptions{
		Keys: cfg.JWTSecrets, CacheSize: sessionCacheSize, Exact: engine.Exclusive(),
		RequestsPerMinute: int64(cfg.RateLimitProject), Trail: trail, Now: now,
	})
	if err != nil {
		return parts{}, err
	}
	livekit := services.NewLiveKit(cluster)
	metered, err := buildMetering(engine, cfg, cluster, livekit, projects, orgs, cursors, trail, log)
	if err != nil {
		return parts{}, err
	}
	organizationService := services.NewOrganizations(orgs, users, projects, sessions, keyAuth, services.OrganizationOptions{
		SignUp: cfg.SignupEnabled, Hasher: passwords, Cursors: cursors, Logins: logins, Trail: trail, Quotas: metered.quotas, Now: now,
	})
	projectService := services.NewProjects(projects, orgs, keys, keyAuth, secrets,
		services.ProjectOptions{Cursors: cursors, Trail: trail, Quotas: metered.quotas, Now: now})
	memberService := services.NewMembers(orgs, users, keys, sessions, keyAuth,
		services.MemberOptions{Cursors: cursors, Trail: trail, Now: now})
	invitationOptions := services.InvitationOptions{AcceptURL: cfg.InvitationURL, Hasher: passwords, Sessions: sessions, Cursors: cursors, Trail: trail, Now: now}
	if cfg.SMTP != nil {
		invitationOptions.Mailer = services.NewSMTP(*cfg.SMTP)
	}
	invitationService, err := services.NewInvitations(invitations, orgs, users, memberService, invitationOptions)
	if err != nil {
		return parts{}, err
	}
	pairService := services.NewKeyPairs(keys, projects, keyAuth, secrets, services.KeyPairOptions{Cursors: cursors, Trail: trail, Now: now})
	idempotency, err := services.NewIdempotency(database.NewIdempotencyKeys(engine), master, now)
	if err != nil {
		return parts{}, err
	}
	metrics := middleware.NewMetrics(buildVersion(), cfg.MetricsToken, now)
	metered.inbox.Register(metrics.Registry())
	metered.quotas.Register(metrics.Registry())
	metered.removals.Register(metrics.Registry())
	probes := []services.Probe{
		{Name: "database", Check: engine.Ping, Essential: true},
		{Name: "livekit", Check: livekit.Ping},
		{Name: "events", Check: metered.inbox.Check},
	}
	local := ratelimit.New(limiterSize, now)
	var limiter middleware.Limiter = ratelimit.Local{Limiter: local}
	if !cfg.RedisURL.IsZero() {
		shared := ratelimit.NewShared(cfg.RedisURL.Reveal(), local)
		life.Closer("redis", shared.Close)
		limiter, probes = shared, append(probes, services.Probe{Name: "redis", Check: shared.Ping})
	}
	status := services.NewStatus(now, probes...)

	var page http.Handler
	if cfg.Dashboard {
		if page, err = dashboard.New(dashboard.Config{Dir: cfg.DashboardDir, Connect: []string{cfg.LiveKit.Host}}); err != nil {
			return parts{}, err
		}
	}
	requests := handlers.NewRequests()
	health, inflight := handlers.NewHealth(buildVersion(), status), new(middleware.Inflight)
	router, err := routes.New(routes.Handlers{
		Health:        health,
		Auth:          handlers.NewAuth(requests, sessions),
		Organizations: handlers.NewOrganizations(requests, organizationService),
		Members:       handlers.NewMembers(requests, memberService),
		Invitations:   handlers.NewInvitations(requests, invitationService),
		Projects:      handlers.NewProjects(requests, projectService),
		AuditLogs:     handlers.NewAuditLogs(services.NewAuditLogs(auditLogs, cursors)),
		APIKeys:       handlers.NewAPIKeys(requests, pairService),
		Tokens:        handlers.NewTokens(requests, services.NewTokens(cluster, metered.counters, metered.revoked, metered.quotas, now)),
		Docs:          handlers.NewDocs(routes.OpenAPI()),
		Dashboard:     page,
		Revocations:   handlers.NewRevocations(requests, metered.revoked),
		LiveKitEvents: handlers.NewLiveKitEvents(metered.inbox),
		Usage:         handlers.NewUsage(metered.usage),
		Quotas:        handlers.NewQuotas(metered.quotas),
		Metrics:       metrics,
	}, routes.Options{
		Log: log, Mode: cfg.GinMode, CORSOrigins: cfg.CORSOrigins, TrustedProxies: cfg.TrustedProxies,
		Inflight: inflight, Strict: cfg.Environment != config.Development, Now: now,
		Requests:    metered.counters,
		Idempotency: &middleware.Idempotency{Service: idempotency},
		Authentication: &middleware.Authentication{
			Keys: keyAuth, People: sessions, Operator: cfg.AdminToken,
			Limits: &middleware.RateLimits{Limiter: limiter, IPPerMinute: cfg.RateLimitIP, Now: now},
		},
	})
	return parts{router: router, health: health, inflight: inflight, uses: keyAuth.Uses(), workers: metered.workers}, err
}
