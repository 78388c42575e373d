package config

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pulse-control-plane/models"
)

// strongText is what a real secret looks like; number makes several.
func strongText(number int) string {
	return fmt.Sprintf("%02d-kT9vQ2xLr7mZpW4cYb8nHs5dJf3gEa6u", number)
}

// production is an environment that starts; change replaces or adds entries.
func production(change ...string) []string {
	environ := []string{
		"ENVIRONMENT=production",
		"LIVEKIT_HOST=wss://livekit.example.com",
		"LIVEKIT_API_KEY=APIabc",
		"LIVEKIT_API_SECRET=" + strongText(1),
		"JWT_SECRET=" + strongText(2),
		"API_KEY_PEPPER=" + strongText(3),
		"DATA_KEY=" + base64.StdEncoding.EncodeToString([]byte(strongText(4)[:32])),
	}
	return append(environ, change...) // the last of a name counts
}

// development is an environment that starts, in a folder of its own.
func development(t *testing.T, change ...string) []string {
	t.Helper()
	return append([]string{"DATA_DIR=" + t.TempDir()}, change...)
}

func noDotenv(t *testing.T) string { return filepath.Join(t.TempDir(), ".env") }

func load(t *testing.T, environ []string) Config {
	t.Helper()
	c, err := Load(environ, noDotenv(t))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// problems gives the names of the variables that are wrong.
func problems(t *testing.T, environ []string, dotenv string) []string {
	t.Helper()
	_, err := Load(environ, dotenv)
	if err == nil {
		return nil
	}
	all, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("got %T %v", err, err)
	}
	var names []string
	for _, p := range all.Problems {
		if !strings.Contains(err.Error(), p.Variable+": "+p.Message) {
			t.Errorf("the error's text lacks %v:\n%v", p, err)
		}
		names = append(names, p.Variable)
	}
	return names
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDevelopmentStartsWithoutAnySetting(t *testing.T) {
	t.Chdir(t.TempDir())
	c := load(t, nil)
	want := Config{
		Environment: Development, Host: "127.0.0.1", Port: 8081, GinMode: "release",
		Database: Database{Path: filepath.Join("data", "pulse.db"), Name: "pulse", IndexTimeout: 10 * time.Minute}, DataDir: "./data", Backups: Backups{Dir: filepath.Join("data", "backups"), Keep: 7},
		LiveKit:           LiveKit{Host: "ws://127.0.0.1:7880", APIURL: "ws://127.0.0.1:7880", APIKey: "devkey", APISecret: c.LiveKit.APISecret, Region: DefaultCluster},
		ReconcileInterval: 30 * time.Second,
		JWTSecrets:        c.JWTSecrets, APIKeyPeppers: c.APIKeyPeppers, DataKeys: c.DataKeys, BcryptCost: 12,
		SignupEnabled: true, CORSOrigins: []string{"*"}, RateLimitIP: 100, RateLimitClientIP: 600, RateLimitProject: 1000, BodyMemory: 64 << 20,
		QuotaGrace: 5 * time.Minute, ReservationTTL: time.Minute, AgentsDefault: []string{"*"}, LogLevel: "info", LogFormat: "console", ShutdownTimeout: 5 * time.Second, SlowOperation: time.Second,
		Dashboard: true,
	}
	if !reflect.DeepEqual(c, want) {
		t.Fatalf("\n got %v\nwant %v", c, want)
	}
	if c.LiveKit.APISecret.Reveal() != "secret" || len(c.JWTSecrets) != 1 || len(c.DataKeys[0].Reveal()) != 32 || len(c.APIKeyPeppers[0].Reveal()) < 32 {
		t.Fatal("secrets are missing")
	}
}

func TestProductionStartsWithStrongSecretsAndLeavesTheDiskAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	c := load(t, production("DATA_DIR="+dir))
	if c.Environment != Production || c.Host != "" || c.GinMode != "release" || c.LogFormat != "json" || len(c.CORSOrigins) != 0 || len(c.AgentsDefault) != 0 {
		t.Fatalf("got %v", c)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("the data folder was touched: %v", err)
	}
}

func TestEverySettingReachesItsField(t *testing.T) {
	c := load(t, production(
		"ENVIRONMENT=staging", "HOST=::1", "PORT=0", "GIN_MODE=test", "SHUTDOWN_TIMEOUT=1m30s",
		"MONGO_URI=mongodb://u:p@db:27017/?replicaSet=rs0", "MONGO_DB_NAME=pulse_2", "DATA_DIR=/var/lib/pulse", "INDEX_TIMEOUT=3h",
		"LIVEKIT_HOST=https://lk.example.com/", "LIVEKIT_API_KEY=APIx", "LIVEKIT_API_SECRET="+strongText(10),
		"JWT_SECRET="+strongText(11)+", "+strongText(12), "API_KEY_PEPPER="+strongText(13)+", "+strongText(17),
		"DATA_KEY="+hex.EncodeToString([]byte(strongText(14)[:32]))+","+base64.StdEncoding.EncodeToString([]byte(strongText(18)[:32])),
		"PULSE_ADMIN_TOKEN="+strongText(15), "METRICS_TOKEN="+strongText(16), "BCRYPT_COST=11", "SIGNUP_ENABLED=false",
		"CORS_ORIGINS=https://A.example.com:443, http://localhost:3000", "TRUSTED_PROXIES=10.1.2.3/8, 192.0.2.1,::1",
		"RATE_LIMIT_IP_PER_MINUTE=0", "RATE_LIMIT_PROJECT_PER_MINUTE=5", "BODY_MEMORY=128 MiB", "LOG_LEVEL=debug", "LOG_FORMAT=console",
		"REDIS_URL=rediss://:pw@redis:6379/1", "QUOTA_FREE=rooms=2, projects=3", "QUOTA_PRO=concurrent_participants=4",
		"QUOTA_ENTERPRISE=participant_minutes_per_month=5,egress_minutes_per_month=6", "QUOTA_GRACE=0s",
		"RESERVATION_TTL=30s", "AGENTS_DEFAULT=scribe, helper",
		"SHUTDOWN_NOTICE=3s", "SLOW_OPERATION=0s", "METRICS_PROJECTS=true", "PPROF_ADDRESS=[::1]:06060", "OTEL_EXPORTER_OTLP_ENDPOINT=http://otel:4318/", "OTEL_EXPORTER_OTLP_HEADERS=a=b%20c",
	))
	type row struct{ got, want any }
	for name, r := range map[string]row{
		"environment": {c.Environment, Staging}, "host": {c.Host, "::1"}, "port": {c.Port, 0}, "gin": {c.GinMode, "test"},
		"shutdown": {c.ShutdownTimeout, 90 * time.Second}, "uri": {c.Database.URI.Reveal(), "mongodb://u:p@db:27017/?replicaSet=rs0"},
		"path": {c.Database.Path, ""}, "index": {c.Database.IndexTimeout, 3 * time.Hour}, "db": {c.Database.Name, "pulse_2"}, "data": {c.DataDir, "/var/lib/pulse"},
		"livekit": {c.LiveKit.Host, "https://lk.example.com"}, "key": {c.LiveKit.APIKey, "APIx"}, "secret": {c.LiveKit.APISecret.Reveal(), strongText(10)},
		"jwt":      {[]string{c.JWTSecrets[0].Reveal(), c.JWTSecrets[1].Reveal()}, []string{strongText(11), strongText(12)}},
		"pepper":   {[]string{c.APIKeyPeppers[0].Reveal(), c.APIKeyPeppers[1].Reveal()}, []string{strongText(13), strongText(17)}},
		"data key": {[]string{c.DataKeys[0].Reveal(), c.DataKeys[1].Reveal()}, []string{strongText(14)[:32], strongText(18)[:32]}},
		"admin":    {c.AdminToken.Reveal(), strongText(15)}, "metrics": {c.MetricsToken.Reveal(), strongText(16)}, "cost": {c.BcryptCost, 11},
		"signup": {c.SignupEnabled, false}, "body memory": {c.BodyMemory, int64(128 << 20)}, "origins": {c.CORSOrigins, []string{"https://a.example.com", "http://localhost:3000"}},
		"proxies": {c.TrustedProxies, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("::1/128")}},
		"ip":      {c.RateLimitIP, 0}, "project": {c.RateLimitProject, 5}, "level": {c.LogLevel, "debug"}, "format": {c.LogFormat, "console"},
		"redis": {c.RedisURL.Reveal(), "rediss://:pw@redis:6379/1"}, "grace": {c.QuotaGrace, time.Duration(0)},
		"reservations": {c.ReservationTTL, 30 * time.Second}, "agents": {c.AgentsDefault, []string{"scribe", "helper"}},
		"notice": {c.ShutdownNotice, 3 * time.Second}, "slow": {c.SlowOperation, time.Duration(0)}, "project metrics": {c.MetricsProjects, true}, "pprof": {c.PprofAddress, "[::1]:6060"},
		"traces": {c.Traces.Endpoint + " " + c.Traces.Headers.Reveal(), "http://otel:4318 a=b%20c"},
		"quotas": {c.Quotas, models.PlanQuotas{models.PlanFree: {Rooms: 2, Projects: 3}, models.PlanPro: {ConcurrentParticipants: 4},
			models.PlanEnterprise: {ParticipantMinutes: 5, EgressMinutes: 6}}},
	} {
		if !reflect.DeepEqual(r.got, r.want) {
			t.Errorf("%s: got %v, want %v", name, r.got, r.want)
		}
	}
}

func TestAllProblemsAreReportedTogetherByName(t *testing.T) {
	got := problems(t, production("PORT=http", "LOG_LEVEL=loud", "JWT_SECRET=", "DATA_KEY=short", "CORS_ORIGINS=example.com"), noDotenv(t))
	if want := []string{"PORT", "JWT_SECRET", "DATA_KEY", "CORS_ORIGINS", "LOG_LEVEL"}; !slices.Equal(got, want) {
		t.Fatalf("got %v", got)
	}
}

func TestMisspeltLimitsAreRefused(t *testing.T) {
	dotenv := filepath.Join(t.TempDir(), ".env")
	if err := os.WriteFile(dotenv, []byte("QUOTA_BASIC=rooms=1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := problems(t, production("QUOTA_FRE=rooms=1", "RATE_LIMIT_PROJECT=5", "QUOTA_FREE=rooms=1", "QUOTAS=x", "quota_free=rooms=1",
		"QUOTA_SERVICE_HOST=10.0.0.1", "QUOTA_PORT=tcp://10.0.0.1:80", "RATE_LIMIT_PORT_80_TCP_ADDR=10.0.0.2"), dotenv)
	if want := []string{"QUOTAS", "QUOTA_BASIC", "QUOTA_FRE", "RATE_LIMIT_PROJECT", "quota_free"}; !slices.Equal(got, want) {
		t.Errorf("problems of %v", got)
	}
}

func TestInvalidValuesAreRefused(t *testing.T) {
	for name, values := range map[string][]string{
		"ENVIRONMENT": {"prod", "Production", " "}, "HOST": {"a b", "localhost:80", "http://x"}, "PORT": {"-1", "65536", "x", "80 "},
		"GIN_MODE": {"verbose"}, "SHUTDOWN_TIMEOUT": {"5", "-1s", "0s", "11m"},
		"SHUTDOWN_NOTICE": {"5", "-1s", "11m"}, "SLOW_OPERATION": {"x", "-1s"}, "OTEL_EXPORTER_OTLP_ENDPOINT": {"localhost:4318", "grpc://x:4317", "http://", "http://u:p@x", "http://x?y"},
		"PPROF_ADDRESS":              {"6060", ":6060", "0.0.0.0:6060", "192.0.2.1:6060", "example.com:6060", "[::]:6060", "127.0.0.1:x", "127.0.0.1"},
		"OTEL_EXPORTER_OTLP_HEADERS": {"authorization", "=x", "a=b,,c=d", "a=%zz"}, "MONGO_URI": {"postgres://x", "sqlite://", "mongodb://", "sqlite://a?b", "/path"},
		"MONGO_DB_NAME": {"a/b", "a b", strings.Repeat("x", 64)}, "DATA_DIR": {"a\x00b"},
		"LIVEKIT_HOST": {"localhost:7880", "ftp://x", "ws://", "ws://u:p@x", "ws://x?y", "ws://x#y"}, "LIVEKIT_API_KEY": {"a b", "é"},
		"JWT_SECRET": {strongText(1) + ",", ",", strongText(1) + ",," + strongText(2), strongText(1) + ",short"}, "DATA_KEY": {dataKeyText(1) + "," + dataKeyText(1), dataKeyText(1) + ",", strings.Repeat(dataKeyText(1)+",", 8) + dataKeyText(2), "x", strings.Repeat("0", 64), strings.Repeat("zz", 32)},
		"PULSE_ADMIN_TOKEN": {"short", strongText(1) + " x"}, "METRICS_TOKEN": {"short"}, "BCRYPT_COST": {"9", "15", "x"}, "SIGNUP_ENABLED": {"maybe"},
		"CORS_ORIGINS": {"https://a.com/path", "a.com", "*,https://a.com", "https://a.com,", "ftp://a", "null", "https://*.example.com", "https://*"}, "TRUSTED_PROXIES": {"10.0.0.0/33", "x", "10.0.0.1,"},
		"RATE_LIMIT_IP_PER_MINUTE": {"-1", "1.5", "99999999999"}, "RATE_LIMIT_CLIENT_IP_PER_MINUTE": {"-1", "x"}, "RATE_LIMIT_PROJECT_PER_MINUTE": {"x"}, "BODY_MEMORY": {"0", "-1", "64", "64MB", "x", "31MiB", "1025GiB", "99999999999999999999"}, "LOG_LEVEL": {"trace"}, "LOG_FORMAT": {"text"},
		"QUOTA_FREE": {"rooms", "rooms=0", "rooms=-1", "rooms=1,rooms=2", "chairs=1", "rooms=1,"}, "QUOTA_GRACE": {"-1s", "25h", "x"},
		"RESERVATION_TTL": {"0s", "-1s", "11m", "60"}, "AGENTS_DEFAULT": {",", "a,", "*,a", strings.Repeat("x", 129), "a\tb"},
		"REDIS_URL": {"localhost:6379", "http://x", "redis://"}, "API_KEY_PEPPER": {"short", strongText(1) + ",short", strongText(1) + "," + strongText(1)}, "LIVEKIT_API_SECRET": {"short"},
	} {
		for _, value := range values {
			if got := problems(t, production(name+"="+value), noDotenv(t)); !slices.Equal(got, []string{name}) {
				t.Errorf("%s=%q: problems %v", name, value, got)
			}
		}
	}
}

func TestStagingAndProductionRefuseMissingWeakAndExampleSecrets(t *testing.T) {
	weak := map[string][]string{}
	for _, v := range Variables() {
		if v.Example != "" {
			weak[v.Name] = append(weak[v.Name], v.Example)
		}
		if v.Required {
			weak[v.Name] = append(weak[v.Name], "")
		}
		if v.Secret && v.Example != "" {
			weak[v.Name] = append(weak[v.Name], strongText(1)[:31], strings.Repeat("a", 64), "changeme-"+strongText(1))
		}
	}
	for _, name := range []string{"JWT_SECRET", "API_KEY_PEPPER", "DATA_KEY", "LIVEKIT_API_SECRET", "LIVEKIT_API_KEY", "LIVEKIT_HOST", "PULSE_ADMIN_TOKEN", "METRICS_TOKEN"} {
		if len(weak[name]) == 0 {
			t.Errorf("%s is not guarded", name)
		}
	}
	for name, values := range weak {
		for _, value := range values {
			for _, environment := range []string{"staging", "production"} {
				if got := problems(t, production("ENVIRONMENT="+environment, name+"="+value), noDotenv(t)); !slices.Equal(got, []string{name}) {
					t.Errorf("%s, %s=%q: problems %v", environment, name, value, got)
				}
			}
		}
	}
}

func TestAMisspeltEnvironmentIsNotDevelopment(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	got := problems(t, []string{"ENVIRONMENT=prodution", "DATA_DIR=" + dir}, noDotenv(t))
	for _, name := range []string{"ENVIRONMENT", "JWT_SECRET", "API_KEY_PEPPER", "DATA_KEY", "LIVEKIT_API_SECRET"} {
		if !slices.Contains(got, name) {
			t.Errorf("no problem with %s: %v", name, got)
		}
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Error("secrets were made")
	}
}

func TestNoProblemRepeatsAValue(t *testing.T) {
	const value = "hunter2hunter2"
	for _, v := range Variables() {
		for _, text := range []string{value, value + " :/@?#", "mongodb+" + value, "ftp://" + value} {
			if _, err := Load(production(v.Name+"="+text), noDotenv(t)); err != nil && strings.Contains(err.Error(), value) {
				t.Errorf("%s: %v", v.Name, err)
			}
		}
	}
	dotenv := write(t, ".env", "JWT_SECRET="+value+"\n"+value+"\n")
	if _, err := Load(production(), dotenv); err == nil || strings.Contains(err.Error(), value) || !strings.Contains(err.Error(), dotenv) {
		t.Errorf("a broken .env: %v", err)
	}
}

func TestAPrintedConfigurationShowsNoSecret(t *testing.T) {
	c := load(t, production("MONGO_URI=mongodb://u:hunter2@db", "REDIS_URL=redis://:hunter2@r", "PULSE_ADMIN_TOKEN="+strongText(7), "METRICS_TOKEN="+strongText(8)))
	encoded, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	printed := c.String() + fmt.Sprintf("%v %+v %#v %s", c, c, c, &c) + string(encoded)
	for _, leak := range []string{"hunter2", "kT9vQ2xLr7", hex.EncodeToString([]byte("kT9vQ2"))} {
		if strings.Contains(printed, leak) {
			t.Errorf("%q leaks: %s", leak, printed)
		}
	}
	if !strings.Contains(c.String(), "wss://livekit.example.com") {
		t.Errorf("not a secret, and not shown: %s", c)
	}
}

func TestALiveKitKeyWithoutItsSecretIsRefused(t *testing.T) {
	if got := problems(t, development(t, "LIVEKIT_API_KEY=APIx"), noDotenv(t)); !slices.Equal(got, []string{"LIVEKIT_API_SECRET"}) {
		t.Fatalf("problems %v", got)
	}
	c := load(t, development(t, "LIVEKIT_API_KEY=APIx", "LIVEKIT_API_SECRET=s"))
	if c.LiveKit.APIKey != "APIx" || c.LiveKit.APISecret.Reveal() != "s" {
		t.Fatalf("got %v", c)
	}
}

func TestTheEmbeddedDatabaseIsInDataDirUnlessAFileIsNamed(t *testing.T) {
	dir := t.TempDir()
	for uri, want := range map[string]string{
		"": filepath.Join(dir, "pulse.db"), "sqlite://other.db": "other.db", "sqlite:///var/lib/x.db": "/var/lib/x.db",
	} {
		c := load(t, []string{"DATA_DIR=" + dir, "MONGO_URI=" + uri})
		if c.Database.Path != want || !c.Database.URI.IsZero() {
			t.Errorf("%q: got %v", uri, c.Database)
		}
	}
}

func TestADataKeyIsReadFromHexAndEveryBase64Alphabet(t *testing.T) {
	raw := []byte("\xff\xfe\xfb0123456789abcdefghijklmnopqrs")
	for _, text := range []string{
		hex.EncodeToString(raw), strings.ToUpper(hex.EncodeToString(raw)), base64.StdEncoding.EncodeToString(raw),
		base64.RawStdEncoding.EncodeToString(raw), base64.URLEncoding.EncodeToString(raw), base64.RawURLEncoding.EncodeToString(raw),
	} {
		if c := load(t, production("DATA_KEY="+text)); c.DataKeys[0].Reveal() != string(raw) {
			t.Errorf("%s is read as %q", text, c.DataKeys[0].Reveal())
		}
	}
}

func TestTheLimitOfOneAddressWithAKeyFollowsThatOfOneWithout(t *testing.T) {
	for settings, want := range map[string]int{
		"": 600, "RATE_LIMIT_IP_PER_MINUTE=7": 42, "RATE_LIMIT_IP_PER_MINUTE=0": 0, "RATE_LIMIT_IP_PER_MINUTE=1000000000": 1_000_000_000,
		"RATE_LIMIT_CLIENT_IP_PER_MINUTE=0": 0, "RATE_LIMIT_IP_PER_MINUTE=0 RATE_LIMIT_CLIENT_IP_PER_MINUTE=5": 5, "RATE_LIMIT_CLIENT_IP_PER_MINUTE=": 600,
	} {
		t.Chdir(t.TempDir())
		if c := load(t, strings.Fields(settings)); c.RateLimitClientIP != want {
			t.Errorf("%q: %d, want %d", settings, c.RateLimitClientIP, want)
		}
	}
}

func TestMailsLinkToTheDashboardUnlessAPageIsNamed(t *testing.T) {
	for _, row := range []struct{ settings, invitation, reset string }{
		{"", "", ""},
		{"PUBLIC_URL=https://pulse.example.com/", "https://pulse.example.com/dashboard/accept", "https://pulse.example.com/dashboard/reset"},
		{"PUBLIC_URL=https://pulse.example.com INVITATION_URL=https://app.example.com/join", "https://app.example.com/join", "https://pulse.example.com/dashboard/reset"},
		{"PUBLIC_URL=https://pulse.example.com DASHBOARD_ENABLED=false", "", ""},
	} {
		c := load(t, production(strings.Fields(row.settings)...))
		if c.InvitationURL != row.invitation || c.ResetURL != row.reset {
			t.Errorf("%q: %q and %q", row.settings, c.InvitationURL, c.ResetURL)
		}
	}
}

// dataKeyText is a DATA_KEY, another one for each n.
func dataKeyText(n int) string {
	return base64.StdEncoding.EncodeToString([]byte(strongText(n)[:32]))
}
