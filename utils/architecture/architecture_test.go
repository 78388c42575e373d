package architecture_test

import (
	"slices"
	"testing"

	"pulse-control-plane/utils/architecture"
)

func TestEachForbiddenImportIsAViolationAndAllowedOnesAreNot(t *testing.T) {
	rules := architecture.Rules{
		Module: "example.com/shop",
		MayImport: map[string][]string{
			"handlers": {"services", "utils"}, "services": {"services", "database", "utils"}, "services/audit": {"database"},
			"database": {"utils"}, "utils": {"utils"}, "models": {},
		},
		Order:        []string{"services/rooms services/webhooks", "services/tokens", "services/audit"},
		OnlyIn:       map[string][]string{"example.org/gin": {"handlers"}, "example.org/spec": {}, "example.org/gin/inner": {"services"}},
		StandardOnly: []string{"models"},
	}
	const module = "example.com/shop/"
	for name, c := range map[string]struct {
		from, imports string
		allowed       bool
	}{
		"the root imports anything": {"example.com/shop", module + "handlers", true},
		"a layer below":             {module + "handlers", module + "services/rooms", true},
		"a layer above":             {module + "services/rooms", module + "handlers", false},
		"two layers below":          {module + "handlers", module + "database", false},
		"the root package":          {module + "utils/x", "example.com/shop", false},
		"a folder that only begins like an allowed one": {module + "handlers", module + "services2", false},
		"a folder without a rule":                       {module + "new", "fmt", false},
		"its own folder where that is not named":        {module + "database/mongo", module + "database/engine", false},
		"later in the order":                            {module + "services/rooms", module + "services/tokens", true},
		"earlier in the order":                          {module + "services/tokens", module + "services/rooms", false},
		"on the same line of the order":                 {module + "services/rooms", module + "services/webhooks", false},
		"a package below an ordered one":                {module + "services/tokens/inner", module + "services/rooms", false},
		"outside the order":                             {module + "services/other", module + "services/rooms", true},
		"a rule nearer than its parent's":               {module + "services/audit", module + "utils/x", false},
		"the standard library":                          {module + "models", "net/http", true},
		"a library where only the standard one is":      {module + "models", "example.org/other", false},
		"a library":                                       {module + "services/rooms", "example.org/other", true},
		"a library in one of its folders":                 {module + "handlers", "example.org/gin/binding", true},
		"a library outside its folders":                   {module + "services/rooms", "example.org/gin", false},
		"a package with a rule nearer than its library's": {module + "handlers", "example.org/gin/inner", false},
		"a library of tests":                              {module + "handlers", "example.org/spec", false},
		"a library that only begins like a named one":     {module + "services/rooms", "example.org/ginger", true},
		"another module":                                  {"example.org/gin", module + "handlers", true},
	} {
		found := rules.Violations([]architecture.Package{{ImportPath: c.from, Imports: []string{c.imports}}})
		if (len(found) == 0) != c.allowed {
			t.Errorf("%s: %q", name, found)
		}
	}
}

func TestListFindsThePackagesOfTheModuleWithTheirImports(t *testing.T) {
	all, err := architecture.List(t.Context(), ".")
	if err != nil || len(all) != 1 || !slices.Contains(all[0].Imports, "os/exec") || slices.Contains(all[0].Imports, "testing") {
		t.Errorf("%+v, %v", all, err)
	}
}
