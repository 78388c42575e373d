package engine

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

// IDField is the field that identifies a document: a String, unique, part of
// every collection without a declaration.
const IDField = "_id"

// String returns the name used in error messages and schema reports.
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

// IndexName returns the name of an index in the database. It is MongoDB's
// default: each key and its direction, joined with underscores
// ("org_id_1_created_at_-1").
func IndexName(ix Index) string {
	parts := make([]string, len(ix.Keys))
	for i, key := range ix.Keys {
		field, direction := IndexKey(key)
		parts[i] = fmt.Sprintf("%s_%d", field, direction)
	}
	return strings.Join(parts, "_")
}

// IndexKey splits a key of an index into its field and direction (1 or -1).
func IndexKey(key string) (field string, direction int) {
	if field, descending := strings.CutPrefix(key, "-"); descending {
		return field, -1
	}
	return key, 1
}

// Declared is a Collection with what the checks of queries and documents need.
type Declared struct {
	Collection
	Kinds map[string]FieldKind
	// Paths are the declared fields in declared order.
	Paths []Path
	// flat gives the index in Paths of each field without a dot.
	flat map[string]int
}

// Path is a declared field with its name split at the dots.
type Path struct {
	Name  string
	Parts []string
	Kind  FieldKind
}

func NewPath(name string, kind FieldKind) Path {
	return Path{name, strings.Split(name, "."), kind}
}

// Declarations are the declared collections by name.
type Declarations map[string]*Declared

// Both engines use the names for tables, columns and indexes. They are plain
// identifiers: nothing needs quotes, and "$" has no meaning in them.
var (
	collectionName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,62}$`)
	fieldName      = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_]*(\.[A-Za-z][A-Za-z0-9_]*)*$`)
)

// Declare checks a schema and prepares it for queries. The error lists every
// mistake.
func Declare(schema []Collection) (Declarations, error) {
	all := Declarations{}
	var mistakes []error
	stored := map[string]bool{}
	for _, c := range schema {
		if !collectionName.MatchString(c.StoredName()) || stored[c.StoredName()] {
			mistakes = append(mistakes, fmt.Errorf("collection %s: its stored name %q is not plain or another's", c.Name, c.StoredName()))
		}
		stored[c.StoredName()] = true
		if !collectionName.MatchString(c.Name) {
			mistakes = append(mistakes, fmt.Errorf("collection %q: not a plain lower-case name", c.Name))
			continue
		}
		if all[c.Name] != nil {
			mistakes = append(mistakes, fmt.Errorf("collection %s: declared twice", c.Name))
			continue
		}
		d := &Declared{Collection: c, Kinds: map[string]FieldKind{IDField: String}}
		mistakes = append(mistakes, d.addFields()...)
		mistakes = append(mistakes, d.checkIndexes()...)
		mistakes = append(mistakes, d.checkSealed()...)
		all[c.Name] = d
	}
	if len(mistakes) > 0 {
		return nil, models.Internal(fmt.Errorf("schema: %w", errors.Join(mistakes...)))
	}
	return all, nil
}

func (d *Declared) addFields() (mistakes []error) {
	folded := map[string]bool{}
	for _, f := range d.Fields {
		switch lower := strings.ToLower(f.Name); {
		case !fieldName.MatchString(f.Name):
			mistakes = append(mistakes, fmt.Errorf("%s: field %q is not a plain (dotted) name", d.Name, f.Name))
		case lower == "doc" || lower == "rowid" || lower == "oid":
			mistakes = append(mistakes, fmt.Errorf("%s: field %q is a column of the embedded engine", d.Name, f.Name))
		// SQLite ignores case in column names.
		case folded[lower]:
			mistakes = append(mistakes, fmt.Errorf("%s: field %q is declared twice", d.Name, f.Name))
		case f.Kind < String || f.Kind > Time:
			mistakes = append(mistakes, fmt.Errorf("%s: field %q has no kind", d.Name, f.Name))
		default:
			folded[lower] = true
			d.Kinds[f.Name] = f.Kind
			d.Paths = append(d.Paths, NewPath(f.Name, f.Kind))
		}
	}
	d.findFlat()
	for _, a := range d.Paths {
		for _, b := range d.Paths {
			if strings.HasPrefix(b.Name, a.Name+".") {
				mistakes = append(mistakes, fmt.Errorf("%s: %s cannot be both a value and the parent of %s", d.Name, a.Name, b.Name))
			}
		}
	}
	return mistakes
}

func (d *Declared) findFlat() {
	d.flat = map[string]int{}
	for i, p := range d.Paths {
		if len(p.Parts) == 1 {
			d.flat[p.Name] = i
		}
	}
}

// ForgetField takes a field out of the declaration: a file that is only read lacks
// it.
func (d *Declared) ForgetField(name string) {
	delete(d.Kinds, name)
	d.Paths = slices.DeleteFunc(d.Paths, func(p Path) bool { return p.Name == name })
	d.findFlat()
}

func (d *Declared) checkIndexes() (mistakes []error) {
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
			field, _ := IndexKey(key)
			if d.Kinds[field] == 0 {
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
			if field, _ := IndexKey(ix.Keys[0]); len(ix.Keys) != 1 || d.Kinds[field] != Time {
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

// StoredName is that of a declared collection, "" of any other.
func (all Declarations) StoredName(name string) string {
	if d := all[name]; d != nil {
		return d.StoredName()
	}
	return ""
}

// Collection returns a declared collection; an undeclared one is an internal
// error.
func (all Declarations) Collection(name string) (*Declared, error) {
	if d := all[name]; d != nil {
		return d, nil
	}
	return nil, models.Internal(fmt.Errorf("database: collection %q is not declared", name))
}

// CheckDrop checks that no index with these keys is declared.
func (d *Declared) CheckDrop(keys []string) error {
	name := IndexName(Index{Keys: keys})
	for _, ix := range d.Indexes {
		if IndexName(ix) == name {
			return d.Refuse("drop of the declared index %s", name)
		}
	}
	return nil
}

// Conflict returns the error for a duplicate in the named unique index. An
// unknown name means "_id".
func (d *Declared) Conflict(index string, cause error) error {
	code, message := "already_exists", "Something with the same unique value exists already."
	for _, ix := range d.Indexes {
		if ix.ConflictCode != "" && IndexName(ix) == index {
			code, message = ix.ConflictCode, cmp.Or(ix.ConflictMessage, message)
		}
	}
	return models.Conflict(code, message).Because(cause)
}

// NamesTaken is the error of a Rename that found documents under both names.
func NamesTaken(former, name string) error {
	return models.Misconfigured("names_taken", fmt.Sprintf(
		"The collection %s cannot be renamed to %s: both have documents, so that a server of an earlier version has written since. "+
			"Stop every server, make a backup, delete the documents of the one that is wrong (what is in %s, if the renaming had begun), and run migrate again.",
		former, name, former))
}

// ID is the filter of one document.
func ID(id string) bson.D { return bson.D{{Key: IDField, Value: id}} }

// Refuse returns the internal error for a query outside of the contract. Such a
// query is a bug in Pulse; the database never receives it.
func (d *Declared) Refuse(format string, args ...any) error {
	return models.Internal(fmt.Errorf("database: "+d.Name+": "+format, args...))
}
