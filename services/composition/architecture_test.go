package composition_test

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// chain is the order of the packages that follow LiveKit's events and tokens:
// each may import those of the lines after its own. tools may be imported by
// all of them, and import nothing of services but what is listed.
var (
	chain = [][]string{
		{"rooms", "media", "ingress", "webhooks"}, {"tokens"}, {"quotas"}, {"evictions"}, {"metering", "counters"}, {"usage", "events"}, {"storage"}, {"clusters"}, {"livekitevents"}, {"livekit"},
	}
	beside = map[string][]string{
		"tenancy":     {"quotas", "storage", "auth", "audit", "paging", "lookup"},
		"auth":        {"audit", "lookup", "paging"},
		"audit":       {"paging"},
		"data":        {"audit", "metering", "usage"},
		"overview":    {"quotas"},
		"operations":  {"metering", "usage", "audit", "clock"},
		"downloads":   {},
		"idempotency": {},
		"status":      {},
		"paging":      {},
		"fields":      {},
		"lookup":      {},
		"shards":      {},
		"clock":       {},
	}
	// tools are imported by every package of the chain that needs them.
	tools = []string{"audit", "paging", "lookup", "shards", "clock", "fields"}
)

func mayImport(pkg string) (allowed []string, known bool) {
	if allowed, known = beside[pkg]; known {
		return allowed, true
	}
	for i, layer := range chain {
		if slices.Contains(layer, pkg) {
			return append(slices.Concat(chain[i+1:]...), tools...), true
		}
	}
	return nil, false
}

func TestPackagesOfServicesImportOnlyDownTheOrder(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "../...").Output()
	if err != nil {
		t.Fatal(err)
	}
	const prefix = "pulse-control-plane/services/"
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		pkg, isNoun := strings.CutPrefix(p.ImportPath, prefix)
		if !isNoun || pkg == "composition" {
			continue // the composition root imports all of them
		}
		allowed, known := mayImport(pkg)
		if !known {
			t.Errorf("services/%s has no position in the order", pkg)
		}
		for _, imported := range p.Imports {
			other, ok := strings.CutPrefix(imported, prefix)
			if ok && !slices.Contains(allowed, other) {
				t.Errorf("services/%s imports services/%s", pkg, other)
			}
			library := strings.HasPrefix(imported, "github.com/livekit/")
			if library && pkg != "livekit" {
				t.Errorf("services/%s imports %s; only services/livekit may", pkg, imported)
			}
			if imported == "net/http" && pkg != "livekit" && pkg != "webhooks" && pkg != "storage" {
				t.Errorf("services/%s imports net/http", pkg)
			}
			if strings.Contains(imported, "mongo-driver") {
				t.Errorf("services/%s imports %s", pkg, imported)
			}
		}
	}
}
