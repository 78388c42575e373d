package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheTableReplacesTheCommittedOneOnlyOnRequest(t *testing.T) {
	for _, c := range []struct{ out, benchWrite, want string }{
		{"", "", ""}, {"", "0", ""}, {"", "1", "root/docs/BENCHMARKS.md"}, {"a.md", "1", "a.md"}, {"a.md", "", "a.md"},
	} {
		if got := outPath(options{root: "root", out: c.out}, c.benchWrite); got != filepath.FromSlash(c.want) {
			t.Errorf("out %q and BENCH_WRITE %q: %q, want %q", c.out, c.benchWrite, got, c.want)
		}
	}
}

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
