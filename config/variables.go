package config

import (
	"strings"

	"pulse-control-plane/models"
)

// Variable describes a setting, for documentation and the tests that keep it
// in step.
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
	// kept in DATA_DIR/secrets.json, and made for it, where development has none.
	kept bool
	// parse checks a text that is not empty and puts it in its place.
	parse func(c *Config, text string) error
}

// read refuses an example's text where it matters and parses any other.
func (v *variable) read(c *Config, text string) error {
	if c.Environment.strict() && (v.Example != "" && text == v.Example || v.Secret && soundsLikeExample(text)) {
		return errExample
	}
	return v.parse(c, text)
}

// variables is the table. ENVIRONMENT comes first, because what others mean
// depends on it. To add a variable, add a row, its field in Config, and run
// the tests of this package with -update to bring .env.example in step.
func variables() []variable {
	const (
		process  = "Process"
		storage  = "Storage"
		livekit  = "LiveKit"
		secrets  = "Secrets (make one with: openssl rand -base64 48)"
		network  = "Access and limits"
		logging  = "Logs"
		optional = "Optional services"
	)
	return []variable{
		{Variable: Variable{Name: "ENVIRONMENT", Group: process, Default: string(Development),
			Description: "development, staging or production. The latter two refuse to start without strong secrets."},
			parse: func(c *Config, text string) error {
				return oneOf((*string)(&c.Environment), text, string(Development), string(Staging), string(Production))
			}},
		{Variable: Variable{Name: "HOST", Group: process, DevelopmentDefault: "127.0.0.1",
			Description: "Address to listen on. Empty: every interface, except in development, whose secrets are well known."},
			parse: func(c *Config, text string) error { return host(&c.Host, text) }},
		{Variable: Variable{Name: "PORT", Group: process, Default: "8081",
			Description: "Port to listen on; 0 lets the system choose."},
			parse: func(c *Config, text string) error { return integer(&c.Port, text, 0, 65535) }},
		{Variable: Variable{Name: "GIN_MODE", Group: process, Default: "release", DevelopmentDefault: "debug",
			Description: "debug, release or test."},
			parse: func(c *Config, text string) error { return oneOf(&c.GinMode, text, "debug", "release", "test") }},
		{Variable: Variable{Name: "SHUTDOWN_TIMEOUT", Group: process, Default: "5s",
			Description: "How long requests under way may take to finish after SIGTERM, up to 10m."},
			parse: func(c *Config, text string) error { return duration(&c.ShutdownTimeout, text) }},

		{Variable: Variable{Name: "MONGO_URI", Group: storage, Secret: true,
			Description: "mongodb://… or mongodb+srv://… for MongoDB. Empty: the embedded database in DATA_DIR/pulse.db; sqlite://PATH: the embedded database in that file."},
			parse: func(c *Config, text string) error { return database(&c.Database, text) }},
		{Variable: Variable{Name: "MONGO_DB_NAME", Group: storage, Default: "pulse",
			Description: "Name of the database in MongoDB."},
			parse: func(c *Config, text string) error { return databaseName(&c.Database.Name, text) }},
		{Variable: Variable{Name: "DATA_DIR", Group: storage, Default: "./data",
			Description: "Folder for everything Pulse itself keeps on disk."},
			parse: func(c *Config, text string) error { return path(&c.DataDir, text) }},

		{Variable: Variable{Name: "LIVEKIT_HOST", Group: livekit, DevelopmentDefault: "ws://127.0.0.1:7880", Required: true,
			Description: "URL of the LiveKit server as clients reach it: ws://, wss://, http:// or https://. The development values below are those of `livekit-server --dev`."},
			parse: func(c *Config, text string) error { return liveKitHost(&c.LiveKit.Host, text) }},
		{Variable: Variable{Name: "LIVEKIT_API_KEY", Group: livekit, DevelopmentDefault: "devkey", Example: "devkey", Required: true,
			Description: "API key of the LiveKit server."},
			parse: func(c *Config, text string) error { return token(&c.LiveKit.APIKey, text) }},
		{Variable: Variable{Name: "LIVEKIT_API_SECRET", Group: livekit, DevelopmentDefault: "secret", Example: "secret", Secret: true, Required: true,
			Description: "Its secret; at least 32 characters in staging and production."},
			parse: func(c *Config, text string) error { return c.strong(&c.LiveKit.APISecret, text) }},
		{Variable: Variable{Name: "RECONCILE_INTERVAL", Group: livekit, Default: "30s",
			Description: "How often what is metered is compared with what LiveKit lists, up to 10m."},
			parse: func(c *Config, text string) error { return duration(&c.ReconcileInterval, text) }},

		{Variable: Variable{Name: "JWT_SECRET", Group: secrets, Secret: true, Required: true, Example: "change-me-jwt-secret-of-at-least-32-characters",
			Description: "Signs access tokens. Several, separated by commas, for a rotation: the first signs, each verifies. Development makes one."},
			kept: true, parse: func(c *Config, text string) error { return c.jwtSecrets(text) }},
		{Variable: Variable{Name: "API_KEY_PEPPER", Group: secrets, Secret: true, Required: true, Example: "change-me-api-key-pepper-of-at-least-32-characters",
			Description: "Goes into the hashes of API secrets. Changing it makes every API secret invalid; passwords stay valid. Development makes one."},
			kept: true, parse: func(c *Config, text string) error { return c.strong(&c.APIKeyPepper, text) }},
		{Variable: Variable{Name: "DATA_KEY", Group: secrets, Secret: true, Required: true, Example: "Y2hhbmdlLW1lLWRhdGEta2V5LW9mLTMyLWJ5dGVzLi4=",
			Description: "Seals what is confidential at rest: 32 bytes in base64 or hex (openssl rand -base64 32). What was sealed can not be read without it. Development makes one."},
			kept: true, parse: func(c *Config, text string) error { return dataKey(&c.DataKey, text) }},
		{Variable: Variable{Name: "PULSE_ADMIN_TOKEN", Group: secrets, Secret: true, Example: "change-me-admin-token-of-at-least-32-characters",
			Description: "Bearer token of the operator of this installation. Empty: there is none."},
			parse: func(c *Config, text string) error { return c.bearer(&c.AdminToken, text) }},
		{Variable: Variable{Name: "METRICS_TOKEN", Group: secrets, Secret: true, Example: "change-me-metrics-token-of-at-least-32-characters",
			Description: "Bearer token that /metrics asks for. Empty: it asks for none."},
			parse: func(c *Config, text string) error { return c.bearer(&c.MetricsToken, text) }},
		{Variable: Variable{Name: "BCRYPT_COST", Group: secrets, Default: "12",
			Description: "Work factor of bcrypt for passwords, 4 to 14; at least 10 in staging and production (OWASP Password Storage Cheat Sheet). Each step doubles the time."},
			parse: func(c *Config, text string) error { return c.bcryptCost(text) }},

		{Variable: Variable{Name: "SIGNUP_ENABLED", Group: network, Default: "true",
			Description: "Whether anybody may sign up an organization; false leaves it to the operator."},
			parse: func(c *Config, text string) error { return boolean(&c.SignupEnabled, text) }},
		{Variable: Variable{Name: "CORS_ORIGINS", Group: network, DevelopmentDefault: "*",
			Description: "Origins whose pages may call the API, separated by commas, such as https://app.example.com; * is any, and then without credentials. Empty: none, except in development."},
			parse: func(c *Config, text string) error { return origins(&c.CORSOrigins, text) }},
		{Variable: Variable{Name: "TRUSTED_PROXIES", Group: network,
			Description: "Addresses or networks (CIDR), separated by commas, whose X-Forwarded-For is believed. Empty: none."},
			parse: func(c *Config, text string) error { return networks(&c.TrustedProxies, text) }},
		{Variable: Variable{Name: "RATE_LIMIT_IP_PER_MINUTE", Group: network, Default: "100",
			Description: "Requests a minute from one IP address where nobody is authenticated; 0 is no limit."},
			parse: func(c *Config, text string) error { return integer(&c.RateLimitIP, text, 0, maxRate) }},
		{Variable: Variable{Name: "RATE_LIMIT_PROJECT_PER_MINUTE", Group: network, Default: "1000",
			Description: "Requests a minute of one project on the free plan; pro has at least 10,000, enterprise 100,000. 0 is no limit for any plan."},
			parse: func(c *Config, text string) error { return integer(&c.RateLimitProject, text, 0, maxRate) }},

		{Variable: Variable{Name: "QUOTA_FREE", Group: network,
			Description: "Quotas of each project on the free plan, separated by commas, such as concurrent_participants=100,rooms=20. There are " + quotaNames() + "; the last is of the organization. What is not named is not limited."},
			parse: func(c *Config, text string) error { return c.quotas(models.PlanFree, text) }},
		{Variable: Variable{Name: "QUOTA_PRO", Group: network,
			Description: "The same for the plan pro."},
			parse: func(c *Config, text string) error { return c.quotas(models.PlanPro, text) }},
		{Variable: Variable{Name: "QUOTA_ENTERPRISE", Group: network,
			Description: "The same for the plan enterprise."},
			parse: func(c *Config, text string) error { return c.quotas(models.PlanEnterprise, text) }},
		{Variable: Variable{Name: "QUOTA_GRACE", Group: network, Default: "5m",
			Description: "How long rooms and egresses go on after the minutes of a month are used up, up to 24h; 0s ends them at once."},
			parse: func(c *Config, text string) error { return grace(&c.QuotaGrace, text) }},

		{Variable: Variable{Name: "DASHBOARD_ENABLED", Group: network, Default: "true",
			Description: "Whether the dashboard is served at /dashboard/."},
			parse: func(c *Config, text string) error { return boolean(&c.Dashboard, text) }},
		{Variable: Variable{Name: "DASHBOARD_DIR", Group: network,
			Description: "Folder the dashboard is read from on every request, for work on it. Empty: what is in the binary."},
			parse: func(c *Config, text string) error { return path(&c.DashboardDir, text) }},

		{Variable: Variable{Name: "LOG_LEVEL", Group: logging, Default: "info",
			Description: "debug, info, warn or error."},
			parse: func(c *Config, text string) error {
				return oneOf(&c.LogLevel, text, "debug", "info", "warn", "error")
			}},
		{Variable: Variable{Name: "LOG_FORMAT", Group: logging, Default: "json", DevelopmentDefault: "console",
			Description: "console or json. Empty: json, except in development."},
			parse: func(c *Config, text string) error { return oneOf(&c.LogFormat, text, "console", "json") }},

		{Variable: Variable{Name: "REDIS_URL", Group: optional, Secret: true,
			Description: "redis://… or rediss://…, where replicas count requests together, so that a limit holds for all of them. Empty: each counts for itself."},
			parse: func(c *Config, text string) error { return redisURL(&c.RedisURL, text) }},
		{Variable: Variable{Name: "SMTP_URL", Group: optional, Secret: true,
			Description: "Mail server for invitations: smtp://user:password@host:587?from=pulse@example.com (STARTTLS, required with a password; tls=required, optional or off says otherwise) or smtps://…. Empty: the inviter is handed the accept token."},
			parse: func(c *Config, text string) error { return mailServer(&c.SMTP, text) }},
		{Variable: Variable{Name: "INVITATION_URL", Group: optional,
			Description: "Page of yours that accepts invitations; mails link to it with #token=… at its end. Empty: mails hold the token itself."},
			parse: func(c *Config, text string) error { return page(&c.InvitationURL, text) }},
	}
}

// soundsLikeExample recognises what documentation puts where a secret belongs.
func soundsLikeExample(text string) bool {
	lower := strings.ToLower(text)
	for _, word := range []string{"change-me", "changeme", "change_me", "your-secret", "your_secret", "placeholder", "devsecret"} {
		if strings.Contains(lower, word) {
			return true
		}
	}
	return false
}

// bcryptCost keeps the cost where a login neither is cheap to guess nor takes
// seconds.
func (c *Config) bcryptCost(text string) error {
	least := 4
	if c.Environment.strict() {
		least = 10
	}
	return integer(&c.BcryptCost, text, least, 14)
}
