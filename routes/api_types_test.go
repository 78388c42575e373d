package routes_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"pulse-control-plane/routes"
)

// apiTypesPath is what the dashboard's modules are checked against.
const apiTypesPath = "../dashboard/api.d.ts"

var updateTypes = flag.Bool("update", false, "write dashboard/api.d.ts anew")

// typeScript renders a JSON schema as a type.
func typeScript(schema any) string {
	s, ok := schema.(map[string]any)
	if !ok {
		return "any"
	}
	if ref, ok := s["$ref"].(string); ok {
		return "Schemas['" + ref[strings.LastIndexByte(ref, '/')+1:] + "']"
	}
	if constant, ok := s["const"]; ok {
		return fmt.Sprintf("%q", constant)
	}
	if values, ok := s["enum"].([]any); ok {
		parts := make([]string, 0, len(values))
		for _, v := range values {
			parts = append(parts, fmt.Sprintf("%q", fmt.Sprint(v)))
		}
		return strings.Join(parts, " | ")
	}
	for _, word := range []string{"anyOf", "oneOf"} {
		if options, ok := s[word].([]any); ok && s["properties"] == nil && s["type"] == nil {
			parts := make([]string, 0, len(options))
			for _, option := range options {
				parts = append(parts, typeScript(option))
			}
			return strings.Join(parts, " | ")
		}
	}
	kinds := []any{s["type"]}
	if several, ok := s["type"].([]any); ok {
		kinds = several
	}
	parts := make([]string, 0, len(kinds))
	for _, kind := range kinds {
		parts = append(parts, ofKind(kind, s))
	}
	return strings.Join(parts, " | ")
}

func ofKind(kind any, s map[string]any) string {
	switch kind {
	case "string":
		return "string"
	case "integer", "number":
		return "number"
	case "boolean":
		return "boolean"
	case "null":
		return "null"
	case "array":
		return "Array<" + typeScript(s["items"]) + ">"
	case "object":
		return objectType(s)
	}
	return "any"
}

func objectType(s map[string]any) string {
	properties, _ := s["properties"].(map[string]any)
	if len(properties) == 0 {
		return "Record<string, any>"
	}
	required := map[string]bool{}
	if names, ok := s["required"].([]any); ok {
		for _, name := range names {
			required[fmt.Sprint(name)] = true
		}
	}
	names := make([]string, 0, len(properties))
	for name := range properties {
		names = append(names, name)
	}
	slices.Sort(names)
	var out strings.Builder
	out.WriteString("{ ")
	for _, name := range names {
		optional := "?"
		if required[name] {
			optional = ""
		}
		shown := name
		if !regexp.MustCompile(`^[A-Za-z_]\w*$`).MatchString(name) {
			shown = fmt.Sprintf("%q", name)
		}
		out.WriteString(shown + optional + ": " + typeScript(properties[name]) + "; ")
	}
	return out.String() + "}"
}

// apiTypes writes the schemas of the document as TypeScript.
func apiTypes() (string, error) {
	var tree struct {
		Components struct {
			Schemas map[string]any `yaml:"schemas"`
		} `yaml:"components"`
	}
	if err := yaml.Unmarshal(routes.OpenAPI(), &tree); err != nil {
		return "", err
	}
	names := make([]string, 0, len(tree.Components.Schemas))
	for name := range tree.Components.Schemas {
		names = append(names, name)
	}
	slices.Sort(names)
	var out strings.Builder
	out.WriteString("// Written by go test ./routes -run APITypes -update, from routes/openapi.yaml.\n\nexport interface Schemas {\n")
	for _, name := range names {
		out.WriteString("  " + name + ": " + typeScript(tree.Components.Schemas[name]) + ";\n")
	}
	return out.String() + "}\n", nil
}

func TestTheDashboardsAPITypesAreThoseOfTheDocument(t *testing.T) {
	want, err := apiTypes()
	if err != nil {
		t.Fatal(err)
	}
	if *updateTypes {
		if err := os.WriteFile(apiTypesPath, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(apiTypesPath)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Error("dashboard/api.d.ts is not in step with openapi.yaml; run: go test ./routes -run APITypes -update")
	}
}
