package architecture

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
)

// Package is what the go command says about one package.
type Package struct {
	ImportPath string
	// Imports of its files without tests.
	Imports []string
}

// Rules say what a module's packages may import. Folders are relative to the
// module's root; a rule for a folder holds for those below it that have no rule
// of their own.
type Rules struct {
	// Module is the module's path.
	Module string
	// MayImport gives, for each folder, the folders of the module it may
	// import; the folders below those are included. The root package may import
	// everything. Packages of one folder import each other only if it names
	// itself.
	MayImport map[string][]string
	// Order lists packages that may import only those after them. Packages on
	// one line, separated by spaces, do not import each other.
	Order []string
	// OnlyIn gives, for a library or a package of one, the only folders that may
	// import it; the longest name that matches counts.
	OnlyIn map[string][]string
	// StandardOnly are folders that import nothing but the standard library and
	// what MayImport gives them.
	StandardOnly []string
}

// List asks the go command for the packages of the module in a folder.
func List(ctx context.Context, dir string) ([]Package, error) {
	command := exec.CommandContext(ctx, "go", "list", "-json=ImportPath,Imports", "./...")
	command.Dir = dir
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	var all []Package
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p Package
		switch err := decoder.Decode(&p); {
		case errors.Is(err, io.EOF):
			return all, nil
		case err != nil:
			return nil, fmt.Errorf("go list: %w", err)
		}
		all = append(all, p)
	}
}

// Violations checks packages and returns one sentence for each import that no
// rule allows, sorted.
func (r Rules) Violations(packages []Package) []string {
	var found []string
	for _, p := range packages {
		from, inside := r.folder(p.ImportPath)
		if !inside || from == "" {
			continue
		}
		allowed, known := nearest(r.MayImport, from)
		if !known {
			found = append(found, fmt.Sprintf("no rule names the folder of %s", p.ImportPath))
			continue
		}
		for _, imported := range p.Imports {
			if why := r.violation(from, imported, allowed); why != "" {
				found = append(found, fmt.Sprintf("%s imports %s: %s", p.ImportPath, imported, why))
			}
		}
	}
	slices.Sort(found)
	return found
}

// violation says why a folder may not import a package, or "".
func (r Rules) violation(from, imported string, allowed []string) string {
	if to, inside := r.folder(imported); inside {
		if to == "" || !slices.ContainsFunc(allowed, func(folder string) bool { return under(to, folder) }) {
			return "not among " + cmp.Or(strings.Join(allowed, ", "), "nothing")
		}
		if first, second := r.rank(from), r.rank(to); first >= 0 && second >= 0 && from != to && first >= second {
			return "it does not come after " + from + " in the order"
		}
		return ""
	}
	if folders, limited := nearest(r.OnlyIn, imported); limited &&
		!slices.ContainsFunc(folders, func(folder string) bool { return under(from, folder) }) {
		return "only " + cmp.Or(strings.Join(folders, ", "), "tests") + " may"
	}
	standard := !strings.Contains(strings.SplitN(imported, "/", 2)[0], ".")
	if !standard && slices.ContainsFunc(r.StandardOnly, func(folder string) bool { return under(from, folder) }) {
		return "it is not the standard library"
	}
	return ""
}

// folder gives a package's folder in the module; inside is false for another
// module's package.
func (r Rules) folder(importPath string) (folder string, inside bool) {
	if importPath == r.Module {
		return "", true
	}
	return strings.CutPrefix(importPath, r.Module+"/")
}

// rank is the line of Order that names a folder or one above it, or -1.
func (r Rules) rank(folder string) int {
	return slices.IndexFunc(r.Order, func(line string) bool {
		return slices.ContainsFunc(strings.Fields(line), func(named string) bool { return under(folder, named) })
	})
}

// nearest finds the rule of a path, or of the nearest one above it.
func nearest(rules map[string][]string, path string) (folders []string, known bool) {
	for {
		if folders, known = rules[path]; known {
			return folders, true
		}
		cut := strings.LastIndexByte(path, '/')
		if cut < 0 {
			return nil, false
		}
		path = path[:cut]
	}
}

// under reports whether a path is a folder or below it.
func under(path, folder string) bool {
	return path == folder || strings.HasPrefix(path, folder+"/")
}
