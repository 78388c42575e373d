package main

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "pulse-control-plane"

// mayImport says which of the house's packages each folder may import, besides
// its own; a folder stands for the packages below it that have no entry.
var mayImport = map[string][]string{
	"routes":     {"handlers", "middleware", "services"},
	"handlers":   {"services", "models", "utils"},
	"middleware": {"services", "models", "utils"},
	"services":   {"database", "models", "utils"},
	// The tests' helpers open a storage and wrap an engine.
	"services/testkit": {"services", "database", "database/embedded", "database/engine", "models", "utils"},
	"database":         {"models", "utils", "database/embedded", "database/engine", "database/mongo"},
	// The parts of database know the contract, not each other.
	"database/engine":      {"models", "utils"},
	"database/embedded":    {"models", "utils", "database/engine"},
	"database/mongo":       {"models", "utils", "database/engine"},
	"database/conformance": {"models", "database/engine"},
	"config":               {"models", "utils"},
	"models":               {},
	"utils":                {"models", "utils"},
}

// onlyIn names, for a library, the only folders that may import it.
var onlyIn = map[string][]string{
	"github.com/gin-gonic/gin":            {"routes", "handlers", "middleware"},
	"go.mongodb.org/mongo-driver/v2/bson": {"database", "services/testkit"},
	"go.mongodb.org/mongo-driver":         {"database/mongo"},
	"modernc.org/sqlite":                  {"database/embedded"},
	"github.com/livekit/protocol":         {"services"},
	"github.com/livekit/server-sdk-go":    {"services"},
	"github.com/getkin/kin-openapi":       {},
	"github.com/wneessen/go-mail":         {"services"},
	"github.com/emersion/go-smtp":         {},
}

type goPackage struct {
	ImportPath string
	Imports    []string
	GoFiles    []string
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports,GoFiles", "./...").Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []goPackage
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p goPackage
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	return all
}

// folder is the longest folder of mayImport that contains a package, or else its
// first path element; "" is the top level.
func folder(path string) string {
	path = strings.TrimPrefix(strings.TrimPrefix(path, module), "/")
	first, _, _ := strings.Cut(path, "/")
	for at := path; at != ""; {
		if _, known := mayImport[at]; known {
			return at
		}
		at = at[:max(strings.LastIndex(at, "/"), 0)]
	}
	return first
}

// rooms returns the folders that may import a library; ok is false where every
// folder may. The longest library name that matches counts.
func rooms(imported string) (folders []string, ok bool) {
	longest := ""
	for library, allowed := range onlyIn {
		if within(imported, library) && len(library) > len(longest) {
			longest, folders, ok = library, allowed, true
		}
	}
	return folders, ok
}

func within(path, parent string) bool {
	return path == parent || strings.HasPrefix(path, parent+"/")
}

func TestPackagesImportOnlyWhatTheirFolderMay(t *testing.T) {
	for _, p := range packages(t) {
		from := folder(p.ImportPath)
		if from == "" { // main may know everybody
			continue
		}
		allowed, known := mayImport[from]
		if !known {
			t.Errorf("%s is a folder the house does not have", p.ImportPath)
			continue
		}
		for _, imported := range p.Imports {
			if within(imported, module) {
				if to := folder(imported); to != from && !slices.Contains(allowed, to) {
					t.Errorf("%s imports %s", p.ImportPath, imported)
				}
				continue
			}
			if folders, limited := rooms(imported); limited && !slices.ContainsFunc(folders, func(room string) bool { return within(from, room) }) {
				t.Errorf("%s imports %s", p.ImportPath, imported)
			}
			if from == "models" && strings.Contains(imported, ".") {
				t.Errorf("models imports %s, which is not the standard library", imported)
			}
		}
	}
}
