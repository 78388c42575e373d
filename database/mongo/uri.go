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

	"pulse-control-plane/models"
)

// Defaults of the connection. Together the first three limit each operation to
// five seconds while the database is unavailable.
const (
	serverSelectionTimeout = 3 * time.Second
	connectTimeout         = 3 * time.Second
	operationTimeout       = 4 * time.Second

	// maxPoolSize is the driver's default. More connections slow MongoDB down;
	// requests beyond it queue.
	maxPoolSize = 100
	// minPoolSize saves the first requests after an idle time a handshake.
	minPoolSize = 2
	// maxConnIdleTime is below the idle timeout of cloud load balancers and
	// NATs (240 s and more), so that they do not drop a connection silently.
	maxConnIdleTime = 3 * time.Minute

	// appName identifies Pulse in the server's log and in currentOp.
	appName = "pulse-control-plane"
)

// clientOptions applies a connection string over the defaults of Pulse. Every
// option of the string wins, except w=0, which is refused: no duplicate and no
// failure would ever be reported. Errors do not contain the password.
//
// It resolves a mongodb+srv name; a failure is unavailable, every other error
// misconfigured.
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
	// The driver replaces the write concern as a whole, but "journal=false"
	// alone must not change "w".
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
	// 0 means no limit.
	if o.MaxPoolSize != nil && *o.MaxPoolSize > 0 && *o.MinPoolSize > *o.MaxPoolSize && !hasURIOption(uri, "minPoolSize") {
		o.SetMinPoolSize(*o.MaxPoolSize)
	}
	if err := o.Validate(); err != nil {
		return nil, uriError(uri, err)
	}
	if !o.WriteConcern.Acknowledged() {
		return nil, invalidURI("The MongoDB connection string requests unacknowledged writes (w=0), which Pulse does not support.")
	}
	return o, nil
}

// uriError returns the driver's error about a connection string without
// secrets. The driver quotes parts of the string, and an unescaped "@" or "/"
// in a password makes a part of it look like a host. Its text is used only if
// the string without secrets produces the same text.
func uriError(uri string, err error) error {
	var dns *net.DNSError
	if errors.As(err, &dns) {
		return models.Unavailable(fmt.Errorf("mongodb: DNS lookup of the hosts: %w", dns))
	}
	if bare := withoutSecrets(uri); bare != uri {
		again := options.Client().ApplyURI(bare).Validate()
		if again == nil || again.Error() != err.Error() {
			return invalidURI("The MongoDB connection string has an invalid user name, password or authentication option; " +
				`"%", "/", "?", "#", "[", "]", ":" and "@" in them must be percent-encoded.`)
		}
	}
	return invalidURI(fmt.Sprintf("The MongoDB connection string is invalid: %v.", err))
}

// invalidURI is the error of a connection string that the operator must correct.
func invalidURI(message string) error { return models.Misconfigured("invalid_mongodb_uri", message) }

// withoutSecrets removes the user information, up to the last "@", and the
// options that may contain credentials.
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

// hasURIOption reports whether a connection string sets an option; option names
// are case-insensitive.
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
