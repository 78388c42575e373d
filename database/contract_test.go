package database

import (
	"database/sql"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

func TestAStartKeepsRetiredIndexesAndMigrateDropsThem(t *testing.T) {
	declared := map[string]bool{}
	for _, c := range Schema() {
		for _, ix := range c.Indexes {
			declared[c.Name+" "+strings.Join(ix.Keys, " ")] = true
		}
	}
	path := copyFixture(t)
	before := retiredIndexes(t, path)
	if len(before) == 0 {
		t.Fatal("the fixture has no retired index")
	}
	for _, contract := range []bool{false, false, true, false} {
		e, err := Open(t.Context(), Location{Path: path}, zerolog.Nop())
		if err != nil {
			t.Fatal(err)
		}
		if contract {
			if err := Contract(t.Context(), e, zerolog.Nop()); err != nil {
				t.Fatal(err)
			}
		}
		closeEngine(t, e)
		switch after := retiredIndexes(t, path); {
		case contract && len(after) > 0:
			t.Errorf("migrate left %v", after)
		case contract:
			before = nil
		case !slices.Equal(before, after):
			t.Errorf("a start made %v of %v", after, before)
		}
	}
	for _, m := range migrations() {
		for _, ix := range m.retire {
			if declared[ix.collection+" "+strings.Join(ix.keys, " ")] {
				t.Errorf("index %v is retired and declared", ix)
			}
		}
	}
}

// retiredIndexes are those that a file has.
func retiredIndexes(t *testing.T, path string) (names []string) {
	t.Helper()
	file, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for _, m := range migrations() {
		for _, ix := range m.retire {
			name, count := ix.collection+"."+strings.Join(ix.keys, "_1_")+"_1", 0
			if err := file.QueryRowContext(t.Context(), "SELECT count(*) FROM sqlite_master WHERE name = ?", name).Scan(&count); err != nil {
				t.Fatal(err)
			}
			if count > 0 {
				names = append(names, name)
			}
		}
	}
	return names
}

func TestAStartNeverRaisesWhatOlderVersionsNeedAndMigrateDoes(t *testing.T) {
	e := openAt(t, filepath.Join(t.TempDir(), "pulse.db"), []Collection{schemasCollection(), {Name: "numbers", Fields: []Field{{Name: "n", Kind: Int}}}})
	defer closeEngine(t, e)
	for _, c := range []struct {
		contract              bool
		minReader, contracted int64
	}{{false, 0, 0}, {true, 1, 2}, {false, 1, 2}} {
		m := migrator{engine: e, migrations: doubling(), contract: c.contract}
		if err := prepare(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		state, err := m.check(t.Context())
		if err != nil || state.Version != 2 || state.MinReader != c.minReader || state.Contracted != c.contracted {
			t.Errorf("contract %v: %+v, %v", c.contract, state, err)
		}
	}
}
