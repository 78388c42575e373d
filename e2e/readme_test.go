package e2e_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"pulse-control-plane/e2e/harness"
)

func TestTheWalkInTheReadmeWorksAsPasted(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, opened := strings.Cut(string(readme), "<!-- walk -->\n```sh\n")
	walk, _, closed := strings.Cut(rest, "```\n<!-- /walk -->")
	if !opened || !closed {
		t.Fatal("README.md has no walk")
	}
	liveKit := harness.StartLiveKit(t, liveKitBinary, harness.LiveKitOptions{})
	pulse := harness.StartPulse(t, harness.PulseOptions{Binary: pulseBinary, LiveKit: liveKit})
	shell := exec.Command("bash", "-euo", "pipefail", "-c", walk)
	shell.Env = []string{"PATH=" + os.Getenv("PATH"), "PULSE=" + pulse.URL}
	output, err := shell.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	for _, promised := range []string{
		"organization org_", "project prj_", `"room_name":"daily"`, `"participant_identity":"host"`, `"valid":true`,
		`"name":"Bob"`, "new key pulse_key_", "the old key still answers 201",
	} {
		if !strings.Contains(string(output), promised) {
			t.Errorf("%s is not in what it prints:\n%s", promised, output)
		}
	}
	if strings.Contains(string(output), "urn:pulse:problem") {
		t.Errorf("a step was refused:\n%s", output)
	}
}
