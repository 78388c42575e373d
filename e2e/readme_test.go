package e2e_test

import (
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"pulse-control-plane/e2e/egressworker"
	"pulse-control-plane/e2e/harness"
)

// shells are the programs that every shell block of the documentation must work in, as interactive shells without the
// user's own configuration. zsh is the one that differs most: pasted into it, `#` starts no comment and an unquoted `?`
// is a pattern that has to match a file.
func shells() [][]string {
	return [][]string{{"bash", "--norc", "--noprofile", "-i"}, {"zsh", "-f", "-i"}, {"dash", "-i"}}
}

// shellBlock is a fenced block of the language sh.
type shellBlock struct {
	page, text string
	// notPasted says why the test can't paste the block; empty for all others.
	notPasted string
}

var (
	fence      = regexp.MustCompile("(?ms)^(?:<!-- not pasted: ([^\n]+) -->\n)?```(sh|bash|zsh|shell|console)\n(.*?)^```$")
	comment    = regexp.MustCompile(`(?m)(^|\s)#`)
	fixedPaths = regexp.MustCompile(`/tmp/|/var/tmp/`)
)

// shellBlocks reads README.md, then the pages of docs/ in the order of their names, then CONTRIBUTING.md.
func shellBlocks(t *testing.T) []shellBlock {
	t.Helper()
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	var blocks []shellBlock
	for _, page := range slices.Concat([]string{"../README.md"}, pages, []string{"../CONTRIBUTING.md"}) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range fence.FindAllStringSubmatch(string(text), -1) {
			if found[2] != "sh" {
				t.Errorf("%s has a block of the language %s; blocks to paste are sh", page, found[2])
			}
			blocks = append(blocks, shellBlock{page: page, text: found[3], notPasted: found[1]})
		}
	}
	return blocks
}

// installed skips the test if a shell is missing.
func installed(t *testing.T, shell string) {
	t.Helper()
	if _, err := exec.LookPath(shell); err != nil {
		t.Skipf("%s is not installed (apt-get install %s)", shell, shell)
	}
}

func TestEveryShellBlockParsesInBashZshAndDash(t *testing.T) {
	blocks := shellBlocks(t)
	for _, b := range blocks {
		if comment.MatchString(b.text) {
			t.Errorf("%s: interactive zsh does not know comments:\n%s", b.page, b.text)
		}
		if fixedPaths.MatchString(b.text) {
			t.Errorf("%s: the users of a machine share this path; use mktemp:\n%s", b.page, b.text)
		}
	}
	for _, shell := range shells() {
		t.Run(shell[0], func(t *testing.T) {
			installed(t, shell[0])
			for _, b := range blocks {
				if output, err := exec.CommandContext(t.Context(), shell[0], "-n", "-c", b.text).CombinedOutput(); err != nil {
					t.Errorf("%s: %v: %s\n%s", b.page, err, output, b.text)
				}
			}
		})
	}
}

func TestTheShellBlocksWorkPastedIntoBashZshAndDash(t *testing.T) {
	liveKit := harness.StartLiveKit(t, liveKitBinary, harness.LiveKitOptions{RedisAddress: harness.StartRedisServer(t)})
	harness.StartEgressWorker(t, liveKit, egressworker.Config{})
	pulse := harness.StartPulse(t, harness.PulseOptions{Binary: pulseBinary, LiveKit: liveKit,
		Env: map[string]string{"PULSE_ADMIN_TOKEN": operatorToken, "EGRESS_LOCAL": "true"}})
	const reachedTheEnd = "every block was pasted"
	script := []string{"set -eu"}
	for _, b := range shellBlocks(t) {
		if b.notPasted == "" {
			script = append(script, b.text)
		}
	}
	script = append(script, "echo every block was $(echo pasted)", "exit 0", "")
	for _, shell := range shells() {
		t.Run(shell[0], func(t *testing.T) {
			installed(t, shell[0])
			command := exec.CommandContext(t.Context(), shell[0], shell[1:]...)
			command.Dir = ".."
			command.Env = append(os.Environ(), "PULSE="+pulse.URL, "PULSE_ADMIN_TOKEN="+operatorToken, "HISTFILE=", "TMPDIR="+t.TempDir())
			command.Stdin = strings.NewReader(strings.Join(script, "\n"))
			// Without a terminal of its own an interactive shell does not stop itself to wait for one.
			command.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
			output, err := command.CombinedOutput()
			if err != nil || !strings.Contains(string(output), reachedTheEnd) {
				t.Fatalf("it stopped before the end: %v\n%s", cmp.Or(err, os.ErrProcessDone), output)
			}
			for _, promised := range []string{
				"organization org_", "project prj_", `"room_name":"daily"`, `"participant_identity":"host"`, `"valid":true`,
				`"name":"Bob"`, "new key pulse_key_", "the old key still answers 201",
				`"window":"month"`, `"meter":"participant_seconds"`, "id,meter,", `"plan":"pro"`, `"limit":50,"used":0,`, " entries, ",
				`"participant_identity":"mallory"`,
				"recording EG_", `"type":"room_composite","status":"`,
			} {
				if !strings.Contains(string(output), promised) {
					t.Errorf("the output lacks %s:\n%s", promised, output)
				}
			}
			if strings.Contains(string(output), "urn:pulse:problem") {
				t.Errorf("a request was refused:\n%s", output)
			}
		})
	}
}
