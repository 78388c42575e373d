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

// importRules are those of docs/ARCHITECTURE.md.
func importRules() architecture.Rules {
	return architecture.Rules{
		Module: "pulse-control-plane",
		MayImport: map[string][]string{
			"commands":   {"config", "services", "database", "models", "utils"},
			"routes":     {"handlers", "middleware", "services", "dashboard"},
			"dashboard":  {"utils"},
			"handlers":   {"handlers/request", "services", "models", "utils"},
			"middleware": {"services", "models", "utils"},
			"services":   {"services", "database", "models", "utils"},
			"database":   {"models", "utils", "database"},
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
			"github.com/urfave/cli":               {"utils/arguments", "commands"}, // and main
			"github.com/getkin/kin-openapi":       {},
			"github.com/wneessen/go-mail":         {"services"},
			"github.com/emersion/go-smtp":         {},
		},
		StandardOnly: []string{"models"},
	}
}
