package replicas_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"testing"
	"time"

	"pulse-control-plane/e2e/harness"
	"pulse-control-plane/e2e/mongowire"
)

const (
	adminToken = "operator-of-the-replicas-in-the-tests"
	password   = "correct horse battery"
	// metricsToken reads /metrics.
	metricsToken = "metrics-of-the-replicas-in-the-tests"
	// clusterKey and clusterSecret sign events as LiveKit does.
	clusterKey    = "devkey"
	clusterSecret = "secret-of-the-cluster-in-the-tests-of-replicas"
)

// The product, and the product with a clock that can be ahead, built by TestMain.
var pulseBinary, aheadBinary string

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "pulse-replicas-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	var ahead error
	pulseBinary, err = harness.BuildPulse(ctx, dir, os.Stderr)
	aheadBinary, ahead = harness.BuildPulseAhead(ctx, dir, os.Stderr)
	if err := errors.Join(err, ahead); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// soaking is true for the long form of the tests (make soak), in which limits of time hold.
func soaking() bool { return os.Getenv("PULSE_SOAK") != "" }

// within is a limit of time: exact when soaking on a machine of its own, several times as long otherwise.
func within(limit time.Duration) time.Duration {
	if soaking() {
		return limit
	}
	return 6 * limit
}

// replica is one process and its line to the database.
type replica struct {
	*harness.Pulse
	api  *harness.API
	line *mongowire.Line
}

// fleet is several replicas on one database.
type fleet struct {
	db       *mongowire.Server
	livekit  *harness.LiveKit
	replicas []*replica
}

// startFleet starts one replica for each clock, which is ahead by so much. Their LiveKit is away: events are made and signed
// by the tests.
func startFleet(t *testing.T, clocks ...time.Duration) *fleet {
	t.Helper()
	return startFleetOn(t, &harness.LiveKit{URL: "ws://127.0.0.1:1", APIKey: clusterKey, APISecret: clusterSecret}, clocks...)
}

// startLiveKit starts a cluster, which makes rooms and has no worker for egresses.
func startLiveKit(t *testing.T) *harness.LiveKit {
	t.Helper()
	binary, err := harness.BuildLiveKit(t.Context(), os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	return harness.StartLiveKit(t, binary, harness.LiveKitOptions{})
}

// startFleetOn is startFleet with a cluster.
func startFleetOn(t *testing.T, cluster *harness.LiveKit, clocks ...time.Duration) *fleet {
	t.Helper()
	f := &fleet{db: mongowire.Start(t), livekit: cluster}
	for _, ahead := range clocks {
		f.add(t, ahead)
	}
	return f
}

// add starts one more replica.
func (f *fleet) add(t *testing.T, ahead time.Duration) {
	t.Helper()
	line, binary := f.db.Line(t), pulseBinary
	if ahead != 0 {
		binary = aheadBinary
	}
	pulse := harness.StartPulse(t, harness.PulseOptions{Binary: binary, LiveKit: f.livekit, Env: map[string]string{
		"MONGO_URI": line.URI, "PULSE_ADMIN_TOKEN": adminToken, "METRICS_TOKEN": metricsToken, "RATE_LIMIT_PROJECT_PER_MINUTE": "0", "BCRYPT_COST": "10", "RESERVATION_TTL": "10m",
		"DATA_KEY": "mN8vQ2xR5tY7wZ1aB3cD6eF9gH0jK4lP8oS2uV5xW7Y=", "API_KEY_PEPPER": "pepper-of-the-replicas-in-the-tests",
		"JWT_SECRET": "jwt-secret-of-the-replicas-in-the-tests", "SHUTDOWN_TIMEOUT": "2s", "E2E_CLOCK_AHEAD": ahead.String(),
		"WEBHOOK_ALLOW_PRIVATE": "true", "MEDIA_ALLOW_PRIVATE": "true", "EGRESS_LOCAL": "true",
	}})
	f.replicas = append(f.replicas, &replica{Pulse: pulse, api: pulse.API().Within(30 * time.Second), line: line})
}

// any is one of the replicas.
func (f *fleet) any() *replica { return f.replicas[rand.IntN(len(f.replicas))] }

// account signs up an organization.
func (f *fleet) account(t *testing.T, name string) harness.Account {
	t.Helper()
	account, err := f.replicas[0].api.SignUp(t.Context(), name, name+"@example.com", password)
	if err != nil {
		t.Fatal(err)
	}
	return account
}

// project makes a project of an organization.
func (f *fleet) project(t *testing.T, of harness.Account, name string) harness.Project {
	t.Helper()
	project, err := f.replicas[0].api.CreateProject(t.Context(), of.Session, name)
	if err != nil {
		t.Fatal(err)
	}
	return project
}

// operator are the headers of the operator.
func operator() http.Header { return http.Header{"Authorization": {"Bearer " + adminToken}} }

// with adds a header.
func with(h http.Header, name, value string) http.Header {
	h = h.Clone()
	if h == nil {
		h = http.Header{}
	}
	h.Set(name, value)
	return h
}

// status is the HTTP status of an error of the API, 200 for none, 0 if there was no answer.
func status(err error) int {
	var answered *harness.APIError
	switch {
	case err == nil:
		return http.StatusOK
	case errors.As(err, &answered):
		return answered.Status
	}
	return 0
}

// temporary tells whether the same request should be sent again: no answer, 5xx, or the first one still runs.
func temporary(err error) bool {
	var answered *harness.APIError
	s := status(err)
	return s == 0 || s >= 500 || errors.As(err, &answered) && (answered.Code == "request_in_progress" || answered.Code == "concurrent_change")
}

// insist sends a request to any replica until it gets an answer that is not temporary.
func (f *fleet) insist(ctx context.Context, method, path string, header http.Header, in, out any) error {
	for {
		err := f.any().api.Do(ctx, method, path, header, in, out)
		if !temporary(err) || ctx.Err() != nil {
			return err
		}
		pause(ctx, 100*time.Millisecond)
	}
}

// pause waits, no longer than ctx.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
