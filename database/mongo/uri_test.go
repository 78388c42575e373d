package mongo

import (
	"strings"
	"testing"
	"time"
)

const mongoPassword = "s3cr3t-pa55"

func TestConnectionDefaultsApplyWithoutAnOptionInTheURI(t *testing.T) {
	o, err := clientOptions("mongodb://u:" + mongoPassword + "@db.example.org")
	if err != nil {
		t.Fatal(err)
	}
	if o.WriteConcern.W != "majority" || o.WriteConcern.Journal == nil || !*o.WriteConcern.Journal {
		t.Errorf("write concern %+v, want a journalled majority", o.WriteConcern)
	}
	if o.ReadConcern.Level != "majority" || o.ReadPreference.Mode().String() != "primary" {
		t.Errorf("read concern %q, preference %s", o.ReadConcern.Level, o.ReadPreference.Mode())
	}
	if !*o.RetryWrites || !*o.RetryReads || *o.AppName != "pulse-control-plane" || len(o.Compressors) != 0 {
		t.Errorf("retries %v %v, name %q, compressors %v", *o.RetryWrites, *o.RetryReads, *o.AppName, o.Compressors)
	}
	if *o.MaxPoolSize != 100 || *o.MinPoolSize != 2 || *o.MaxConnIdleTime != 3*time.Minute {
		t.Errorf("pool %d to %d, idle %s", *o.MinPoolSize, *o.MaxPoolSize, *o.MaxConnIdleTime)
	}
	if *o.Timeout != 4*time.Second || *o.ServerSelectionTimeout != 3*time.Second || *o.ConnectTimeout != 3*time.Second {
		t.Errorf("timeouts %s %s %s", *o.Timeout, *o.ServerSelectionTimeout, *o.ConnectTimeout)
	}
}

func TestOptionsInTheURIOverrideTheDefaults(t *testing.T) {
	o, err := clientOptions("mongodb://db.example.org/?w=2&journal=false&readConcernLevel=local&readPreference=secondaryPreferred" +
		"&retryWrites=false&retryReads=false&appName=other&compressors=snappy&maxPoolSize=7&minPoolSize=3&maxIdleTimeMS=1000" +
		"&timeoutMS=900&serverSelectionTimeoutMS=800&connectTimeoutMS=700")
	if err != nil {
		t.Fatal(err)
	}
	if o.WriteConcern.W != 2 || *o.WriteConcern.Journal {
		t.Errorf("write concern %+v", o.WriteConcern)
	}
	if o.ReadConcern.Level != "local" || o.ReadPreference.Mode().String() != "secondaryPreferred" {
		t.Errorf("read concern %q, preference %s", o.ReadConcern.Level, o.ReadPreference.Mode())
	}
	if *o.RetryWrites || *o.RetryReads || *o.AppName != "other" || len(o.Compressors) != 1 {
		t.Errorf("retries %v %v, name %q, compressors %v", *o.RetryWrites, *o.RetryReads, *o.AppName, o.Compressors)
	}
	if *o.MaxPoolSize != 7 || *o.MinPoolSize != 3 || *o.MaxConnIdleTime != time.Second {
		t.Errorf("pool %d to %d, idle %s", *o.MinPoolSize, *o.MaxPoolSize, *o.MaxConnIdleTime)
	}
	if *o.Timeout != 900*time.Millisecond || *o.ServerSelectionTimeout != 800*time.Millisecond || *o.ConnectTimeout != 700*time.Millisecond {
		t.Errorf("timeouts %s %s %s", *o.Timeout, *o.ServerSelectionTimeout, *o.ConnectTimeout)
	}
}

func TestAPartialWriteConcernIsCompleted(t *testing.T) {
	for query, want := range map[string]struct {
		w       any
		journal bool
	}{"journal=false": {"majority", false}, "w=3": {3, true}, "w=majority": {"majority", true}} {
		o, err := clientOptions("mongodb://db.example.org/?" + query)
		if err != nil {
			t.Errorf("%s: %v", query, err)
			continue
		}
		if o.WriteConcern.W != want.w || *o.WriteConcern.Journal != want.journal {
			t.Errorf("%s: w %v journal %v, want %+v", query, o.WriteConcern.W, *o.WriteConcern.Journal, want)
		}
	}
}

func TestUnacknowledgedWritesAreRefused(t *testing.T) {
	if _, err := clientOptions("mongodb://db.example.org/?w=0"); err == nil || !strings.Contains(err.Error(), "w=0") {
		t.Errorf("w=0: %v, want a refusal that names it", err)
	}
}

func TestASmallMaximumPoolReducesTheMinimumPool(t *testing.T) {
	o, err := clientOptions("mongodb://db.example.org/?maxPoolSize=1")
	if err != nil || *o.MinPoolSize != 1 {
		t.Errorf("maxPoolSize=1: %v, least pool %d", err, *o.MinPoolSize)
	}
	if _, err := clientOptions("mongodb://db.example.org/?maxPoolSize=1&minPoolSize=2"); err == nil {
		t.Error("a pool of at least two and at most one was accepted")
	}
}

func TestTheErrorOfAnInvalidURINamesTheFaultWithoutSecrets(t *testing.T) {
	for uri, want := range map[string]string{
		"postgres://u:" + mongoPassword + "@db.example.org":                                      "scheme must be",
		"mongodb://u:" + mongoPassword + "@":                                                     "invalid",
		"mongodb://u:" + mongoPassword + "/x@db.example.org":                                     "percent-encoded",
		"mongodb://u:" + mongoPassword + "@x@db.example.org":                                     "percent-encoded",
		"mongodb://u:%zz" + mongoPassword + "@db.example.org":                                    "percent-encoded",
		"mongodb://u:" + mongoPassword + "@db.example.org:notaport":                              "invalid",
		"mongodb://u:" + mongoPassword + "@db.example.org/?maxPoolSize=many":                     "maxPoolSize",
		"mongodb://u@db.example.org/?authMechanism=" + mongoPassword:                             "authentication option",
		"mongodb://db.example.org/?tls=true&tlsCertificateKeyFilePassword=%zz" + mongoPassword:   "percent-encoded",
		"mongodb://db.example.org/?authMechanismProperties=AWS_SESSION_TOKEN%zz" + mongoPassword: "percent-encoded",
		"u:" + mongoPassword + "@db.example.org":                                                 "scheme must be",
	} {
		_, err := clientOptions(uri)
		if err == nil {
			t.Errorf("%q was accepted", uri)
			continue
		}
		if strings.Contains(err.Error(), mongoPassword) || strings.Contains(err.Error(), "pa55") {
			t.Errorf("%q: the error tells the password: %v", uri, err)
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want it to say %q", uri, err, want)
		}
	}
}
