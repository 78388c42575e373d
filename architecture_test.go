package main

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
)

const module = "pulse-control-plane"

// mayImport says which of the house's packages each may know; a folder stands
// for the packages below it.
var mayImport = map[string][]string{
	"routes":     {"handlers", "middleware", "dashboard"},
	"dashboard":  {"utils"},
	"handlers":   {"services", "models", "utils"},
	"middleware": {"services", "models", "utils"},
	"services":   {"database", "models", "utils"},
	"database":   {"models", "utils", "database"},
	"config":     {"models", "utils"},
	"models":     {},
	"utils":      {"models", "utils"},
}

// onlyIn names, for a library, the only folders that may import it.
var onlyIn = map[string][]string{
	"github.com/gin-gonic/gin":         {"routes", "handlers", "middleware", "dashboard"},
	"go.mongodb.org/mongo-driver":      {"database"},
	"modernc.org/sqlite":               {"database"},
	"github.com/livekit/protocol":      {"services"},
	"github.com/livekit/server-sdk-go": {"services"},
	"github.com/getkin/kin-openapi":    {},
	"github.com/wneessen/go-mail":      {"services"},
	"github.com/emersion/go-smtp":      {},
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

func folder(path string) string {
	name, _, _ := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(path, module), "/"), "/")
	return name
}

func TestNobodyImportsAcrossTheHouse(t *testing.T) {
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
			if imported == module || strings.HasPrefix(imported, module+"/") {
				if !contains(allowed, folder(imported)) {
					t.Errorf("%s imports %s", p.ImportPath, imported)
				}
				continue
			}
			for library, rooms := range onlyIn {
				if (imported == library || strings.HasPrefix(imported, library+"/")) && !contains(rooms, from) {
					t.Errorf("%s imports %s", p.ImportPath, imported)
				}
			}
			if from == "models" && strings.Contains(imported, ".") {
				t.Errorf("models imports %s, which is not the standard library", imported)
			}
		}
	}
}

func contains(list []string, s string) bool {
	for _, item := range list {
		if item == s {
			return true
		}
	}
	return false
}
