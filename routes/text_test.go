package routes_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// fill puts ids into a path's template.
func fill(path, org, project string) string {
	return strings.NewReplacer("{org}", org, "{project}", project).Replace(path)
}

// nameless is a path without a tenant's ids, for the name of a test.
func nameless(path string, t tenant) string {
	return strings.NewReplacer(t.org, "ORG", t.project, "PROJECT", t.user, "USER").Replace(path)
}

func pathHasID(path string) bool { return strings.Contains(path, "{") }

// neutral is an answer as text, status, headers and body, without the ids that
// were asked for.
func neutral(a *answer, ids ...string) string {
	var b strings.Builder
	fmt.Fprintln(&b, a.status)
	for _, name := range slices.Sorted(maps.Keys(a.header)) {
		fmt.Fprintln(&b, name, a.header[name])
	}
	b.Write(a.body)
	text := b.String()
	for _, id := range ids {
		if id != "" {
			text = strings.ReplaceAll(text, id, "ID")
		}
	}
	return text
}

// text is a value as it stands in a path or header.
func text(v any) string { return fmt.Sprint(v) }
