package architecture_test

import (
	"maps"
	"slices"
	"testing"

	"pulse-control-plane/utils/architecture"
)

func TestEachFileAndFolderThatBreaksARuleOfSizeIsAViolation(t *testing.T) {
	rules := architecture.Sizes{
		GoFile: 100, Files: map[string]int{"README.md": 50}, Packages: map[string]int{"services/*": 150},
		Holds:    map[string][]string{"": {"main.go", "README.md"}, "services": {"doc.go", "*_test.go"}},
		Folders:  []string{"docs", "services", "utils"},
		Requires: map[string]string{"services/*": "doc.go"},
	}
	good := map[string]int{"main.go": 100, "README.md": 50, "services/doc.go": 5, "services/new_test.go": 5, "docs/long.md": 999,
		"services/rooms/doc.go": 10, "services/rooms/rooms.go": 100, "services/rooms/lists.go": 40, "services/rooms/rooms_test.go": 100,
		"services/rooms/testdata/x.json": 999, "utils/x/x.go": 100, "utils/x/y.go": 100}
	if found := rules.Violations(good); len(found) > 0 {
		t.Errorf("%q", found)
	}
	for name, c := range map[string]struct {
		file  string
		lines int
		want  string
	}{
		"a Go file":               {"utils/x/x.go", 101, "utils/x/x.go has 101 lines, more than 100"},
		"a test":                  {"services/rooms/rooms_test.go", 101, "services/rooms/rooms_test.go has 101 lines, more than 100"},
		"another file":            {"README.md", 51, "README.md has 51 lines, more than 50"},
		"a package":               {"services/rooms/lists.go", 41, "services/rooms has 151 lines without tests, more than 150"},
		"a file at the root":      {"notes.txt", 1, "notes.txt is not among main.go, README.md"},
		"a file of a folder":      {"services/rooms.go", 1, "services/rooms.go is not among doc.go, *_test.go"},
		"a folder at the root":    {"commands/doc.go", 1, "the folder commands is not among docs, services, utils"},
		"a package without a doc": {"services/new/new.go", 1, "services/new has no doc.go"},
	} {
		files := maps.Clone(good)
		files[c.file] = c.lines
		if found := rules.Violations(files); !slices.Equal(found, []string{c.want}) {
			t.Errorf("%s: %q", name, found)
		}
	}
}
