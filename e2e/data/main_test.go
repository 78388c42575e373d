package data_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"pulse-control-plane/e2e/harness"
)

// pulseBinary is the program under test.
var pulseBinary string

const operatorToken = "the-operator-of-these-tests"

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "pulse-e2e-data-")
	if err == nil {
		defer os.RemoveAll(dir)
		pulseBinary, err = harness.BuildPulse(context.Background(), dir, os.Stderr)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// noLiveKit is a cluster that never answers, whose key signs the events that the tests send.
func noLiveKit() *harness.LiveKit {
	return &harness.LiveKit{URL: "ws://127.0.0.1:1", HTTPURL: "http://127.0.0.1:1", APIKey: "devkey", APISecret: "secret-of-thirty-two-characters-or-more"}
}

// start runs Pulse without a LiveKit, in dataDir unless that is "".
func start(t *testing.T, dataDir string, env map[string]string) *harness.Pulse {
	t.Helper()
	all := map[string]string{"PULSE_ADMIN_TOKEN": operatorToken, "BCRYPT_COST": "4", "RATE_LIMIT_PROJECT_PER_MINUTE": "0", "RECONCILE_INTERVAL": "10m"}
	for name, value := range env {
		all[name] = value
	}
	return harness.StartPulse(t, harness.PulseOptions{Binary: pulseBinary, LiveKit: noLiveKit(), DataDir: dataDir, Env: all})
}

// command runs a sub-command and wants an exit code; it returns what it wrote.
func command(t *testing.T, p *harness.Pulse, env map[string]string, want int, args ...string) (stdout, stderr string) {
	t.Helper()
	code, stdout, stderr, err := p.Run(t.Context(), env, args...)
	if err != nil || code != want {
		t.Fatalf("%v: exit code %d, want %d, %v\n%s%s", args, code, want, err, stdout, stderr)
	}
	return stdout, stderr
}

// account is a signed-up organization with a project.
type account struct {
	session harness.Session
	project harness.Project
}

func signUp(t *testing.T, api *harness.API, name string) account {
	t.Helper()
	made, err := api.SignUp(t.Context(), name, name+"@example.com", "correct horse battery")
	if err != nil {
		t.Fatal(err)
	}
	project, err := api.CreateProject(t.Context(), made.Session, name)
	if err != nil {
		t.Fatal(err)
	}
	return account{made.Session, project}
}

// hoursAgo is the start of an hour whose totals no counter changes any more.
func hoursAgo(n int) time.Time {
	return time.Now().UTC().Truncate(time.Hour).Add(-time.Duration(n) * time.Hour)
}
