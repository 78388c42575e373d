package database

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"pulse-control-plane/utils/secret"
)

func sealedUnder(t *testing.T, masters ...string) *SealedFields {
	t.Helper()
	var values []secret.Value
	for _, m := range masters {
		values = append(values, secret.New(m))
	}
	ring, err := secret.NewRing(values...)
	if err != nil {
		t.Fatal(err)
	}
	return SealedUnder(ring)
}

func TestOnlyDeclaredFieldsCanBeSealed(t *testing.T) {
	fields := sealedUnder(t, "master")
	declared := 0
	for _, c := range Schema() {
		for _, s := range c.Sealed {
			declared++
			if _, err := fields.Of(c.Name, s.Field); err != nil {
				t.Error(err)
			}
		}
	}
	if declared < 5 {
		t.Errorf("%d sealed fields are declared", declared)
	}
	for _, other := range [][2]string{{"projects", "name"}, {"nothing", "storage.secret"}, {"projects", ""}} {
		if _, err := fields.Of(other[0], other[1]); err == nil {
			t.Errorf("%s.%s can be sealed", other[0], other[1])
		}
	}

	// There is no other way to seal: only this package makes boxes.
	box := regexp.MustCompile(`\.Box\(|secret\.Box\{`)
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "node_modules" || strings.HasPrefix(entry.Name(), ".") && entry.Name() != ".."):
			return fs.SkipDir
		case entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go"):
			return nil
		case strings.HasPrefix(path, "../utils/secret/") || path == "../database/sealed_fields.go":
			return nil
		}
		text, err := os.ReadFile(path)
		if err == nil && box.Match(text) {
			t.Errorf("%s makes a box; seal a declared field (SealedFields.Of) instead", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestASealedValueOpensInItsDocumentAndFieldOnly(t *testing.T) {
	fields := sealedUnder(t, "master")
	type where struct{ collection, field string }
	all := map[where]*SealedField{}
	for _, c := range Schema() {
		for _, s := range c.Sealed {
			f, err := fields.Of(c.Name, s.Field)
			if err != nil {
				t.Fatal(err)
			}
			all[where{c.Name, s.Field}] = f
		}
	}
	for here, f := range all {
		sealed, err := f.Seal([]byte("text"), "id_1")
		if err != nil {
			t.Fatal(err)
		}
		if plain, err := f.Open(sealed, "id_1"); err != nil || string(plain) != "text" {
			t.Errorf("%v: %q, %v", here, plain, err)
		}
		if _, err := f.Open(sealed, "id_2"); err == nil {
			t.Errorf("%v opens in another document", here)
		}
		for there, other := range all {
			// The secret of an endpoint becomes its previous one.
			if there == here || here.collection == endpoints && there.collection == endpoints {
				continue
			}
			if _, err := other.Open(sealed, "id_1"); err == nil {
				t.Errorf("a value of %v opens as %v", here, there)
			}
		}
	}
}
