// Command pulse-control-plane is the control plane: one binary that serves
// /v1. See README.md for its sub-commands and settings.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"github.com/urfave/cli/v3"
	"go.opentelemetry.io/otel/trace"

	"pulse-control-plane/config"
	"pulse-control-plane/dashboard"
	"pulse-control-plane/database"
	"pulse-control-plane/handlers"
	"pulse-control-plane/handlers/commands"
	"pulse-control-plane/middleware"
	"pulse-control-plane/routes"
	"pulse-control-plane/services"
	"pulse-control-plane/services/audit"
	"pulse-control-plane/services/data"
	"pulse-control-plane/services/livekit"
	"pulse-control-plane/services/tenancy"
	"pulse-control-plane/utils/arguments"
	"pulse-control-plane/utils/buildinfo"
	"pulse-control-plane/utils/httpserver"
	"pulse-control-plane/utils/lifecycle"
	"pulse-control-plane/utils/observe"
	"pulse-control-plane/utils/ratelimit"
	"pulse-control-plane/utils/safedial"
	"pulse-control-plane/utils/tracing"
	"pulse-control-plane/utils/tuning"
	"pulse-control-plane/utils/worker"
)

// version is set when a release is built.
var version = "dev"

// Exit codes; see handlers/commands.
const (
	exitOK      = 0
	exitFailed  = commands.ExitFailed
	exitUsage   = arguments.ExitUsage
	exitNoInput = commands.ExitNoInput
	exitConfig  = commands.ExitConfig
)

// process is what a run gets from outside.
type process struct {
	environ        []string
	stdout, stderr io.Writer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	// The first signal restores the default: a second one ends the process at once.
	context.AfterFunc(ctx, stop)
	os.Exit(process{environ: os.Environ(), stdout: os.Stdout, stderr: os.Stderr}.run(ctx, os.Args[1:]))
}

// run executes one sub-command and returns the exit code.
func (p process) run(ctx context.Context, args []string) int {
	err := p.commands().Run(ctx, append([]string{"pulse-control-plane"}, args...))
	if err == nil {
		return exitOK
	}
	if text := err.Error(); text != "" {
		fmt.Fprintln(p.stderr, text)
	}
	if exit, ok := errors.AsType[cli.ExitCoder](err); ok {
		return exit.ExitCode()
	}
	return exitUsage // every action returns an ExitCoder; the rest is the parser's
}

// commands is the command line: what each sub-command takes and does.
func (p process) commands() *cli.Command {
	return &cli.Command{
		Name:      "pulse-control-plane",
		Usage:     "a self-hosted control plane over LiveKit",
		UsageText: "pulse-control-plane [command]   (without a command: serve)",
		Description: "Settings are read from the environment and from .env in the working folder; .env.example lists them.\n\n" +
			"Exit codes: 0 success, 1 failure, 64 wrong command line, 66 unreadable file, 78 invalid configuration.",
		Writer: p.stdout, ErrWriter: p.stderr, ArgValidator: arguments.None, OnUsageError: arguments.Wrong,
		Flags:          []cli.Flag{&cli.BoolFlag{Name: "version", Aliases: []string{"v"}, Usage: "print the version", Local: true}},
		Before:         p.versionFlag,
		ExitErrHandler: func(context.Context, *cli.Command, error) {}, // run reports and gives the exit code
		Action:         p.configured("serve", p.serve),
		Commands: append(p.shared().Stored(), []*cli.Command{
			{Name: "serve", Usage: "serve /v1 (the default)", OnUsageError: arguments.Wrong, Action: p.configured("serve", p.serve)},
			{Name: "healthcheck", Usage: "exit 0 if the server on this machine answers /health", OnUsageError: arguments.Wrong,
				Action: p.configured("healthcheck", healthcheck)},
			{Name: "audit", Usage: "check the audit trail", OnUsageError: arguments.Wrong, Action: arguments.CommandMissing, Commands: []*cli.Command{{
				Name: "verify", Usage: "check an export of the audit trail (JSON lines)", ArgsUsage: "FILE [HEAD]",
				Description:  "HEAD is the head_hash, from an earlier GET /v1/audit-logs/verify, that the export must end with.",
				OnUsageError: arguments.Wrong, ArgValidator: arguments.FileAndHead, Action: p.verifyExport,
			}}},
			{Name: "version", Usage: "print the version", OnUsageError: arguments.Wrong, Action: p.printVersion},
		}...),
	}
}

// shared is what commands of their own package get of this run.
func (p process) shared() commands.Process {
	return commands.Process{Environ: p.environ, Stdout: p.stdout, Stderr: p.stderr, Version: buildVersion()}
}

func (p process) configured(name string, act func(context.Context, config.Config, zerolog.Logger) error) cli.ActionFunc {
	return p.shared().Configured(name, act)
}

// versionFlag makes --version do what the sub-command does, and nothing else.
func (p process) versionFlag(ctx context.Context, c *cli.Command) (context.Context, error) {
	if !c.Root().Bool("version") {
		return ctx, nil
	}
	return ctx, cmp.Or(p.printVersion(ctx, c), error(cli.Exit("", exitOK)))
}

func (p process) printVersion(context.Context, *cli.Command) error {
	return p.print(buildVersion())
}

func (p process) print(line string) error {
	if _, err := fmt.Fprintln(p.stdout, line); err != nil {
		return cli.Exit(err, exitFailed)
	}
	return nil
}

// verifyExport checks an export of the audit trail.
func (p process) verifyExport(_ context.Context, c *cli.Command) error {
	file, err := os.Open(c.Args().First())
	if err != nil {
		return cli.Exit(err, exitNoInput)
	}
	defer file.Close()
	report, err := audit.VerifyExport(file, c.Args().Get(1))
	if err != nil {
		return cli.Exit(fmt.Errorf("verification failed: %w", err), exitFailed)
	}
	return p.print(report.Sentence())
}

// buildVersion is the release's version, else what the go command stamped in.
func buildVersion() string { return buildinfo.Version(version) }

// healthcheck requests /health from the server of this configuration on this
// machine.
func healthcheck(ctx context.Context, cfg config.Config, _ zerolog.Logger) error {
	host := cfg.Host
	if ip := net.ParseIP(host); host == "" || ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return httpserver.Healthy(ctx, "http://"+net.JoinHostPort(host, strconv.Itoa(cfg.Port))+"/health")
}

// serve builds the parts in order and runs them until ctx ends.
func (p process) serve(ctx context.Context, cfg config.Config, log zerolog.Logger) error {
	tuning.Memory(log)
	life := lifecycle.Life{Grace: cfg.ShutdownTimeout, Notice: cfg.ShutdownNotice}
	observed, err := observing(ctx, cfg, log, &life)
	if err != nil {
		return err
	}
	// It listens before the database is open, so that /health tells the two apart.
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", net.JoinHostPort(cfg.Host, strconv.Itoa(cfg.Port)))
	if err != nil {
		return errors.Join(fmt.Errorf("HOST and PORT cannot be listened on: %w", err), life.Close(ctx))
	}
	options := routes.Options{
		Log: log, Mode: cfg.GinMode, CORSOrigins: cfg.CORSOrigins, TrustedProxies: cfg.TrustedProxies, BodyMemory: cfg.BodyMemory,
		Strict: cfg.Environment != config.Development, Tracing: observed.traces, Now: time.Now,
	}
	front := httpserver.NewSwitch(routes.Starting(buildVersion(), options))
	server := httpserver.New(front)
	served := server.Start(listener)
	life.Closer("http", server.Shutdown)
	log.Info().Str("address", listener.Addr().String()).Msg("listening; opening the database")
	at := commands.Location(cfg)
	at.Tracer = observed.recorder.Tracer()
	engine, err := database.Open(ctx, at, log)
	if err == nil {
		life.Closer("database", engine.Close)
		err = data.Recognise(ctx, engine, commands.Secrets(cfg), false, log)
	}
	if ctx.Err() != nil {
		log.Info().Msg("stopped by a signal before serving")
		return life.Close(ctx)
	}
	if err != nil {
		return errors.Join(err, life.Close(ctx))
	}
	life.Worker("database", engine.Run)
	life.Worker("names of collections", func(ctx context.Context) error { return database.FollowNames(ctx, engine) })

	built, err := build(engine, cfg, observed, options, &life)
	if err != nil {
		return errors.Join(err, life.Close(ctx))
	}
	life.OnDrain(func() { built.health.Draining.Store(true) })
	life.OnDrain(built.services.Events.Close) // streams, which nothing else ends
	for _, w := range built.services.Workers() {
		life.Worker(w.Name, w.Run)
	}
	if cfg.LiveKit.ClustersFile != "" {
		life.Worker("clusters file", func(ctx context.Context) error {
			return built.services.Clusters.Follow(ctx, cfg.LiveKit.ClustersFile, func() ([]livekit.Cluster, map[string][]string, error) { return liveKitClusters(cfg) })
		})
	}
	built.services.MeasureClock(ctx)
	front.To(built.router)
	life.Server("http", served, func(ctx context.Context) error {
		built.inflight.Drain(ctx) // readiness keeps answering (503) until the requests under way are done
		return server.Shutdown(ctx)
	})
	if cfg.PprofAddress != "" {
		profiles, err := httpserver.ListenProfiles(ctx, cfg.PprofAddress)
		if err != nil {
			return errors.Join(fmt.Errorf("PPROF_ADDRESS: %w", err), life.Close(ctx))
		}
		life.Server("pprof", profiles.Serve, profiles.Shutdown)
	}

	log.Info().Str("version", buildVersion()).Str("address", listener.Addr().String()).Str("engine", engine.Name()).
		Str("livekit", cfg.LiveKit.Host).Str("environment", string(cfg.Environment)).Msg("serving")
	err = life.Run(ctx)
	log.Info().Err(err).Msg("stopped")
	return err
}

// observation is what the process says about itself.
type observation struct {
	log      zerolog.Logger
	recorder *observe.Recorder
	// traces is nil without a collector.
	traces trace.TracerProvider
}

// observing measures slow calls and, if a collector is set, exports traces.
func observing(ctx context.Context, cfg config.Config, log zerolog.Logger, life *lifecycle.Life) (observation, error) {
	o, calls := observation{log: log}, observe.Config{Namespace: "pulse", Slow: cfg.SlowOperation, Log: log}
	if cfg.Traces.Endpoint != "" {
		provider, shutdown, err := tracing.Start(ctx, tracing.Config{
			Endpoint: cfg.Traces.Endpoint, Headers: cfg.Traces.Headers, Service: "pulse-control-plane", Version: buildVersion(), Log: log,
		})
		if err != nil {
			return o, err
		}
		life.Closer("traces", shutdown)
		o.traces, calls.Tracer = provider, provider.Tracer("pulse-control-plane")
	}
	o.recorder = observe.New(calls)
	return o, nil
}

// limiterSize is how many callers' request counts are remembered.
const limiterSize = 200_000

// parts are what serve needs of the whole.
type parts struct {
	router   http.Handler
	health   *handlers.Health
	inflight *middleware.Inflight
	services *services.Services
}

// build puts the layers together over the engine and registers with life what
// must be closed.
func build(engine database.Engine, cfg config.Config, o observation, options routes.Options, life *lifecycle.Life) (parts, error) {
	now := options.Now
	local := ratelimit.New(limiterSize, now)
	metrics := middleware.NewMetrics(buildVersion(), cfg.MetricsToken, now)
	var limiter middleware.Limiter = ratelimit.Local{Limiter: local}
	var shared *ratelimit.Shared
	if !cfg.RedisURL.IsZero() {
		shared = ratelimit.NewShared(cfg.RedisURL.Reveal(), local)
		life.Closer("redis", shared.Close)
		limiter = shared
	}
	var mailer tenancy.Mailer
	if cfg.SMTP != nil {
		mailer = tenancy.NewSMTP(*cfg.SMTP)
	}
	clusters, fallback, err := liveKitClusters(cfg)
	if err != nil {
		return parts{}, err
	}
	s, err := services.New(engine, services.Config{
		Clusters: clusters, Fallback: fallback,
		DataKeys: cfg.DataKeys, Peppers: cfg.APIKeyPeppers, JWTKeys: cfg.JWTSecrets, BcryptCost: cfg.BcryptCost, Operator: cfg.AdminToken,
		SignUp: cfg.SignupEnabled, Plans: cfg.Quotas, QuotaGrace: cfg.QuotaGrace, ReservationTTL: cfg.ReservationTTL, Agents: cfg.AgentsDefault,
		Media:                    services.Media{EgressLocal: cfg.EgressLocal, EgressWeb: cfg.EgressWeb, AllowPrivate: cfg.MediaAllowPrivate},
		ProjectRequestsPerMinute: int64(cfg.RateLimitProject), PersonRequestsPerMinute: int64(cfg.RateLimitProject),
		Targets: safedial.Options{AllowHTTP: cfg.Environment == config.Development, AllowPrivate: cfg.AllowPrivate}, PublicURL: cfg.PublicURL,
		Mailer: mailer, InvitationURL: cfg.InvitationURL, ResetURL: cfg.ResetURL, ReconcileInterval: cfg.ReconcileInterval,
		Backups: commands.Backups(cfg, buildVersion()), ProjectMetrics: cfg.MetricsProjects, Recorder: o.recorder, Observer: worker.NewMetrics("pulse", metrics.Registry()), Redis: shared, Log: o.log, Now: now,
	})
	if err != nil {
		return parts{}, err
	}
	s.Register(metrics.Registry())
	o.recorder.Register(metrics.Registry())
	health, inflight := handlers.NewHealth(buildVersion(), s.Status), new(middleware.Inflight)
	all := routes.HandlersOf(s, health, metrics, handlers.Facts{
		Secure: cfg.Environment != config.Development, SignupEnabled: cfg.SignupEnabled, Mail: cfg.SMTP != nil,
		OperatorLogin: !cfg.AdminToken.IsZero(), LiveKitURLs: []string{cfg.LiveKit.Host}, Version: buildVersion(),
	})
	if cfg.Dashboard {
		if all.Dashboard, err = dashboard.New(dashboard.Config{Dir: cfg.DashboardDir, Connect: []string{cfg.LiveKit.Host}}); err != nil {
			return parts{}, err
		}
	}
	options.Inflight, options.Requests, options.Idempotency = inflight, s.Counters, &middleware.Idempotency{Service: s.Idempotency}
	options.Authentication = &middleware.Authentication{
		Keys: s.KeyAuth, People: s.LoginSessions, Operator: cfg.AdminToken,
		Limits: &middleware.RateLimits{Limiter: limiter, IPPerMinute: cfg.RateLimitIP, ClientIPPerMinute: cfg.RateLimitClientIP, Now: now},
	}
	router, err := routes.New(all, options)
	return parts{router: router, health: health, inflight: inflight, services: s}, err
}

// liveKitClusters are the cluster of LIVEKIT_HOST and those of
// LIVEKIT_CLUSTERS_FILE.
func liveKitClusters(cfg config.Config) (list []livekit.Cluster, fallback map[string][]string, err error) {
	list = []livekit.Cluster{{
		Name: config.DefaultCluster, Region: cfg.LiveKit.Region, URL: cfg.LiveKit.Host, APIURL: cfg.LiveKit.APIURL,
		APIKey: cfg.LiveKit.APIKey, APISecret: cfg.LiveKit.APISecret, Weight: 1,
	}}
	if cfg.LiveKit.ClustersFile == "" {
		return list, nil, nil
	}
	further, err := cfg.ReadClusters()
	if err != nil {
		return nil, nil, fmt.Errorf("LIVEKIT_CLUSTERS_FILE: %w", err)
	}
	for _, c := range further.Clusters {
		cluster := livekit.Cluster{Name: c.Name, Region: c.Region, URL: c.URL, APIURL: c.APIURL, Weight: c.Weight,
			APIKey: c.Keys[0].Key, APISecret: c.Keys[0].Secret}
		for _, older := range c.Keys[1:] {
			cluster.Older = append(cluster.Older, livekit.KeyPair{Key: older.Key, Secret: older.Secret})
		}
		list = append(list, cluster)
	}
	return list, further.Fallback, nil
}
