package architecture_test

import (
	"testing"

	"pulse-control-plane/utils/architecture"
)

func TestPackagesImportOnlyWhatTheArchitectureAllows(t *testing.T) {
	packages, err := architecture.List(t.Context(), "../..")
	if err != nil || len(packages) < 20 {
		t.Fatalf("%d packages, %v", len(packages), err)
	}
	for _, violation := range importRules().Violations(packages) {
		t.Error(violation)
	}
}

func TestFilesAndPackagesAreNoLongerThanTheArchitectureAllows(t *testing.T) {
	lines, err := architecture.Lines(t.Context(), "../..")
	if err != nil || len(lines) < 100 {
		t.Fatalf("%d files, %v", len(lines), err)
	}
	for _, violation := range sizeRules().Violations(lines) {
		t.Error(violation)
	}
}

// sizeRules are those of docs/ARCHITECTURE.md.
func sizeRules() architecture.Sizes {
	return architecture.Sizes{
		GoFile: 400, Files: map[string]int{"README.md": 220}, Packages: map[string]int{"services/*": 2600},
		Holds: map[string][]string{
			"": {"main.go", "main_test.go", "go.mod", "go.sum", ".env.example", "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md",
				"LICENSE", "Makefile", ".gitignore", ".golangci.yml", ".goreleaser.yaml", ".dockerignore", ".editorconfig",
				"package.json", "package-lock.json", "tsconfig.json"},
			"services": {"services.go", "doc.go", "*_test.go"},
		},
		Folders: []string{".ci", "config", "dashboard", "database", "deploy", "docs", "e2e", "handlers", "middleware", "models", "routes",
			"services", "utils"},
		Requires: map[string]string{"services": "doc.go", "services/*": "doc.go"},
	}
}

// importRules are those of docs/ARCHITECTURE.md.
func importRules() architecture.Rules {
	return architecture.Rules{
		Module: "pulse-control-plane",
		MayImport: map[string][]string{
			"routes":     {"handlers", "middleware", "services", "dashboard"},
			"dashboard":  {"utils"},
			"handlers":   {"handlers/request", "services", "models", "utils"},
			"middleware": {"services", "models", "utils"},
			"services":   {"services", "database", "models", "utils"},
			"database":   {"models", "utils", "database"},
			// The one exception among handlers: a sub-command reads the configuration and
			// says where the database is.
			"handlers/commands": {"config", "database", "services", "models", "utils"},
			// The parts of database know the contract, not each other.
			"database/engine":      {"models", "utils", "database/engine"},
			"database/embedded":    {"models", "utils", "database/engine"},
			"database/mongo":       {"models", "utils", "database/engine"},
			"database/conformance": {"models", "database/engine"},
			"config":               {"models", "utils"},
			"models":               {},
			"docs":                 {},
			"utils":                {"utils"},
		},
		OnlyIn: map[string][]string{
			"github.com/gin-gonic/gin":            {"routes", "handlers", "middleware"},
			"go.mongodb.org/mongo-driver/v2/bson": {"database"},
			"go.mongodb.org/mongo-driver":         {"database/mongo"},
			"modernc.org/sqlite":                  {"database/embedded"},
			"github.com/livekit/protocol":         {"services"},
			"github.com/livekit/server-sdk-go":    {"services"},
			"github.com/urfave/cli":               {"utils/arguments", "handlers/commands"}, // and main
			"github.com/getkin/kin-openapi":       {},
			"github.com/wneessen/go-mail":         {"services"},
			"github.com/emersion/go-smtp":         {},
		},
		StandardOnly: []string{"models"},
	}
}
