package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"pulse-control-plane/models"
	"pulse-control-plane/utils/clientip"
	"pulse-control-plane/utils/secret"
	"pulse-control-plane/utils/smtpurl"
	"pulse-control-plane/utils/weborigin"
)

const (
	// leastSecret is the least number of characters of a secret in staging and
	// production: 256 bits at eight a character (RFC 7518, section 3.2, for
	// HS256).
	leastSecret = 32
	// leastDistinct is the least number of different characters; random text has
	// far more.
	leastDistinct = 8
	// maxRate is one request a nanosecond at a minute's scale: the limiter
	// cannot tell more from unlimited.
	maxRate = 1_000_000_000
	// clientIPFactor is how many times RATE_LIMIT_IP_PER_MINUTE an address may
	// ask with a project's key alone: a whole office asks from one.
	clientIPFactor = 6
	// maxShutdown bounds a shutdown.
	maxShutdown = 10 * time.Minute
	// minBodyMemory lets LiveKit's quarter of it hold two events of the largest
	// size; maxSize is 1 TiB.
	minBodyMemory = 32 << 20
	maxSize       = 1 << 40
	// maxAgentName is the most bytes of an agent's name.
	maxAgentName = 128
	// maxGrace bounds how long a quota may be overrun.
	maxGrace = 24 * time.Hour
	// maxIndexTimeout bounds the build of one index.
	maxIndexTimeout = 24 * time.Hour
)

var (
	errRequired = errors.New("is required in staging and production")
	errExample  = errors.New("is an example; set your own value")
	errWeak     = fmt.Errorf("is too weak: staging and production require at least %d random characters", leastSecret)
)

func oneOf(into *string, text string, allowed ...string) error {
	if !slices.Contains(allowed, text) {
		return errors.New("must be one of: " + strings.Join(allowed, ", "))
	}
	*into = text
	return nil
}

func integer(into *int, text string, least, most int) error {
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return fmt.Errorf("must be a whole number from %d to %d", least, most)
	}
	*into = n
	return nil
}

// size takes bytes, with an optional unit KiB, MiB or GiB.
func size(into *int64, text string) error {
	number, shift := text, 0
	for unit, bits := range map[string]int{"KiB": 10, "MiB": 20, "GiB": 30} {
		if rest, ok := strings.CutSuffix(text, unit); ok {
			number, shift = strings.TrimSpace(rest), bits
		}
	}
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 1 || n > maxSize>>shift || n<<shift < minBodyMemory {
		return errors.New("must be a size such as 64MiB, from 32MiB to 1024GiB")
	}
	*into = n << shift
	return nil
}

func boolean(into *bool, text string) error {
	b, err := strconv.ParseBool(text)
	if err != nil {
		return errors.New("must be true or false")
	}
	*into = b
	return nil
}

func duration(into *time.Duration, text string) error {
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 || d > maxShutdown {
		return errors.New("must be a duration such as 5s, at most 10m")
	}
	*into = d
	return nil
}

// agents takes names of agents, "*" for all or "none".
func agents(into *[]string, text string) error {
	*into = []string{}
	if text == "none" {
		return nil
	}
	for part := range strings.SplitSeq(text, ",") {
		name := strings.TrimSpace(part)
		if name == "" || len(name) > maxAgentName || strings.ContainsFunc(name, unicode.IsControl) {
			return fmt.Errorf("must be names of agents separated by commas, each of 1 to %d bytes, or * or none", maxAgentName)
		}
		*into = append(*into, name)
	}
	if len(*into) > 1 && slices.Contains(*into, "*") {
		return errors.New("must be * alone, or names without it")
	}
	return nil
}

// indexTimeout takes a duration up to a day: the build of an index depends on
// the number of documents.
func indexTimeout(into *time.Duration, text string) error {
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 || d > maxIndexTimeout {
		return errors.New("must be a duration such as 10m, at most 24h")
	}
	*into = d
	return nil
}

// pause takes a duration that may be zero.
func pause(into *time.Duration, text string, most time.Duration) error {
	d, err := time.ParseDuration(text)
	if err != nil || d < 0 || d > most {
		return fmt.Errorf("must be a duration such as 5s, from 0s to %v", most)
	}
	*into = d
	return nil
}

// quotas takes the limits of a plan, such as "rooms=10, projects=3".
func (c *Config) quotas(plan models.Plan, text string) error {
	var q models.Quotas
	for n, part := range strings.Split(text, ",") {
		name, value, _ := strings.Cut(part, "=")
		limit, err := strconv.ParseInt(strings.TrimSpace(value), 10, 64)
		if err != nil || limit < 1 || limit > models.MaxQuota {
			return fmt.Errorf("must be name=number, separated by commas, with numbers from 1 to %d (leave a quota out for no limit); part %d is not",
				models.MaxQuota, n+1)
		}
		known := models.Quota(strings.TrimSpace(name))
		if q.Of(known) != 0 {
			return fmt.Errorf("names %s twice", known)
		}
		if !q.Set(known, limit) {
			return fmt.Errorf("part %d names an unknown quota; the known ones are %s", n+1, quotaNames())
		}
	}
	if c.Quotas == nil {
		c.Quotas = models.PlanQuotas{}
	}
	c.Quotas[plan] = q
	return nil
}

// quotaNames lists the quotas, for descriptions and errors.
func quotaNames() string {
	names := make([]string, 0, len(models.QuotaNames()))
	for _, name := range models.QuotaNames() {
		names = append(names, string(name))
	}
	return strings.Join(names, ", ")
}

// host takes an IP address or a name to listen on, without a port.
func host(into *string, text string) error {
	bare := strings.TrimSuffix(strings.TrimPrefix(text, "["), "]")
	if _, err := netip.ParseAddr(bare); err != nil && strings.ContainsAny(text, " :/@[]") {
		return errors.New("must be an IP address or a host name, without a port")
	}
	*into = bare
	return nil
}

func path(into *string, text string) error {
	if strings.ContainsRune(text, 0) {
		return errors.New("must be a path")
	}
	*into = text
	return nil
}

// loopback takes host:port of an address that only this machine reaches.
func loopback(into *string, text string) error {
	host, port, err := net.SplitHostPort(text)
	addr, parseErr := netip.ParseAddr(host)
	number, portErr := strconv.ParseUint(port, 10, 16)
	if err != nil || portErr != nil || parseErr != nil && host != "localhost" || parseErr == nil && !addr.IsLoopback() {
		return errors.New("must be a loopback address and port such as 127.0.0.1:6060")
	}
	*into = net.JoinHostPort(host, strconv.FormatUint(number, 10))
	return nil
}

// collector takes the base URL of an OTLP receiver over HTTP.
func collector(into *string, text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("must be a URL with http:// or https:// and a host, without credentials")
	}
	*into = strings.TrimRight(text, "/")
	return nil
}

// exportHeaders takes headers as OTEL_EXPORTER_OTLP_HEADERS specifies: name=value
// separated by commas, percent-encoded
// (https://opentelemetry.io/docs/specs/otel/protocol/exporter/).
func exportHeaders(into *secret.Value, text string) error {
	for item := range strings.SplitSeq(text, ",") {
		name, value, ok := strings.Cut(item, "=")
		if _, err := url.PathUnescape(value); err != nil || !ok || strings.TrimSpace(name) == "" {
			return errors.New("must be name=value, separated by commas, with percent-encoded values")
		}
	}
	*into = secret.New(text)
	return nil
}

// token takes printable ASCII without spaces, which a header can carry.
func token(into *string, text string) error {
	for _, c := range []byte(text) {
		if c <= ' ' || c > '~' {
			return errors.New("must be printable ASCII without spaces")
		}
	}
	*into = text
	return nil
}

// ParseDatabase reads the text of MONGO_URI. The error's text follows the name of
// what it was read from.
func ParseDatabase(text string) (Database, error) {
	var d Database
	err := database(&d, text)
	return d, err
}

// database takes a MongoDB connection string or sqlite://PATH. The driver
// checks the rest of the former when it connects.
func database(into *Database, text string) error {
	if file, ok := strings.CutPrefix(text, "sqlite://"); ok {
		if file == "" || strings.ContainsAny(file, "?#\x00") {
			return errors.New("must name a file after sqlite://, without ? or #")
		}
		into.Path = file
		return nil
	}
	for _, scheme := range []string{"mongodb://", "mongodb+srv://"} {
		if rest, ok := strings.CutPrefix(text, scheme); ok && rest != "" {
			into.URI = secret.New(text)
			return nil
		}
	}
	return errors.New("must begin with mongodb://, mongodb+srv:// or sqlite://, or be empty")
}

// databaseName holds to MongoDB's restrictions on names
// (https://www.mongodb.com/docs/manual/reference/limits/#naming-restrictions).
func databaseName(into *string, text string) error {
	if len(text) > 63 || strings.ContainsAny(text, "/\\. \"$*<>:|?\x00") {
		return errors.New(`must be at most 63 bytes, none of / \ . " $ * < > : | ? or space`)
	}
	*into = text
	return nil
}

func liveKitHost(into *string, text string) error {
	u, err := url.Parse(text)
	if err != nil || !slices.Contains([]string{"ws", "wss", "http", "https"}, u.Scheme) ||
		u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return errors.New("must be a URL with ws://, wss://, http:// or https:// and a host")
	}
	*into = strings.TrimRight(text, "/")
	return nil
}

func regionName(into *string, text string) error {
	if !clusterName.MatchString(text) {
		return errors.New("must be 1 to 64 of a-z 0-9 - _")
	}
	*into = text
	return nil
}

func redisURL(into *secret.Value, text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "redis" && u.Scheme != "rediss" || u.Hostname() == "" {
		return errors.New("must be a URL with redis:// or rediss:// and a host")
	}
	*into = secret.New(text)
	return nil
}

func mailServer(into **smtpurl.Server, text string) error {
	server, err := smtpurl.Parse(text)
	if err != nil {
		return err
	}
	*into = &server
	return nil
}

// page takes the URL of a web page, to which mails append a fragment.
func page(into *string, text string) error {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.Fragment != "" {
		return errors.New("must be a URL such as https://dashboard.example.com/invitation, without #")
	}
	*into = u.String()
	return nil
}

// origins gives origins as browsers send them, whose ports leave out that of their scheme.
func origins(into *[]string, text string) error {
	var out []string
	for item := range strings.SplitSeq(text, ",") {
		item = strings.ToLower(strings.TrimSpace(item))
		if item == "*" {
			out = append(out, item)
			continue
		}
		u, err := url.Parse(item)
		if strings.Contains(item, "*") {
			return errors.New("takes no wildcards inside an origin: list each origin such as https://app.example.com, or set * for all")
		}
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || item != u.Scheme+"://"+u.Host {
			return errors.New("must be origins such as https://app.example.com, separated by commas, or *")
		}
		out = append(out, weborigin.Serialize(item))
	}
	if len(out) > 1 && slices.Contains(out, "*") {
		return errors.New("must be either * or a list of origins")
	}
	*into = out
	return nil
}

func networks(into *[]netip.Prefix, text string) error {
	var out []netip.Prefix
	for item := range strings.SplitSeq(text, ",") {
		prefix, err := clientip.ParseNetwork(strings.TrimSpace(item))
		if err != nil {
			return errors.New("must be addresses or networks such as 10.0.0.0/8, separated by commas")
		}
		out = append(out, prefix)
	}
	*into = out
	return nil
}
