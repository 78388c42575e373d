package config

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// TestComposePassesEverySettingOn: a setting in .env that compose.yaml leaves
// out would silently have no effect.
func TestComposePassesEverySettingOn(t *testing.T) {
	text, err := os.ReadFile("../deploy/compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	// The image sets these.
	image := []string{"HOST", "PORT", "DATA_DIR"}
	for _, v := range Variables() {
		if named := strings.Contains(string(text), "\n      "+v.Name+": "); named == slices.Contains(image, v.Name) {
			t.Errorf("%s: named %v", v.Name, named)
		}
	}
}
