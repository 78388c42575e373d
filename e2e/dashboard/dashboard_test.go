// Package dashboard_test runs the browser tests of this folder against the real binary and the real LiveKit. They need
// node, the packages of package.json and Chromium, whose path CHROMIUM may name.
package dashboard_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"testing"

	"pulse-control-plane/e2e/harness"
)

const operatorToken = "operator-token-of-the-browser-tests-0123456789"

var liveKitBinary, pulseBinary string

func TestMain(m *testing.M) { os.Exit(run(m)) }

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

// node runs a file of this folder against an installation of its own.
func node(t *testing.T, args ...string) {
	t.Helper()
	if _, err := os.Stat("../../node_modules/playwright-core"); err != nil {
		t.Fatal("the browser tests need the packages of package.json: run npm ci at the top")
	}
	relay := harness.StartWebhookRelay(t)
	liveKit := harness.StartLiveKit(t, liveKitBinary, harness.LiveKitOptions{WebhookURLs: []string{relay.URL}, TCP: true})
	pulse := harness.StartPulse(t, harness.PulseOptions{Binary: pulseBinary, LiveKit: liveKit, Env: map[string]string{
		"PULSE_ADMIN_TOKEN": operatorToken, "RATE_LIMIT_PROJECT_PER_MINUTE": "0", "BCRYPT_COST": "4",
	}})
	relay.ForwardTo(pulse.URL + "/v1/webhooks/livekit")
	command := exec.CommandContext(t.Context(), "node", args...)
	command.Env = append(os.Environ(), "PULSE_URL="+pulse.URL, "PULSE_OPERATOR="+operatorToken,
		"PULSE_LIVEKIT_KEY="+liveKit.APIKey, "PULSE_LIVEKIT_SECRET="+liveKit.APISecret)
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

func TestScreensShowWhatTheAPIsDescriptionSays(t *testing.T) { node(t, "--test", "contract.test.mjs") }

// TestScreenshots makes README's pictures when it is asked to (make screenshots).
func TestScreenshots(t *testing.T) {
	if os.Getenv("PULSE_SCREENSHOTS") == "" {
		return
	}
	t.Setenv("SCREENSHOTS_OUT", "../../docs/")
	node(t, "screenshots.mjs")
}

func TestTheFirstLoadStaysWithinItsBudget(t *testing.T) { node(t, "--test", "budget.test.mjs") }
