// Package docs has the tests that keep the pages of this folder true.
package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"go.yaml.in/yaml/v3"

	"pulse-control-plane/database"
)

// glossary is GLOSSARY.md, read.
type glossary struct {
	// words are those of its terms and its general words, in the singular.
	words map[string]bool
	// retired are words that nothing may use.
	retired []string
}

var bold = regexp.MustCompile(`\*\*([^*]+)\*\*`)

func readGlossary(t *testing.T) glossary {
	t.Helper()
	text, err := os.ReadFile("GLOSSARY.md")
	if err != nil {
		t.Fatal(err)
	}
	g := glossary{words: map[string]bool{}}
	section := ""
	for line := range strings.Lines(string(text)) {
		switch {
		case strings.HasPrefix(line, "## "):
			section = strings.TrimSpace(line[3:])
		case section == "Retired words":
			if cells := strings.Split(line, "|"); len(cells) == 4 && !strings.HasPrefix(cells[1], "-") && strings.TrimSpace(cells[1]) != "never" {
				for word := range strings.SplitSeq(cells[1], ",") {
					g.retired = append(g.retired, strings.TrimSpace(word))
				}
			}
		case section == "General words":
			if !strings.HasSuffix(strings.TrimSpace(line), ":") {
				g.learn(line)
			}
		default:
			for _, term := range bold.FindAllStringSubmatch(line, -1) {
				g.learn(term[1])
			}
		}
	}
	if len(g.words) < 100 || len(g.retired) < 10 {
		t.Fatalf("only %d words and %d retired words were read", len(g.words), len(g.retired))
	}
	return g
}

func (g glossary) learn(text string) {
	for _, word := range split(text) {
		g.words[singular(word)] = true
	}
}

var boundary = regexp.MustCompile(`[A-Z]+(?:[a-z]+)?|[a-z]+`)

// split gives the words of a name or a text in lower case: "AllowedIPs", "usage_facts" and "audit-logs" are two each.
func split(name string) []string {
	name = strings.NewReplacer("LiveKit", "Livekit", "OpenAPI", "Openapi", "MongoDB", "Mongodb", "IDs", "Id", "IPs", "Ip").Replace(name)
	var words []string
	for _, run := range boundary.FindAllString(name, -1) {
		// "APIKey" is an initialism before a word that begins with its last letter.
		if upper := strings.IndexFunc(run, unicode.IsLower); upper > 1 {
			words = append(words, strings.ToLower(run[:upper-1]), strings.ToLower(run[upper-1:]))
			continue
		}
		words = append(words, strings.ToLower(run))
	}
	return words
}

func singular(word string) string {
	switch {
	case strings.HasSuffix(word, "ies"):
		return strings.TrimSuffix(word, "ies") + "y"
	case strings.HasSuffix(word, "sses"), strings.HasSuffix(word, "xes"), strings.HasSuffix(word, "ches"):
		return strings.TrimSuffix(word, "es")
	case strings.HasSuffix(word, "ss"), strings.HasSuffix(word, "us"), strings.HasSuffix(word, "is"), len(word) < 3:
		return word
	}
	return strings.TrimSuffix(word, "s")
}

// unknown gives the words of a name that the glossary does not have.
func (g glossary) unknown(name string) []string {
	var missing []string
	for _, word := range split(name) {
		if !g.words[singular(word)] {
			missing = append(missing, word)
		}
	}
	return missing
}

func TestTheGlossaryHasEveryWordOfCollectionsAndTheirRepositories(t *testing.T) {
	g := readGlossary(t)
	for _, collection := range database.Schema() {
		if missing := g.unknown(collection.Name); missing != nil {
			t.Errorf("collection %s: not in GLOSSARY.md: %s", collection.Name, strings.Join(missing, ", "))
		}
	}
}

func TestTheGlossaryHasEveryWordOfTypes(t *testing.T) {
	g := readGlossary(t)
	found := 0
	for _, folder := range []string{"../models", "../services"} {
		for path, file := range goFiles(t, folder) {
			if strings.HasSuffix(path, "_test.go") || strings.Contains(path, "/testkit/") {
				continue
			}
			for _, declared := range file.Decls {
				types, is := declared.(*ast.GenDecl)
				if !is || types.Tok != token.TYPE {
					continue
				}
				for _, spec := range types.Specs {
					name := spec.(*ast.TypeSpec).Name
					if !name.IsExported() {
						continue
					}
					found++
					if missing := g.unknown(name.Name); missing != nil {
						t.Errorf("%s: type %s: not in GLOSSARY.md: %s", path, name.Name, strings.Join(missing, ", "))
					}
				}
			}
		}
	}
	if found < 100 {
		t.Errorf("only %d types were found", found)
	}
}

func TestTheGlossaryHasEveryWordOfRoutes(t *testing.T) {
	g := readGlossary(t)
	text, err := os.ReadFile("../routes/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Paths map[string]any `yaml:"paths"`
	}
	if err := yaml.Unmarshal(text, &document); err != nil || len(document.Paths) < 20 {
		t.Fatalf("%d paths were read, %v", len(document.Paths), err)
	}
	for path := range document.Paths {
		for segment := range strings.SplitSeq(path, "/") {
			if strings.HasPrefix(segment, "{") || segment == "v1" {
				continue
			}
			if missing := g.unknown(segment); missing != nil {
				t.Errorf("route %s: not in GLOSSARY.md: %s", path, strings.Join(missing, ", "))
			}
		}
	}
}

var metricName = regexp.MustCompile(`(?:Name:\s*|gauge\(|counter\(|NewDesc\()"pulse_([a-z_]+)"`)

func TestTheGlossaryHasEveryWordOfMetrics(t *testing.T) {
	g := readGlossary(t)
	found := 0
	for path, text := range texts(t) {
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			continue
		}
		for _, name := range metricName.FindAllStringSubmatch(text, -1) {
			found++
			if missing := g.unknown(name[1]); missing != nil {
				t.Errorf("%s: metric pulse_%s: not in GLOSSARY.md: %s", path, name[1], strings.Join(missing, ", "))
			}
		}
	}
	if found < 4 {
		t.Errorf("only %d metrics were found", found)
	}
}

func TestNoFileUsesARetiredWord(t *testing.T) {
	g := readGlossary(t)
	for path, text := range texts(t) {
		for number, line := range strings.Split(text, "\n") {
			for _, name := range database.FormerNames() { // a migration renames them
				line = strings.NewReplacer(`"`+name+`"`, "", "`"+name+"`", "").Replace(line)
			}
			words := " " + strings.Join(split(line), " ") + " "
			for _, retired := range g.retired {
				if strings.Contains(words, " "+retired+" ") {
					t.Errorf("%s:%d: %q is retired, see GLOSSARY.md: %s", path, number+1, retired, strings.TrimSpace(line))
				}
			}
		}
	}
}

var (
	named = regexp.MustCompile("`((?:config|models|database|services|handlers|middleware|routes|utils|dashboard|deploy|docs|e2e)(?:/[A-Za-z0-9_.]+)+|[a-z_]+\\.go)/?`")
	link  = regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
)

func TestThePathsThatPagesNameExist(t *testing.T) {
	found := 0
	for path, text := range texts(t) {
		if filepath.Ext(path) != ".md" {
			continue
		}
		for _, name := range named.FindAllStringSubmatch(text, -1) {
			found++
			if _, err := os.Stat(filepath.Join("..", name[1])); err != nil {
				t.Errorf("%s names %s: %v", path, name[1], err)
			}
		}
		for _, target := range link.FindAllStringSubmatch(text, -1) {
			found++
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), target[1])); err != nil {
				t.Errorf("%s links to %s: %v", path, target[1], err)
			}
		}
	}
	if found < 50 {
		t.Errorf("only %d paths were found", found)
	}
}

// texts reads what people wrote: code, pages, descriptions and examples, by path.
func texts(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, path := range files(t, "..") {
		switch filepath.Ext(path) {
		case ".go", ".md", ".yaml", ".yml", ".conf", ".service", ".js", ".html", ".example", ".txt", ".lua":
		default:
			continue
		}
		switch filepath.Base(path) {
		case "GLOSSARY.md", "glossary_test.go", "common.txt":
			continue
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		out[path] = string(text)
	}
	return out
}

// goFiles parses the Go files of a folder and those below it.
func goFiles(t *testing.T, folder string) map[string]*ast.File {
	t.Helper()
	out := map[string]*ast.File{}
	for _, path := range files(t, folder) {
		if filepath.Ext(path) != ".go" {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		out[path] = file
	}
	return out
}

// files lists a folder without what is not the repository's own text.
func files(t *testing.T, folder string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case !entry.IsDir():
			out = append(out, path)
		case slices.Contains([]string{".git", "data", "testdata", "node_modules", "vendor"}, entry.Name()) && path != folder:
			return fs.SkipDir
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
