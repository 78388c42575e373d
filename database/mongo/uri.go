package mongo

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"
)

// What the connection is like where the URI does not say. Together the first
// three keep each operation, with the database away, within five seconds.
const (
	serverSelectionTimeout = 3 * time.Second
	connectTimeout         = 3 * time.Second
	operationTimeout       = 4 * time.Second

	// mongoMaxPoolSize is the driver's own default. MongoDB serves many
	// connections badly rather than few well; requests beyond it queue.
	maxPoolSize = 100
	// mongoMinPoolSize keeps the first requests after a quiet time from waiting
	// for a handshake.
	minPoolSize = 2
	// mongoMaxConnIdleTime is below what load balancers and NATs in clouds allow
	// an idle connection (240 s and more), so that they don't cut one silently.
	maxConnIdleTime = 3 * time.Minute

	// mongoAppName names Pulse in the server's log and currentOp.
	appName = "pulse-control-plane"
)

// mongoClientOptions reads a connection string over Pulse's defaults: whatever
// the string sets wins, except that a write must be acknowledged at all (w=0 is
// refused: no duplicate and no failure would ever be reported). Its errors do
// not contain the password.
//
// A mongodb+srv name is looked up here; the error is a *net.DNSError where that
// fails.
func clientOptions(uri string) (*options.ClientOptions, error) {
	o := options.Client().
		SetAppName(appName).
		SetServerSelectionTimeout(serverSelectionTimeout).
		SetConnectTimeout(connectTimeout).
		SetTimeout(operationTimeout).
		SetMaxPoolSize(maxPoolSize).
		SetMinPoolSize(minPoolSize).
		SetMaxConnIdleTime(maxConnIdleTime).
		SetRetryWrites(true).
		SetRetryReads(true).
		SetReadPreference(readpref.Primary()).
		SetReadConcern(readconcern.Majority()).
		ApplyURI(uri)
	// The driver takes a write concern of the string as a whole: "journal=false"
	// must not mean "w" of the server's choice.
	if o.WriteConcern == nil {
		o.WriteConcern = &writeconcern.WriteConcern{}
	}
	if o.WriteConcern.W == nil {
		o.WriteConcern.W = writeconcern.WCMajority
	}
	if o.WriteConcern.Journal == nil && o.WriteConcern.W != 0 {
		journal := true
		o.WriteConcern.Journal = &journal
	}
	// 0 means no limit to the driver.
	if o.MaxPoolSize != nil && *o.MaxPoolSize > 0 && *o.MinPoolSize > *o.MaxPoolSize && !hasURIOption(uri, "minPoolSize") {
		o.SetMinPoolSize(*o.MaxPoolSize)
	}
	if err := o.Validate(); err != nil {
		return nil, uriError(uri, err)
	}
	if !o.WriteConcern.Acknowledged() {
		return nil, errors.New("mongodb: the connection string asks for unacknowledged writes (w=0), which Pulse can't work with")
	}
	return o, nil
}

// uriError is the driver's complaint about a connection string, without what is
// secret in it. The driver quotes pieces of the string, and where a password
// contains "@" or "/" as they are, pieces of it are taken for a host. So its
// text is used only if the string without all secrets gets the same.
func uriError(uri string, err error) error {
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return fmt.Errorf("mongodb: look-up of the hosts: %w", dns)
	}
	if bare := withoutSecrets(uri); bare != uri {
		again := options.Client().ApplyURI(bare).Validate()
		if again == nil || again.Error() != err.Error() {
			return errors.New("mongodb: the connection string is not valid in its user name, password or authentication options; " +
				`"%", "/", "?", "#", "[", "]", ":" and "@" in them must be percent-encoded`)
		}
	}
	return fmt.Errorf("mongodb: the connection string is not valid: %w", err)
}

// withoutSecrets cuts the user information, up to the last "@", and the options
// that may hold credentials from a connection string.
func withoutSecrets(uri string) string {
	scheme, rest, ok := strings.Cut(uri, "://")
	if ok {
		scheme += "://"
	} else {
		scheme, rest = "", uri
	}
	if at := strings.LastIndex(rest, "@"); at >= 0 {
		rest = rest[at+1:]
	}
	before, query, ok := strings.Cut(rest, "?")
	if !ok {
		return scheme + rest
	}
	var kept []string
	for _, option := range uriOptions(query) {
		switch name, _, _ := strings.Cut(option, "="); strings.ToLower(name) {
		case "authmechanism", "authmechanismproperties", "authsource",
			"tlscertificatekeyfilepassword", "sslclientcertificatekeypassword", "proxypassword":
		default:
			kept = append(kept, option)
		}
	}
	return scheme + before + "?" + strings.Join(kept, "&")
}

// hasURIOption tells whether a connection string sets an option; their names
// have no case.
func hasURIOption(uri, name string) bool {
	_, query, _ := strings.Cut(uri, "?")
	for _, option := range uriOptions(query) {
		if key, _, _ := strings.Cut(option, "="); strings.EqualFold(key, name) {
			return true
		}
	}
	return false
}

func uriOptions(query string) []string {
	return strings.FieldsFunc(query, func(r rune) bool { return r == '&' || r == ';' })
}
