package config

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"time"

	"pulse-control-plane/models"
	"pulse-control-plane/utils/secret"
	"pulse-control-plane/utils/smtpurl"
)

// Environment is where Pulse runs; every one but development requires strong
// secrets.
type Environment string

// The environments.
const (
	Development Environment = "development"
	Staging     Environment = "staging"
	Production  Environment = "production"
)

// Config is everything that can be set from outside. Secrets print redacted.
type Config struct {
	Environment Environment
	// Host is the address to listen on; "" is every interface.
	Host string
	// Port to listen on; 0 lets the system choose.
	Port int
	// GinMode is "debug", "release" or "test".
	GinMode string

	Database Database
	// DataDir is the folder of everything that Pulse itself keeps on disk.
	DataDir string
	// Backups are those that the server makes.
	Backups Backups
	LiveKit LiveKit
	// ReconcileInterval is how often open usage sessions are compared with what
	// LiveKit lists.
	ReconcileInterval time.Duration

	// JWTSecrets: the first signs access tokens, each of them verifies.
	JWTSecrets []secret.Value
	// APIKeyPeppers: the first goes into new hashes of API secrets, each of them
	// verifies.
	APIKeyPeppers []secret.Value
	// DataKeys are the master keys of values sealed at rest, 32 raw bytes each:
	// the first seals, each of them opens.
	DataKeys []secret.Value
	// BcryptCost is bcrypt's work factor for passwords.
	BcryptCost int
	// AdminToken is the operator's bearer token; empty disables operator access.
	AdminToken secret.Value
	// MetricsToken guards /metrics; empty leaves /metrics open.
	MetricsToken  secret.Value
	SignupEnabled bool

	// CORSOrigins are lower-case origins such as "https://app.example.com", or
	// the single "*".
	CORSOrigins []string
	// TrustedProxies are the proxies whose X-Forwarded-For is believed.
	TrustedProxies []netip.Prefix
	// RateLimitIP and RateLimitProject are requests a minute; 0 is no limit.
	RateLimitIP      int
	RateLimitProject int
	// BodyMemory bounds the request bodies being read together, in bytes.
	BodyMemory int64
	// RateLimitClientIP is what one address may do with a project's key alone,
	// in requests a minute; 0 is no limit.
	RateLimitClientIP int
	// Quotas limit each project of an organization, and its number of projects,
	// by plan.
	Quotas models.PlanQuotas
	// QuotaGrace is how long rooms and egresses continue after a monthly quota is
	// used up.
	QuotaGrace time.Duration
	// ReservationTTL is the longest that a token reserves its slots.
	ReservationTTL time.Duration
	// EgressLocal lets projects without a storage record on the egress workers' own
	// disks, EgressWeb lets workers record web pages.
	EgressLocal, EgressWeb bool
	// MediaAllowPrivate opens private networks to targets that tenants name.
	MediaAllowPrivate bool
	// AgentsDefault are the LiveKit agents that projects without a setting of
	// their own may dispatch; the single "*" is all.
	AgentsDefault []string

	// LogLevel is "debug", "info", "warn" or "error".
	LogLevel string
	// LogFormat is "console" or "json".
	LogFormat string
	// ShutdownTimeout is how long requests under way may take to finish after a
	// signal.
	ShutdownTimeout time.Duration
	// ShutdownNotice is how long the process keeps serving after a signal while
	// it reports that it is not ready.
	ShutdownNotice time.Duration

	// MetricsProjects has /metrics name the most active projects.
	MetricsProjects bool
	// PprofAddress is the loopback host:port of Go's profiles, or "".
	PprofAddress string
	// SlowOperation is how long a call to the database or LiveKit takes before it
	// is logged; 0 logs none.
	SlowOperation time.Duration
	// Traces says where traces go; its zero value turns tracing off.
	Traces Traces

	// RedisURL is empty without Redis.
	RedisURL secret.Value
	// SMTP is the mail server; nil without one.
	SMTP *smtpurl.Server
	// InvitationURL is the page that invitation mails link to, or "".
	InvitationURL string
	// ResetURL is the page that mails to set a new password link to, or "".
	ResetURL string
	// AllowPrivate lets URLs that tenants name lead to private networks.
	AllowPrivate bool
	// PublicURL is where browsers reach the installation, without a slash at its
	// end, or "".
	PublicURL string
	// Dashboard reports whether /dashboard/ is served.
	Dashboard bool
	// DashboardDir, when set, is served instead of the files in the binary.
	DashboardDir string
}

// Database says which engine to use.
type Database struct {
	// URI of MongoDB; empty for the embedded engine.
	URI secret.Value
	// Path of the embedded engine's file; "" for MongoDB.
	Path string
	// Name of the database in MongoDB.
	Name string
	// IndexTimeout limits the build of one index on MongoDB.
	IndexTimeout time.Duration
}

// Backups say when the server backs up the embedded database, and where.
type Backups struct {
	// Schedule is a cron expression with its time zone, "" for none; see Next.
	Schedule string
	Dir      string
	Keep     int
}

// Traces is an OpenTelemetry collector.
type Traces struct {
	// Endpoint is its base URL for OTLP over HTTP; "" turns tracing off.
	Endpoint string
	// Headers go with each export, as name=value separated by commas.
	Headers secret.Value
}

// LiveKit is the cluster that tokens are minted for.
type LiveKit struct {
	// Host is a URL with scheme ws, wss, http or https and no trailing slash.
	Host string
	// APIURL is where Pulse calls the cluster; Host unless it is set.
	APIURL    string
	APIKey    string
	APISecret secret.Value
	// Region is that of this cluster.
	Region string
	// ClustersFile names further clusters; "" if there are none.
	ClustersFile string
}

// strict reports whether secrets must be present, strong and not examples. It
// is true for the zero Environment, which a misspelt one leaves.
func (e Environment) strict() bool { return e != Development }

// String shows every setting, secrets redacted.
func (c Config) String() string {
	type plain Config // without this method
	return fmt.Sprintf("%+v", plain(c))
}

// Problem is one invalid variable.
type Problem struct {
	Variable string
	Message  string
}

// Error is every problem of a configuration. Its text is for the operator and
// names variables, never their values.
type Error struct {
	Problems []Problem
}

// Error lists the problems, one a line.
func (e *Error) Error() string {
	var text strings.Builder
	text.WriteString("invalid configuration:")
	for _, p := range e.Problems {
		text.WriteString("\n  " + p.Variable + ": " + p.Message)
	}
	return text.String()
}

func (e *Error) add(variable, message string) {
	e.Problems = append(e.Problems, Problem{variable, message})
}

// Load reads the configuration from the environment (os.Environ()) and the
// .env file at that path, which need not exist. In development it generates
// missing secrets and keeps them in DATA_DIR/secrets.json. Every error is an
// *Error.
func Load(environ []string, dotenvPath string) (Config, error) {
	var (
		c        Config
		problems Error
		missing  []variable
	)
	from := readSources(environ, dotenvPath, &problems)
	for _, v := range variables() {
		text, err := from.lookup(v.Name)
		if err == nil {
			if text == "" {
				text = v.DefaultIn(c.Environment)
			}
			switch {
			case text != "":
				err = v.read(&c, text)
			case v.kept && !c.Environment.strict():
				missing = append(missing, v)
			case v.Required:
				err = errRequired
			}
		}
		if err != nil {
			problems.add(v.Name, err.Error())
		}
	}
	from.refuseUnknown(&problems)
	c.settle(from, &problems)
	if len(problems.Problems) == 0 && len(missing) > 0 {
		c.fillIn(missing, &problems)
	}
	if len(problems.Problems) > 0 {
		return Config{}, &problems
	}
	return c, nil
}

// settle checks and completes settings that depend on several variables.
func (c *Config) settle(from *sources, problems *Error) {
	if c.PublicURL != "" && c.Dashboard {
		c.ResetURL = c.PublicURL + "/dashboard/reset"
		if c.InvitationURL == "" {
			c.InvitationURL = c.PublicURL + "/dashboard/accept"
		}
	}
	if !from.has("RATE_LIMIT_CLIENT_IP_PER_MINUTE") {
		c.RateLimitClientIP = min(maxRate, clientIPFactor*c.RateLimitIP)
	}
	if c.Database.URI.IsZero() && c.Database.Path == "" {
		c.Database.Path = filepath.Join(c.DataDir, "pulse.db")
	}
	if c.Backups.Dir == "" {
		c.Backups.Dir = filepath.Join(c.DataDir, "backups")
	}
	if c.Backups.Schedule != "" && !c.Database.URI.IsZero() {
		problems.add("BACKUP_SCHEDULE", "works with the embedded database only; MONGO_URI names MongoDB, see docs/BACKUP.md")
	}
	if c.LiveKit.APIURL == "" {
		c.LiveKit.APIURL = c.LiveKit.Host
	}
	// A key with the default secret, or the reverse, would only fail later, at
	// LiveKit.
	if from.has("LIVEKIT_API_KEY") != from.has("LIVEKIT_API_SECRET") && !c.Environment.strict() {
		problems.add("LIVEKIT_API_SECRET", "must be set together with LIVEKIT_API_KEY")
	}
}

// fillIn reads the missing variables from DATA_DIR/secrets.json, which it
// creates if needed.
func (c *Config) fillIn(missing []variable, problems *Error) {
	kept, err := keptSecrets(c.DataDir)
	if err != nil {
		problems.add("DATA_DIR", err.Error())
		return
	}
	for _, v := range missing {
		if err := v.read(c, kept[v.Name]); err != nil {
			problems.add(v.Name, "in "+secretsFile+" of DATA_DIR: "+err.Error())
		}
	}
}
