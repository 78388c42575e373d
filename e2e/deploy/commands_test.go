package deploy_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// named finds commands in pages: the name, its sub-commands and flags.
var named = regexp.MustCompile(`pulse-control-plane((?: [a-z]+\b| --[a-z-]+)+)`)

func TestTheCommandsAndFlagsThatPagesNameExist(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	asked := map[string]bool{}
	for _, page := range slices.Concat([]string{"../../README.md", "../../CONTRIBUTING.md"}, pages) {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, code := range regexp.MustCompile("(?s)```.*?```|`[^`\n]+`").FindAllString(string(text), -1) {
			for _, found := range named.FindAllStringSubmatch(code, -1) {
				if asked[found[1]] {
					continue
				}
				asked[found[1]] = true
				var words, flags []string
				for _, part := range strings.Fields(found[1]) {
					if strings.HasPrefix(part, "--") {
						flags = append(flags, part)
						continue
					}
					words = append(words, part)
				}
				command := exec.Command(pulse(t), append(words, "--help")...)
				command.Dir, command.Env = t.TempDir(), []string{}
				help, err := command.CombinedOutput()
				if err != nil || !strings.Contains(string(help), "pulse-control-plane "+strings.Join(words, " ")) {
					t.Errorf("%s names %q: %v %s", page, found[0], err, help)
				}
				for _, flag := range flags {
					if !strings.Contains(string(help), flag) {
						t.Errorf("%s names %q, which has no flag %s:\n%s", page, found[0], flag, help)
					}
				}
			}
		}
	}
	if len(asked) < 3 {
		t.Errorf("only %v were found", asked)
	}
}
