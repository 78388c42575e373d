// Package dashboard_test runs the browser tests of this folder against the real binary, the real LiveKit with a worker of
// egresses, and a server of S3's protocol. They need node, the packages of package.json and Chromium, whose path CHROMIUM may
// name.
package dashboard_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"pulse-control-plane/e2e/egressworker"
	"pulse-control-plane/e2e/harness"
)

const (
	operatorToken = "operator-token-of-the-browser-tests-0123456789"
	bucket        = "recordings"
)

var liveKitBinary, pulseBinary string

func TestMain(m *testing.M) {
	if egressworker.Asked() {
		os.Exit(egressworker.Main()) // a test started this process as a worker
	}
	os.Exit(run(m))
}

func run(m *testing.M) int {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "pulse-e2e-dashboard-")
	if err == nil {
		defer os.RemoveAll(dir)
		pulseBinary, err = harness.BuildPulse(ctx, dir, os.Stderr)
	}
	if err == nil {
		liveKitBinary, err = harness.BuildLiveKit(ctx, os.Stderr)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// install runs an installation of its own and returns the variables that lead the browser tests to it.
func install(t *testing.T) []string {
	t.Helper()
	relay := harness.StartWebhookRelay(t)
	liveKit := harness.StartLiveKit(t, liveKitBinary, harness.LiveKitOptions{
		WebhookURLs: []string{relay.URL}, RedisAddress: harness.StartRedisServer(t), TCP: true,
	})
	pulse := harness.StartPulse(t, harness.PulseOptions{Binary: pulseBinary, LiveKit: liveKit, Env: map[string]string{
		"PULSE_ADMIN_TOKEN": operatorToken, "RATE_LIMIT_PROJECT_PER_MINUTE": "0", "BCRYPT_COST": "4",
		"EGRESS_LOCAL": "true", "WEBHOOK_ALLOW_PRIVATE": "true", "MEDIA_ALLOW_PRIVATE": "true",
		"DASHBOARD_DIR": os.Getenv("DASHBOARD_DIR"), // for work on the screens; empty: as embedded
	}})
	relay.ForwardTo(pulse.URL + "/v1/webhooks/livekit")
	harness.StartEgressWorker(t, liveKit, egressworker.Config{})
	objects := s3mem.New()
	if err := objects.CreateBucket(bucket); err != nil {
		t.Fatal(err)
	}
	storage := httptest.NewServer(gofakes3.New(objects).Server())
	t.Cleanup(storage.Close)
	return []string{"PULSE_URL=" + pulse.URL, "PULSE_OPERATOR=" + operatorToken,
		"PULSE_LIVEKIT_KEY=" + liveKit.APIKey, "PULSE_LIVEKIT_SECRET=" + liveKit.APISecret,
		"PULSE_S3=" + storage.URL, "PULSE_S3_BUCKET=" + bucket}
}

// node runs a file of this folder against an installation of its own.
func node(t *testing.T, args ...string) {
	t.Helper()
	if _, err := os.Stat("../../node_modules/playwright-core"); err != nil {
		t.Fatal("the browser tests need the packages of package.json: run npm ci at the top")
	}
	command := exec.CommandContext(t.Context(), "node", args...)
	command.Env = append(os.Environ(), install(t)...)
	out, err := command.CombinedOutput()
	t.Logf("%s", out)
	if err != nil {
		t.Errorf("node %v: %v", args, err)
	}
}

func TestEveryScreenWorksForEveryRoleInEveryLook(t *testing.T) { node(t, "--test", "screens.test.mjs") }

func TestWhatPeopleComeForWorksInABrowser(t *testing.T) { node(t, "--test", "journeys.test.mjs") }

func TestThePageSurvivesHostileNamesReloadsAndFailures(t *testing.T) {
	node(t, "--test", "state.test.mjs")
}

func TestScreensOfMediaWebhooksAndOperationsShowWhatHappened(t *testing.T) {
	node(t, "--test", "platform.test.mjs")
}

// TestScreenshots makes README's pictures when it is asked to (make screenshots).
func TestScreenshots(t *testing.T) {
	if os.Getenv("PULSE_SCREENSHOTS") == "" {
		return
	}
	t.Setenv("SCREENSHOTS_OUT", "../../docs/")
	node(t, "screenshots.mjs")
}

func TestTheFirstLoadStaysWithinItsBudget(t *testing.T) { node(t, "--test", "budget.test.mjs") }
