package docs

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	anchored = regexp.MustCompile(`\]\(([^)#:]*)#([^)]+)\)`)
	heading  = regexp.MustCompile(`(?m)^#+ (.+)$`)
	fenced   = regexp.MustCompile("(?s)```.*?```")
	dropped  = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
)

// anchors are those that GitHub makes of a page's headings.
func anchors(text string) map[string]bool {
	all := map[string]bool{}
	for _, found := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
		all[strings.ReplaceAll(dropped.ReplaceAllString(strings.ToLower(found[1]), ""), " ", "-")] = true
	}
	return all
}

func TestTheSectionsThatPagesLinkToExist(t *testing.T) {
	if got := anchors("# A `b`, c-d\n```sh\n# no heading\n```\n"); len(got) != 1 || !got["a-b-c-d"] {
		t.Fatalf("anchors %v", got)
	}
	for path, text := range texts(t) {
		if filepath.Ext(path) != ".md" {
			continue
		}
		for _, target := range anchored.FindAllStringSubmatch(text, -1) {
			page := path
			if target[1] != "" {
				page = filepath.Join(filepath.Dir(path), target[1])
			}
			linked, err := os.ReadFile(page)
			if err != nil || !anchors(string(linked))[target[2]] {
				t.Errorf("%s links to %s#%s, which does not exist: %v", path, target[1], target[2], err)
			}
		}
	}
}
