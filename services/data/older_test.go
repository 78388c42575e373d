package data

import (
	"bytes"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"pulse-control-plane/database"
	"pulse-control-plane/database/testkit"
)

// older is the path of a database that the binary before schema versions wrote; started
// has a start of this version add what it lacks, which leaves the old names.
func older(t *testing.T, started bool) string {
	t.Helper()
	path := testkit.Unzipped(t, "../../database/testdata/layout1.db.gz")
	if started {
		shut(t, open(t, path))
	}
	return path
}

// verified runs the check, which must find nothing, and gives what it says meanwhile.
func verified(t *testing.T, path, file string) string {
	t.Helper()
	var out, progress bytes.Buffer
	c := Commands{Tool: tool(path), Out: &out, Progress: &progress}
	if err := c.Verify(t.Context(), file); err != nil || out.String() != "ok\n" {
		t.Fatalf("the check of %s%s: %v: %s", path, file, err, out.String())
	}
	return progress.String()
}

func hasNames(t *testing.T, path string, former bool) {
	t.Helper()
	f, err := database.OpenFile(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	all, err := f.Existing(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, old := range database.FormerNames() {
		if slices.Contains(all, old) != former || slices.Contains(all, name) == former {
			t.Errorf("former names %v, but the collections are %v", former, all)
		}
	}
	if err := f.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// documents counts those of each collection that has any, by its name now, without
// what a start and migrate note.
func documents(t *testing.T, path string) map[string]int64 {
	t.Helper()
	counts := describe(t, path).Collections
	for name, old := range database.FormerNames() {
		counts[name] += counts[old]
		delete(counts, old)
	}
	maps.DeleteFunc(counts, func(name string, n int64) bool { return n == 0 || name == "schema" || name == "fingerprints" })
	return counts
}

func TestABackupOfAnOlderLayoutIsSoundIsRestoredAndThenMigrated(t *testing.T) {
	for name, started := range map[string]bool{"as the older version wrote it": false, "started with this version": true} {
		t.Run(name, func(t *testing.T) {
			source := older(t, started)
			before := documents(t, source)
			file := backedUp(t, source)
			path := filepath.Join(t.TempDir(), "pulse.db")
			for _, said := range []string{verified(t, "", file), func() string {
				if _, err := tool(path).Restore(t.Context(), file); err != nil {
					t.Fatal(err)
				}
				return verified(t, path, "")
			}()} {
				if strings.Contains(said, "older layout; a start or `pulse-control-plane migrate` will add") == started {
					t.Errorf("the check says %q", said)
				}
			}
			hasNames(t, path, true)
			same := func() {
				t.Helper()
				if now := documents(t, path); !maps.Equal(now, before) {
					t.Errorf("documents %v, in the backup %v", now, before)
				}
			}
			shut(t, open(t, path))
			hasNames(t, path, true)
			same()
			if said := verified(t, path, ""); strings.Contains(said, "older layout") {
				t.Errorf("after a start: %q", said)
			}
			if err := Migrate(t.Context(), database.Location{Path: path}, someSecrets(), true, zerolog.Nop()); err != nil {
				t.Fatal(err)
			}
			hasNames(t, path, false)
			same()
			verified(t, path, "")
		})
	}
}

func TestACheckOfABackupWithoutNewlyDeclaredFieldsFindsNoFault(t *testing.T) {
	path := store(t, 10)
	metered(t, path)
	change(`ALTER TABLE schema DROP COLUMN "renaming.by"`)(t, path)
	for _, said := range []string{verified(t, path, ""), verified(t, "", backedUp(t, path))} {
		if !strings.Contains(said, "will add schema.renaming.by") {
			t.Errorf("the check says %q", said)
		}
	}
}
