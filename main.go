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

	"pulse-control-plane/config"
	"pulse-control-plane/database"
	"pulse-control-plane/handlers"
	"pulse-control-plane/middleware"
	"pulse-control-plane/routes"
	"pulse-control-plane/services"
	"pulse-control-plane/services/livekit"
	"pulse-control-plane/services/status"
	"pulse-control-plane/services/tenancy"
	"pulse-control-plane/utils/lifecycle"
	"pulse-control-plane/utils/ratelimit"
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
	life.OnDrain(func() {
		built.health.Draining.Store(true)
		// Who asks is told, for as long as there is something to wait for.
		built.inflight.Drain(cfg.ShutdownTimeout)
	})
	for _, w := range built.workers {
		life.Worker(w.Name, w.Run)
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

// limiterSize is how many callers' request counts are remembered.
const limiterSize = 200_000

// parts are what serve needs of the whole.
type parts struct {
	router   http.Handler
	health   *handlers.Health
	inflight *middleware.Inflight
	workers  []services.Worker
}

// build puts the layers together over the engine and registers with life what
// must be closed.
func build(engine database.Engine, cfg config.Config, log zerolog.Logger, life *lifecycle.Life) (parts, error) {
	now := time.Now
	local := ratelimit.New(limiterSize, now)
	var limiter middleware.Limiter = ratelimit.Local{Limiter: local}
	var probes []status.Probe
	if !cfg.RedisURL.IsZero() {
		shared := ratelimit.NewShared(cfg.RedisURL.Reveal(), local)
		life.Closer("redis", shared.Close)
		limiter, probes = shared, append(probes, status.Probe{Name: "redis", Check: shared.Ping})
	}
	var mailer tenancy.Mailer
	if cfg.SMTP != nil {
		mailer = tenancy.NewSMTP(*cfg.SMTP)
	}
	s, err := services.New(engine, services.Config{
		Clusters: []livekit.Cluster{{URL: cfg.LiveKit.Host, APIKey: cfg.LiveKit.APIKey, APISecret: cfg.LiveKit.APISecret}},
		DataKey:  cfg.DataKey, Pepper: cfg.APIKeyPepper, JWTKeys: cfg.JWTSecrets, BcryptCost: cfg.BcryptCost,
		SignUp: cfg.SignupEnabled, Plans: cfg.Quotas, QuotaGrace: cfg.QuotaGrace,
		ProjectRequestsPerMinute: int64(cfg.RateLimitProject), PersonRequestsPerMinute: int64(cfg.RateLimitProject),
		Mailer: mailer, InvitationURL: cfg.InvitationURL, ReconcileInterval: cfg.ReconcileInterval,
		Probes: probes, Log: log, Now: now,
	})
	if err != nil {
		return parts{}, err
	}
	metrics := middleware.NewMetrics(buildVersion(), cfg.MetricsToken, now)
	s.Inbox.Register(metrics.Registry())
	s.Limits.Register(metrics.Registry())
	s.Evictions.Register(metrics.Registry())
	health, inflight := handlers.NewHealth(buildVersion(), s.Status), new(middleware.Inflight)
	router, err := routes.New(routes.HandlersOf(s, health, metrics), routes.Options{
		Log: log, Mode: cfg.GinMode, CORSOrigins: cfg.CORSOrigins, TrustedProxies: cfg.TrustedProxies,
		Inflight: inflight, Strict: cfg.Environment != config.Development, Now: now,
		Requests:    s.Counters,
		Idempotency: &middleware.Idempotency{Service: s.Idempotency},
		Authentication: &middleware.Authentication{
			Keys: s.KeyAuth, People: s.LoginSessions, Operator: cfg.AdminToken,
			Limits: &middleware.RateLimits{Limiter: limiter, IPPerMinute: cfg.RateLimitIP, ClientIPPerMinute: cfg.RateLimitClientIP, Now: now},
		},
	})
	return parts{router: router, health: health, inflight: inflight, workers: s.Workers()}, err
}
