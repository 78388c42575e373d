package database

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"pulse-control-plane/models"
)

func TestAPathThatCannotBeADatabaseIsTheOperatorsMistakeAndNamed(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, path := range map[string]string{"within a file": filepath.Join(file, "pulse.db"), "a folder": dir,
		"too long": filepath.Join(dir, strings.Repeat("x", 300))} {
		_, err := Open(t.Context(), Location{Path: path}, zerolog.Nop())
		if !models.HasCode(err, "database_path") || !models.IsKind(err, models.KindMisconfigured) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: answers %v; want misconfigured with the path", name, err)
		}
	}
}
