package models

import (
	cli "flag"
	"os"
	"strings"
	"testing"
)

var update = cli.Bool("update", false, "write the table of permissions into docs/PERMISSIONS.md")

const (
	page        = "../docs/PERMISSIONS.md"
	tableBegins = "<!-- permissions: written by `go test ./models -update` -->\n"
	tableEnds   = "<!-- end of permissions -->\n"
)

// permissionTable is RuleOf as Markdown.
func permissionTable() string {
	var b strings.Builder
	b.WriteString("| Action |")
	for _, role := range Roles() {
		b.WriteString(" " + string(role) + " |")
	}
	b.WriteString(" operator | key + secret | key alone |\n|---|")
	b.WriteString(strings.Repeat(":-:|", len(Roles())+3) + "\n")
	tick := func(may bool) string {
		if may {
			return " ✓ |"
		}
		return "  |"
	}
	for _, a := range Actions() {
		rule := RuleOf(a)
		b.WriteString("| `" + string(a) + "` |")
		for _, role := range Roles() {
			b.WriteString(tick(rule.Person != "" && role.AtLeast(rule.Person)))
		}
		b.WriteString(tick(rule.Operator))
		for _, key := range []bool{rule.ServerKey, rule.ClientKey} {
			if key && rule.Scope != "" {
				b.WriteString(" `" + string(rule.Scope) + "` |")
			} else {
				b.WriteString(tick(key))
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

func TestThePermissionsPagePrintsTheTableOfPermissions(t *testing.T) {
	data, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, begins := strings.Cut(string(data), tableBegins)
	table, after, ends := strings.Cut(rest, tableEnds)
	if !begins || !ends {
		t.Fatalf("docs/PERMISSIONS.md lacks the lines %q and %q", tableBegins, tableEnds)
	}
	if table == permissionTable() {
		return
	}
	if !*update {
		t.Fatal("docs/PERMISSIONS.md prints another table; run go test ./models -update")
	}
	if err := os.WriteFile(page, []byte(before+tableBegins+permissionTable()+tableEnds+after), 0o644); err != nil {
		t.Fatal(err)
	}
}
