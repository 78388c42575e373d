package embedded

import (
	"fmt"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database/engine"
)

// table is how a collection lies in SQLite: "_id", the document as BSON in
// "doc", and one typed column for each declared field, NULL where it is absent.
// It keeps its rowid, so that documents of any size lie in leaves and new ones
// are appended: WITHOUT ROWID, whose inner pages carry whole documents, was
// measured slower at point reads and at inserts.
type table struct {
	*engine.Declared
	columns []column
	// insert stores a document; its parameters are "_id", "doc" and then the
	// columns.
	insert string
	// duplicates maps what SQLite says was violated to the index's name.
	duplicates map[string]string
	plans      []plan
}

// column is one column of a table. A column that is no longer declared stays
// and is kept up, as its indexes are: nothing is dropped, and when an older or
// newer version declares it again it is complete.
type column struct {
	engine.Path
	undeclared bool
}

// columnTypes are the declared types of the columns; each tells the kind and
// has the affinity that stores its values as they are
// (https://www.sqlite.org/datatype3.html): NUMERIC keeps integers exact, where
// REAL would round those above 2^53.
var columnTypes = map[engine.FieldKind]string{
	engine.String: "TEXT", engine.Int: "INTEGER", engine.Float: "NUMERIC", engine.Bool: "INT_BOOL", engine.Time: "INT_MILLISECONDS",
}

func kindOfColumn(columnType string) (engine.FieldKind, bool) {
	for kind, name := range columnTypes {
		if name == columnType {
			return kind, true
		}
	}
	return 0, false
}

// quoted makes an SQL identifier of a declared name, which has no quotes in it.
func quoted(name string) string { return `"` + name + `"` }

// newTable prepares a table with its declared fields and those columns that
// are left from other versions' declarations.
func newTable(d *engine.Declared, leftover []column) *table {
	t := &table{Declared: d, duplicates: map[string]string{}}
	for _, p := range d.Paths {
		t.columns = append(t.columns, column{Path: p})
	}
	t.columns = append(t.columns, leftover...)
	names := []string{quoted(engine.IDField), "doc"}
	for _, c := range t.columns {
		names = append(names, quoted(c.Name))
	}
	t.insert = fmt.Sprintf("INSERT INTO %s (%s) VALUES (?%s)",
		quoted(d.Name), strings.Join(names, ", "), strings.Repeat(", ?", len(names)-1))
	for _, ix := range d.Indexes {
		name := engine.IndexName(ix)
		if ix.Unique {
			var columns []string
			for _, key := range ix.Keys {
				field, _ := engine.IndexKey(key)
				columns = append(columns, d.Name+"."+field)
			}
			t.duplicates[strings.Join(columns, ", ")] = name
			t.duplicates["index '"+t.nullIndexName(ix)+"'"] = name
		}
		t.plans = append(t.plans, planOf(t, ix))
	}
	return t
}

// create is the statement that makes the table.
func (t *table) create() string {
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE TABLE %s (%s TEXT NOT NULL PRIMARY KEY, doc BLOB NOT NULL", quoted(t.Name), quoted(engine.IDField))
	for _, c := range t.columns {
		fmt.Fprintf(&b, ", %s %s", quoted(c.Name), columnTypes[c.Kind])
	}
	return b.String() + ")"
}

// indexName is an index's name in SQLite, where they are global.
func (t *table) indexName(ix engine.Index) string { return t.Name + "." + engine.IndexName(ix) }

func (t *table) nullIndexName(ix engine.Index) string { return t.indexName(ix) + ".null" }

// indexStatements are the statements that make an index, by the names of what
// they make. SQLite never takes two NULLs for equal, MongoDB takes two missing
// fields of a unique index for equal unless it is partial: a second index, over
// the documents that lack a key, sees to that. An index that is not unique ends
// with "_id", so that lists of what it selects, newest first, come out sorted
// and page by cursor without looking at what is not shown.
func (t *table) indexStatements(ix engine.Index) map[string]string {
	var keys, present, absent, coalesced []string
	direction, named := "", false
	for _, key := range ix.Keys {
		field, sign := engine.IndexKey(key)
		direction = ""
		if sign < 0 {
			direction = " DESC"
		}
		named = named || field == engine.IDField
		keys = append(keys, quoted(field)+direction)
		present = append(present, quoted(field)+" IS NOT NULL")
		absent = append(absent, quoted(field)+" IS NULL")
		// No stored value is a blob, so the empty one stands for "missing".
		coalesced = append(coalesced, "ifnull("+quoted(field)+", x'')")
	}
	name := t.indexName(ix)
	if !ix.Unique {
		if !named {
			keys = append(keys, quoted(engine.IDField)+direction)
		}
		return map[string]string{name: fmt.Sprintf("CREATE INDEX %s ON %s (%s)",
			quoted(name), quoted(t.Name), strings.Join(keys, ", "))}
	}
	unique := fmt.Sprintf("CREATE UNIQUE INDEX %s ON %s (%s)", quoted(name), quoted(t.Name), strings.Join(keys, ", "))
	if ix.Partial {
		return map[string]string{name: unique + " WHERE " + strings.Join(present, " AND ")}
	}
	return map[string]string{
		name: unique,
		t.nullIndexName(ix): fmt.Sprintf("CREATE UNIQUE INDEX %s ON %s (%s) WHERE %s",
			quoted(t.nullIndexName(ix)), quoted(t.Name), strings.Join(coalesced, ", "), strings.Join(absent, " OR ")),
	}
}

// values are the parameters of insert for a document that checkDocument let
// through.
func (t *table) values(doc bson.Raw) ([]any, error) {
	values := make([]any, 2, 2+len(t.columns))
	values[0], values[1] = doc.Lookup(engine.IDField).StringValue(), []byte(doc)
	for _, c := range t.columns {
		v, err := t.columnValue(doc, c)
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	return values, nil
}

// columnValue is what a column holds of a document. One that is not declared
// any more cannot demand a kind; what does not fit it is absent.
func (t *table) columnValue(doc bson.Raw, c column) (any, error) {
	value, err := t.FieldOf(doc, c.Path)
	switch {
	case err != nil && c.undeclared:
		return nil, nil
	case err != nil:
		return nil, err
	}
	switch value.Type {
	case bson.TypeString:
		return value.StringValue(), nil
	case bson.TypeInt32:
		return int64(value.Int32()), nil
	case bson.TypeInt64:
		return value.Int64(), nil
	case bson.TypeDouble:
		return value.Double(), nil
	case bson.TypeBoolean:
		return value.Boolean(), nil
	case bson.TypeDateTime:
		return value.DateTime(), nil
	}
	return nil, nil
}
