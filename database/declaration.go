package database

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"pulse-control-plane/models"
)

// idField is the field every document is named by; a String, unique, implied
// by every collection.
const idField = "_id"

// String names the kind as it stands in error messages and schema reports.
func (k FieldKind) String() string {
	switch k {
	case String:
		return "string"
	case Int:
		return "int"
	case Float:
		return "float"
	case Bool:
		return "bool"
	case Time:
		return "time"
	}
	return fmt.Sprintf("kind(%d)", int(k))
}

// IndexName is the name of an index in the database: MongoDB's default, each
// key and its direction joined with underscores ("org_id_1_created_at_-1").
func IndexName(ix Index) string {
	parts := make([]string, len(ix.Keys))
	for i, key := range ix.Keys {
		field, direction := indexKey(key)
		parts[i] = fmt.Sprintf("%s_%d", field, direction)
	}
	return strings.Join(parts, "_")
}

// indexKey splits a key of an index into its field and direction (1 or -1).
func indexKey(key string) (field string, direction int) {
	if field, descending := strings.CutPrefix(key, "-"); descending {
		return field, -1
	}
	return key, 1
}

// declared is a Collection prepared for checking what is asked of it.
type declared struct {
	Collection
	kinds map[string]FieldKind
	// paths are the declared fields in declared order.
	paths []declaredPath
}

// declaredPath is a declared field, split at its dots.
type declaredPath struct {
	name string
	path []string
	kind FieldKind
}

func newDeclaredPath(name string, kind FieldKind) declaredPath {
	return declaredPath{name, strings.Split(name, "."), kind}
}

// declarations are all collections by name.
type declarations map[string]*declared

// Names become table, column and index names of both engines, so they are
// plain identifiers: nothing that needs quoting or that MongoDB gives a
// meaning to ("$").
var (
	collectionName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)
	fieldName      = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)*$`)
)

// declare checks a schema and prepares it. Its error names every mistake.
func declare(schema []Collection) (declarations, error) {
	all := declarations{}
	var mistakes []error
	for _, c := range schema {
		if !collectionName.MatchString(c.Name) {
			mistakes = append(mistakes, fmt.Errorf("collection %q: not a plain lower-case name", c.Name))
			continue
		}
		if all[c.Name] != nil {
			mistakes = append(mistakes, fmt.Errorf("collection %s: declared twice", c.Name))
			continue
		}
		d := &declared{Collection: c, kinds: map[string]FieldKind{idField: String}}
		mistakes = append(mistakes, d.addFields()...)
		mistakes = append(mistakes, d.checkIndexes()...)
		all[c.Name] = d
	}
	if len(mistakes) > 0 {
		return nil, models.Internal(fmt.Errorf("schema: %w", errors.Join(mistakes...)))
	}
	return all, nil
}

func (d *declared) addFields() (mistakes []error) {
	folded := map[string]bool{}
	for _, f := range d.Fields {
		switch lower := strings.ToLower(f.Name); {
		case !fieldName.MatchString(f.Name):
			mistakes = append(mistakes, fmt.Errorf("%s: field %q is not a plain (dotted) name", d.Name, f.Name))
		case lower == "doc" || lower == "rowid" || lower == "oid":
			mistakes = append(mistakes, fmt.Errorf("%s: field %q is a column of the embedded engine", d.Name, f.Name))
		// SQLite folds the case of column names.
		case folded[lower]:
			mistakes = append(mistakes, fmt.Errorf("%s: field %q is declared twice", d.Name, f.Name))
		case f.Kind < String || f.Kind > Time:
			mistakes = append(mistakes, fmt.Errorf("%s: field %q has no kind", d.Name, f.Name))
		default:
			folded[lower] = true
			d.kinds[f.Name] = f.Kind
			d.paths = append(d.paths, newDeclaredPath(f.Name, f.Kind))
		}
	}
	for _, a := range d.paths {
		for _, b := range d.paths {
			if strings.HasPrefix(b.name, a.name+".") {
				mistakes = append(mistakes, fmt.Errorf("%s: %s cannot be both a value and the parent of %s", d.Name, a.name, b.name))
			}
		}
	}
	return mistakes
}

func (d *declared) checkIndexes() (mistakes []error) {
	wrong := func(ix Index, why string) {
		mistakes = append(mistakes, fmt.Errorf("%s: index %s: %s", d.Name, IndexName(ix), why))
	}
	names := map[string]bool{}
	for _, ix := range d.Indexes {
		if len(ix.Keys) == 0 {
			wrong(ix, "has no keys")
		}
		if names[IndexName(ix)] {
			wrong(ix, "is declared twice")
		}
		names[IndexName(ix)] = true
		seen := map[string]bool{}
		for _, key := range ix.Keys {
			field, _ := indexKey(key)
			if d.kinds[field] == 0 {
				wrong(ix, fmt.Sprintf("field %q is not declared", field))
			}
			if seen[field] {
				wrong(ix, fmt.Sprintf("names %q twice", field))
			}
			seen[field] = true
		}
		if ix.Partial && !ix.Unique {
			wrong(ix, "is partial but not unique")
		}
		if ix.ExpireAfter != nil {
			if field, _ := indexKey(ix.Keys[0]); len(ix.Keys) != 1 || d.kinds[field] != Time {
				wrong(ix, "expires documents but is not on a single time")
			}
			if ix.Unique {
				wrong(ix, "expires documents and is unique")
			}
			if *ix.ExpireAfter < 0 {
				wrong(ix, "expires documents before their time")
			}
		}
	}
	return mistakes
}

// collection finds a declared collection; one that is not declared is an
// internal error.
func (all declarations) collection(name string) (*declared, error) {
	if d := all[name]; d != nil {
		return d, nil
	}
	return nil, models.Internal(fmt.Errorf("database: collection %q is not declared", name))
}

// conflict is the error of a duplicate in the named unique index, or in "_id"
// where the name is that of none.
func (d *declared) conflict(index string, cause error) error {
	code := "already_exists"
	for _, ix := range d.Indexes {
		if ix.ConflictCode != "" && IndexName(ix) == index {
			code = ix.ConflictCode
		}
	}
	return models.Conflict(code, "Something with the same unique value exists already.").Because(cause)
}

// refuse is the error of a question the contract does not allow: a fault in
// our own code, found before the database is asked.
func (d *declared) refuse(format string, args ...any) error {
	return models.Internal(fmt.Errorf("database: "+d.Name+": "+format, args...))
}
