package config

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// TestComposePassesEverySettingOn: a setting in .env that compose.yaml leaves
// out would silently have no effect. Secrets go as files, which `docker inspect`
// does not show.
func TestComposePassesEverySettingOn(t *testing.T) {
	text, err := os.ReadFile("../deploy/compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	// The image sets these.
	image := []string{"HOST", "PORT", "DATA_DIR"}
	for _, v := range Variables() {
		plain := strings.Contains(string(text), "\n      "+v.Name+": ")
		file := strings.Contains(string(text), "\n      "+v.Name+"_FILE: /run/secrets/")
		want := !slices.Contains(image, v.Name)
		if plain != (want && !v.Secret) || file != (want && v.Secret) {
			t.Errorf("%s: passed on %v, as a file %v", v.Name, plain, file)
		}
	}
}
