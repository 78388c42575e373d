package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheTableIsWrittenOutsideTheRepositoryUnlessAPathIsGiven(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	written, err := writeTable("", "a table")
	if err != nil || !strings.HasPrefix(written, os.TempDir()) {
		t.Fatalf("written to %q, %v", written, err)
	}
	named := filepath.Join(t.TempDir(), "docs", "BENCHMARKS.md")
	again, err := writeTable(named, "a table")
	if err != nil || again != named {
		t.Fatalf("written to %q, %v", again, err)
	}
	for _, path := range []string{written, named} {
		if text, err := os.ReadFile(path); err != nil || string(text) != "a table" {
			t.Errorf("%s holds %q, %v", path, text, err)
		}
	}
}
