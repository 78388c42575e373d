package config

import (
	"strings"

	"pulse-control-plane/models"
)

// Variable describes a setting, for documentation and the tests that keep it
// in step with the code.
type Variable struct {
	Name string
	// Group is the heading it stands under.
	Group       string
	Description string
	// Default is what an empty text means; DevelopmentDefault, when set, is
	// what it means in development.
	Default            string
	DevelopmentDefault string
	// Example is refused as a value in staging and production.
	Example string
	// Secret values are never shown.
	Secret bool
	// Required variables have no default in staging and production.
	Required bool
}

// DefaultIn is the default in an environment.
func (v Variable) DefaultIn(e Environment) string {
	if e == Development && v.DevelopmentDefault != "" {
		return v.DevelopmentDefault
	}
	return v.Default
}

// Variables lists every variable Pulse reads, in the order of .env.example.
func Variables() []Variable {
	table := variables()
	out := make([]Variable, len(table))
	for i, v := range table {
		out[i] = v.Variable
	}
	return out
}

// variable is a row of the table: what is documented, and how it is read.
type variable struct {
	Variable
	// kept: development generates it and keeps it in DATA_DIR/secrets.json.
	kept bool
	// parse checks a non-empty text and stores it in the Config.
	parse func(c *Config, text string) error
}

// read refuses examples in staging and production and parses the rest.
func (v *variable) read(c *Config, text string) error {
	if c.Environment.strict() && (v.Example != "" && text == v.Example || v.Secret && soundsLikeExample(text)) {
		return errExample
	}
	return v.parse(c, text)
}

// The groups of settings, which are headings of .env.example.
const (
	groupProcess  = "Process"
	groupStorage  = "Storage"
	groupLiveKit  = "LiveKit"
	groupSecrets  = "Secrets (make one with: openssl rand -base64 48)"
	groupNetwork  = "Access and limits"
	groupLogging  = "Logs, profiles and traces"
	groupOptional = "Optional services"
)

// variables is the table. ENVIRONMENT comes first, because what others mean
// depends on it. To add a variable, add a row, its field in Config, and run
// the tests of this package with -update to bring .env.example in step.
func variables() []variable {
	return []variable{
		{Variable: Variable{Name: "ENVIRONMENT", Group: groupProcess, Default: string(Development),
			Description: "development, staging or production. The latter two refuse to start without strong secrets."},
			parse: func(c *Config, text string) error {
				return oneOf((*string)(&c.Environment), text, string(Development), string(Staging), string(Production))
			}},
		{Variable: Variable{Name: "HOST", Group: groupProcess, DevelopmentDefault: "127.0.0.1",
			Description: "Address to listen on. Unset: every interface; in development only loopback, because its secrets are public."},
			parse: func(c *Config, text string) error { return host(&c.Host, text) }},
		{Variable: Variable{Name: "PORT", Group: groupProcess, Default: "8081",
			Description: "Port to listen on; 0 lets the system choose."},
			parse: func(c *Config, text string) error { return integer(&c.Port, text, 0, 65535) }},
		{Variable: Variable{Name: "GIN_MODE", Group: groupProcess, Default: "release",
			Description: "Mode of the HTTP router: debug, release or test. debug prints every route at start."},
			parse: func(c *Config, text string) error { return oneOf(&c.GinMode, text, "debug", "release", "test") }},
		{Variable: Variable{Name: "SHUTDOWN_TIMEOUT", Group: groupProcess, Default: "5s",
			Description: "How long requests under way may take to finish after SIGTERM, up to 10m."},
			parse: func(c *Config, text string) error { return duration(&c.ShutdownTimeout, text) }},
		{Variable: Variable{Name: "SHUTDOWN_NOTICE", Group: groupProcess, Default: "0s",
			Description: "How long to keep serving after SIGTERM while /health/ready answers 503, so that load balancers stop sending requests, up to 10m."},
			parse: func(c *Config, text string) error { return pause(&c.ShutdownNotice, text, maxShutdown) }},

		{Variable: Variable{Name: "MONGO_URI", Group: groupStorage, Secret: true,
			Description: "mongodb://… or mongodb+srv://… for MongoDB. Unset: the embedded database in DATA_DIR/pulse.db; sqlite://PATH: the embedded database in that file."},
			parse: func(c *Config, text string) error { return database(&c.Database, text) }},
		{Variable: Variable{Name: "MONGO_DB_NAME", Group: groupStorage, Default: "pulse",
			Description: "Name of the database in MongoDB."},
			parse: func(c *Config, text string) error { return databaseName(&c.Database.Name, text) }},
		{Variable: Variable{Name: "INDEX_TIMEOUT", Group: groupStorage, Default: "10m",
			Description: "How long MongoDB may take to build one index, up to 24h. Indexes that are only for speed are built while Pulse serves."},
			parse: func(c *Config, text string) error { return indexTimeout(&c.Database.IndexTimeout, text) }},
		{Variable: Variable{Name: "DATA_DIR", Group: groupStorage, Default: "./data",
			Description: "Folder for everything Pulse itself keeps on disk."},
			parse: func(c *Config, text string) error { return path(&c.DataDir, text) }},

		{Variable: Variable{Name: "BACKUP_SCHEDULE", Group: groupStorage,
			Description: "When the server backs up the embedded database (docs/BACKUP.md): a cron expression of five fields in UTC, such as 0 3 * * *, or @daily, @hourly or @every 6h. CRON_TZ=Europe/Berlin before it sets another time zone. Unset: never."},
			parse: func(c *Config, text string) error { return schedule(&c.Backups, text) }},
		{Variable: Variable{Name: "BACKUP_DIR", Group: groupStorage,
			Description: "Folder of these backups, best on another disk. Unset: backups in DATA_DIR."},
			parse: func(c *Config, text string) error { return path(&c.Backups.Dir, text) }},
		{Variable: Variable{Name: "BACKUP_KEEP", Group: groupStorage, Default: "7",
			Description: "How many of these backups are kept, 1 to 1000; older ones are deleted after a new one is complete."},
			parse: func(c *Config, text string) error { return integer(&c.Backups.Keep, text, 1, 1000) }},

		{Variable: Variable{Name: "LIVEKIT_HOST", Group: groupLiveKit, DevelopmentDefault: "ws://127.0.0.1:7880", Required: true,
			Description: "URL of the LiveKit server as clients reach it: ws://, wss://, http:// or https://. The development values below are those of `livekit-server --dev`."},
			parse: func(c *Config, text string) error { return liveKitHost(&c.LiveKit.Host, text) }},
		{Variable: Variable{Name: "LIVEKIT_API_KEY", Group: groupLiveKit, DevelopmentDefault: "devkey", Example: "devkey", Required: true,
			Description: "API key of the LiveKit server."},
			parse: func(c *Config, text string) error { return token(&c.LiveKit.APIKey, text) }},
		{Variable: Variable{Name: "LIVEKIT_API_SECRET", Group: groupLiveKit, DevelopmentDefault: "secret", Example: "secret", Secret: true, Required: true,
			Description: "API secret of the LiveKit server; at least 32 characters in staging and production."},
			parse: func(c *Config, text string) error { return c.strong(&c.LiveKit.APISecret, text) }},
		{Variable: Variable{Name: "LIVEKIT_API_URL", Group: groupLiveKit,
			Description: "URL at which Pulse itself reaches the LiveKit server, where that differs from LIVEKIT_HOST, as between containers. Unset: LIVEKIT_HOST."},
			parse: func(c *Config, text string) error { return liveKitHost(&c.LiveKit.APIURL, text) }},
		{Variable: Variable{Name: "LIVEKIT_REGION", Group: groupLiveKit, Default: DefaultCluster,
			Description: "Region of the cluster of LIVEKIT_HOST."},
			parse: func(c *Config, text string) error { return regionName(&c.LiveKit.Region, text) }},
		{Variable: Variable{Name: "LIVEKIT_CLUSTERS_FILE", Group: groupLiveKit,
			Description: "YAML file that names further LiveKit clusters (docs/CLUSTERS.md). It is read again on SIGHUP and when it changes."},
			parse: func(c *Config, text string) error { return path(&c.LiveKit.ClustersFile, text) }},
		{Variable: Variable{Name: "RECONCILE_INTERVAL", Group: groupLiveKit, Default: "30s",
			Description: "How often open usage sessions are compared with what LiveKit lists, up to 10m."},
			parse: func(c *Config, text string) error { return duration(&c.ReconcileInterval, text) }},

		{Variable: Variable{Name: "JWT_SECRET", Group: groupSecrets, Secret: true, Required: true, Example: "change-me-jwt-secret-of-at-least-32-characters",
			Description: "Signs access tokens. For a rotation, several separated by commas: the first signs, every one verifies. Development generates one."},
			kept: true, parse: func(c *Config, text string) error { return c.secrets(&c.JWTSecrets, text) }},
		{Variable: Variable{Name: "API_KEY_PEPPER", Group: groupSecrets, Secret: true, Required: true, Example: "change-me-api-key-pepper-of-at-least-32-characters",
			Description: "Keys the hashes of API secrets. For a rotation, several separated by commas: the first hashes, every one verifies (docs/KEYS.md). Without the one in its hash an API secret is invalid; passwords stay valid. Development generates one."},
			kept: true, parse: func(c *Config, text string) error { return c.peppers(text) }},
		{Variable: Variable{Name: "DATA_KEY", Group: groupSecrets, Secret: true, Required: true, Example: "Y2hhbmdlLW1lLWRhdGEta2V5LW9mLTMyLWJ5dGVzLi4=",
			Description: "Encrypts confidential values at rest: 32 bytes in base64 or hex (openssl rand -base64 32). For a rotation, several separated by commas: the first seals, every one opens; rekey seals all values with the first (docs/KEYS.md). Without it those values cannot be read. Development generates one."},
			kept: true, parse: func(c *Config, text string) error { return dataKeys(&c.DataKeys, text) }},
		{Variable: Variable{Name: "PULSE_ADMIN_TOKEN", Group: groupSecrets, Secret: true, Example: "change-me-admin-token-of-at-least-32-characters",
			Description: "Bearer token of the operator of this installation. Unset: operator access is disabled."},
			parse: func(c *Config, text string) error { return c.bearer(&c.AdminToken, text) }},
		{Variable: Variable{Name: "METRICS_TOKEN", Group: groupSecrets, Secret: true, Example: "change-me-metrics-token-of-at-least-32-characters",
			Description: "Bearer token that /metrics requires. Unset: /metrics is public."},
			parse: func(c *Config, text string) error { return c.bearer(&c.MetricsToken, text) }},
		{Variable: Variable{Name: "BCRYPT_COST", Group: groupSecrets, Default: "12",
			Description: "Work factor of bcrypt for passwords, 4 to 14; at least 10 in staging and production (OWASP Password Storage Cheat Sheet). Each step doubles the time."},
			parse: func(c *Config, text string) error { return c.bcryptCost(text) }},

		{Variable: Variable{Name: "SIGNUP_ENABLED", Group: groupNetwork, Default: "true",
			Description: "Whether organizations can sign up without credentials; false: only the operator creates them."},
			parse: func(c *Config, text string) error { return boolean(&c.SignupEnabled, text) }},
		{Variable: Variable{Name: "CORS_ORIGINS", Group: groupNetwork, DevelopmentDefault: "*",
			Description: "Origins whose pages may call the API, separated by commas, such as https://app.example.com; * allows any origin, without credentials. Unset: none; in development any."},
			parse: func(c *Config, text string) error { return origins(&c.CORSOrigins, text) }},
		{Variable: Variable{Name: "TRUSTED_PROXIES", Group: groupNetwork,
			Description: "Trusted proxies: addresses or networks (CIDR), separated by commas, whose X-Forwarded-For is believed. Unset: none."},
			parse: func(c *Config, text string) error { return networks(&c.TrustedProxies, text) }},
		{Variable: Variable{Name: "RATE_LIMIT_IP_PER_MINUTE", Group: groupNetwork, Default: "100",
			Description: "Unauthenticated requests a minute from one IP address; 0 disables the limit."},
			parse: func(c *Config, text string) error { return integer(&c.RateLimitIP, text, 0, maxRate) }},
		{Variable: Variable{Name: "RATE_LIMIT_CLIENT_IP_PER_MINUTE", Group: groupNetwork,
			Description: "Requests a minute from one IP address with one project's key alone, without its secret; 0 disables the limit. Unset: six times RATE_LIMIT_IP_PER_MINUTE."},
			parse: func(c *Config, text string) error { return integer(&c.RateLimitClientIP, text, 0, maxRate) }},
		{Variable: Variable{Name: "RATE_LIMIT_PROJECT_PER_MINUTE", Group: groupNetwork, Default: "1000",
			Description: "Requests a minute of one project on the free plan; pro gets at least 10,000, enterprise 100,000. 0 disables the limit for every plan."},
			parse: func(c *Config, text string) error { return integer(&c.RateLimitProject, text, 0, maxRate) }},

		{Variable: Variable{Name: "BODY_MEMORY", Group: groupNetwork, Default: "64MiB",
			Description: "Memory of all request bodies being read, such as 64MiB; further requests with a body get 503. Unauthenticated requests use at most a quarter of it, and one caller with several unfinished bodies at most half of what is left."},
			parse: func(c *Config, text string) error { return size(&c.BodyMemory, text) }},

		{Variable: Variable{Name: "QUOTA_FREE", Group: groupNetwork,
			Description: "Quotas of each project on the free plan, separated by commas, such as concurrent_participants=100,rooms=20. Known quotas: " + quotaNames() + "; the last applies to the organization. A quota that is not named is unlimited."},
			parse: func(c *Config, text string) error { return c.quotas(models.PlanFree, text) }},
		{Variable: Variable{Name: "QUOTA_PRO", Group: groupNetwork,
			Description: "The same for the plan pro."},
			parse: func(c *Config, text string) error { return c.quotas(models.PlanPro, text) }},
		{Variable: Variable{Name: "QUOTA_ENTERPRISE", Group: groupNetwork,
			Description: "The same for the plan enterprise."},
			parse: func(c *Config, text string) error { return c.quotas(models.PlanEnterprise, text) }},
		{Variable: Variable{Name: "QUOTA_GRACE", Group: groupNetwork, Default: "5m",
			Description: "How long rooms and egresses continue after a monthly quota is used up, up to 24h; 0s ends them at once."},
			parse: func(c *Config, text string) error { return pause(&c.QuotaGrace, text, maxGrace) }},

		{Variable: Variable{Name: "RESERVATION_TTL", Group: groupNetwork, Default: "1m",
			Description: "How long a token reserves its slots of a quota until its participant joins, up to 10m. Participants who join later take a free slot or are evicted."},
			parse: func(c *Config, text string) error { return duration(&c.ReservationTTL, text) }},
		{Variable: Variable{Name: "AGENTS_DEFAULT", Group: groupNetwork, DevelopmentDefault: "*",
			Description: "Names of LiveKit agents, separated by commas, that tokens of projects without a setting of their own may dispatch; * is all, none is none. Workers of every tenant register on the same cluster, so name those that all may use. Unset: none; in development all."},
			parse: func(c *Config, text string) error { return agents(&c.AgentsDefault, text) }},
		{Variable: Variable{Name: "WEBHOOK_ALLOW_PRIVATE", Group: groupNetwork, Default: "false",
			Description: "Whether URLs that tenants name may lead to loopback and private networks. Link-local and metadata addresses are refused even then."},
			parse: func(c *Config, text string) error { return boolean(&c.AllowPrivate, text) }},
		{Variable: Variable{Name: "EGRESS_LOCAL", Group: groupNetwork, Default: "false",
			Description: "Whether projects without a storage may record on the egress workers' own disks. All tenants' recordings are in the same folder there."},
			parse: func(c *Config, text string) error { return boolean(&c.EgressLocal, text) }},
		{Variable: Variable{Name: "EGRESS_WEB", Group: groupNetwork, Default: "false",
			Description: "Whether tenants may record web pages. A recorded page sees the network of the egress worker: fence the workers first (docs/RECORDING.md)."},
			parse: func(c *Config, text string) error { return boolean(&c.EgressWeb, text) }},
		{Variable: Variable{Name: "MEDIA_ALLOW_PRIVATE", Group: groupNetwork, Default: "false",
			Description: "Whether targets that tenants name for egress and ingress may be in private networks, for installations whose targets stand beside them. Link-local and metadata addresses stay refused."},
			parse: func(c *Config, text string) error { return boolean(&c.MediaAllowPrivate, text) }},
		{Variable: Variable{Name: "PUBLIC_URL", Group: groupNetwork,
			Description: "URL at which browsers reach this installation, such as https://pulse.example.com; mails link to its dashboard. Empty: mails hold tokens instead of links."},
			parse: func(c *Config, text string) error {
				err := page(&c.PublicURL, text)
				c.PublicURL = strings.TrimRight(c.PublicURL, "/")
				return err
			}},
		{Variable: Variable{Name: "DASHBOARD_ENABLED", Group: groupNetwork, Default: "true",
			Description: "Whether the dashboard is served at /dashboard/."},
			parse: func(c *Config, text string) error { return boolean(&c.Dashboard, text) }},
		{Variable: Variable{Name: "DASHBOARD_DIR", Group: groupNetwork,
			Description: "Folder the dashboard is read from on every request, for work on it. Empty: what is in the binary."},
			parse: func(c *Config, text string) error { return path(&c.DashboardDir, text) }},

		{Variable: Variable{Name: "LOG_LEVEL", Group: groupLogging, Default: "info",
			Description: "debug, info, warn or error."},
			parse: func(c *Config, text string) error {
				return oneOf(&c.LogLevel, text, "debug", "info", "warn", "error")
			}},
		{Variable: Variable{Name: "LOG_FORMAT", Group: groupLogging, Default: "json", DevelopmentDefault: "console",
			Description: "console or json. Unset: json; in development console."},
			parse: func(c *Config, text string) error { return oneOf(&c.LogFormat, text, "console", "json") }},
		{Variable: Variable{Name: "SLOW_OPERATION", Group: groupLogging, Default: "1s",
			Description: "Calls to the database or LiveKit that take longer are logged as warnings, up to 10m; 0s disables that."},
			parse: func(c *Config, text string) error { return pause(&c.SlowOperation, text, maxShutdown) }},
		{Variable: Variable{Name: "METRICS_PROJECTS", Group: groupLogging, Default: "false",
			Description: "Whether /metrics has counters of single projects: of the 50 most active ones by id, of the rest as other."},
			parse: func(c *Config, text string) error { return boolean(&c.MetricsProjects, text) }},
		{Variable: Variable{Name: "PPROF_ADDRESS", Group: groupLogging,
			Description: "Loopback address and port, such as 127.0.0.1:6060, that serves Go's profiles under /debug/pprof/. Unset: off."},
			parse: func(c *Config, text string) error { return loopback(&c.PprofAddress, text) }},
		{Variable: Variable{Name: "OTEL_EXPORTER_OTLP_ENDPOINT", Group: groupLogging,
			Description: "Base URL of an OpenTelemetry collector, such as http://localhost:4318, that gets traces as OTLP over HTTP. Unset: no tracing. OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES, OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG in the environment apply as OpenTelemetry specifies."},
			parse: func(c *Config, text string) error { return collector(&c.Traces.Endpoint, text) }},
		{Variable: Variable{Name: "OTEL_EXPORTER_OTLP_HEADERS", Group: groupLogging, Secret: true,
			Description: "Headers for the collector, such as authorization=Bearer%20…, as name=value separated by commas, values percent-encoded."},
			parse: func(c *Config, text string) error { return exportHeaders(&c.Traces.Headers, text) }},

		{Variable: Variable{Name: "REDIS_URL", Group: groupOptional, Secret: true,
			Description: "redis://… or rediss://…, where replicas count requests together, so that a rate limit holds across all of them. Unset: each replica counts its own requests."},
			parse: func(c *Config, text string) error { return redisURL(&c.RedisURL, text) }},
		{Variable: Variable{Name: "SMTP_URL", Group: groupOptional, Secret: true,
			Description: "Mail server for invitations: smtp://user:password@host:587?from=pulse@example.com (STARTTLS, required with a password; tls=required, optional or off overrides that) or smtps://…. Unset: the inviter gets the accept token in the response."},
			parse: func(c *Config, text string) error { return mailServer(&c.SMTP, text) }},
		{Variable: Variable{Name: "INVITATION_URL", Group: groupOptional,
			Description: "Your page that accepts invitations; mails link to it with #token=… appended. Unset: mails contain the token itself."},
			parse: func(c *Config, text string) error { return page(&c.InvitationURL, text) }},
	}
}

// soundsLikeExample recognises placeholders that documentation uses for secrets.
func soundsLikeExample(text string) bool {
	lower := strings.ToLower(text)
	for _, word := range []string{"change-me", "changeme", "change_me", "your-secret", "your_secret", "placeholder", "devsecret"} {
		if strings.Contains(lower, word) {
			return true
		}
	}
	return false
}

// bcryptCost bounds the cost: guessing stays expensive, and a login takes less
// than seconds.
func (c *Config) bcryptCost(text string) error {
	least := 4
	if c.Environment.strict() {
		least = 10
	}
	return integer(&c.BcryptCost, text, least, 14)
}
