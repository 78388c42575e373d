package e2e_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"pulse-control-plane/e2e/harness"
)

// pasted are the shell blocks of README.md that a reader pastes, in order.
func pasted(t *testing.T) string {
	t.Helper()
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var blocks []string
	for _, mark := range []string{"walk", "pasted", "pasted", "pasted", "pasted"} {
		_, rest, opened := strings.Cut(string(readme), "<!-- "+mark+" -->\n```sh\n")
		block, after, closed := strings.Cut(rest, "```\n")
		if !opened || !closed {
			t.Fatalf("README.md lacks a block after %d others", len(blocks))
		}
		blocks, readme = append(blocks, block), []byte(after)
	}
	if strings.Contains(string(readme), "<!-- pasted -->") {
		t.Fatal("README.md has a block more")
	}
	return strings.Join(blocks, "\n")
}

func TestTheShellBlocksOfTheReadmeWorkAsPasted(t *testing.T) {
	liveKit := harness.StartLiveKit(t, liveKitBinary, harness.LiveKitOptions{})
	pulse := harness.StartPulse(t, harness.PulseOptions{Binary: pulseBinary, LiveKit: liveKit, Env: map[string]string{"PULSE_ADMIN_TOKEN": operatorToken}})
	shell := exec.Command("bash", "-euo", "pipefail", "-c", pasted(t))
	shell.Dir = ".."
	shell.Env = append(os.Environ(), "PULSE="+pulse.URL, "PULSE_ADMIN_TOKEN="+operatorToken)
	output, err := shell.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	for _, promised := range []string{
		"organization org_", "project prj_", `"room_name":"daily"`, `"participant_identity":"host"`, `"valid":true`,
		`"name":"Bob"`, "new key pulse_key_", "the old key still answers 201",
		`"window":"month"`, `"meter":"participant_seconds"`, "id,meter,", `"plan":"pro"`, `"limit":50,"used":0,`, " entries, ",
	} {
		if !strings.Contains(string(output), promised) {
			t.Errorf("%s is not in what it prints:\n%s", promised, output)
		}
	}
	if strings.Contains(string(output), "urn:pulse:problem") {
		t.Errorf("a step was refused:\n%s", output)
	}
}
