package embedded

import (
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database/engine"
)

// table is a collection in SQLite: "_id", the document as BSON in "doc", and
// one typed column for each declared field, NULL if absent. It has a rowid:
// documents of any size stay in leaf pages and inserts append. WITHOUT ROWID
// puts whole documents into inner pages and was measured slower for point reads
// and inserts.
type table struct {
	*engine.Declared
	// set contains this table.
	set     tableSet
	columns []column
	// insert is the statement that stores a document; its parameters are "_id",
	// "doc" and the columns.
	insert string
	// duplicates maps SQLite's description of a violation to the name of the
	// index.
	duplicates map[string]string
	// built are the declared indexes without those that a non-unique index
	// before them covers, since each ends with "_id" in any case.
	built []engine.Index
	plans []plan
}

// tableSet is a set of tables, one bit for each; two tables may share a bit.
type tableSet uint64

const (
	noTable   tableSet = 0
	allTables          = ^noTable
)

// setOf returns the set of the table with a name.
func setOf(name string) tableSet {
	sum := fnv.New64a()
	_, _ = sum.Write([]byte(name)) // never fails
	return 1 << (sum.Sum64() % 64)
}

// column is one column of a table. A column that is no longer declared stays
// and is still filled, as its indexes are: nothing is dropped, and the column
// is complete if another version declares it again.
type column struct {
	engine.Path
	undeclared bool
}

// columnTypes are the column types by kind. Each identifies the kind and has
// the affinity that stores its values unchanged
// (https://www.sqlite.org/datatype3.html): NUMERIC keeps integers exact, REAL
// would round those above 2^53.
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

// quoted quotes a declared name, which contains no quotes.
func quoted(name string) string { return `"` + name + `"` }

// newTable prepares a table with its declared fields and the columns of other
// versions.
func newTable(d *engine.Declared, leftover []column) *table {
	t := &table{Declared: d, set: setOf(d.Name), duplicates: map[string]string{}}
	for _, p := range d.Paths {
		t.columns = append(t.columns, column{Path: p})
	}
	t.columns = append(t.columns, leftover...)
	names := []string{quoted(engine.IDField), "doc"}
	for _, c := range t.columns {
		names = append(names, quoted(c.Name))
	}
	t.insert = fmt.Sprintf("INSERT INTO %s (%s) VALUES (?%s)",
		quoted(d.StoredName()), strings.Join(names, ", "), strings.Repeat(", ?", len(names)-1))
	for _, ix := range d.Indexes {
		name := engine.IndexName(ix)
		if ix.Unique {
			var columns []string
			for _, key := range ix.Keys {
				field, _ := engine.IndexKey(key)
				columns = append(columns, d.StoredName()+"."+field)
			}
			t.duplicates[strings.Join(columns, ", ")] = name
			t.duplicates["index '"+t.nullIndexName(ix)+"'"] = name
		}
		p := planOf(t, ix)
		if !ix.Unique && slices.ContainsFunc(t.plans, func(other plan) bool {
			return !other.unique && slices.Equal(other.fields, p.fields)
		}) {
			continue
		}
		t.built = append(t.built, ix)
		t.plans = append(t.plans, p)
	}
	return t
}

// create returns the CREATE TABLE statement.
func (t *table) create() string {
	var b strings.Builder
	fmt.Fprintf(&b, "CREATE TABLE %s (%s TEXT NOT NULL PRIMARY KEY, doc BLOB NOT NULL", quoted(t.StoredName()), quoted(engine.IDField))
	for _, c := range t.columns {
		fmt.Fprintf(&b, ", %s %s", quoted(c.Name), columnTypes[c.Kind])
	}
	return b.String() + ")"
}

// indexName returns an index's name in SQLite, where index names are global.
func (t *table) indexName(ix engine.Index) string { return t.StoredName() + "." + engine.IndexName(ix) }

func (t *table) nullIndexName(ix engine.Index) string { return t.indexName(ix) + ".null" }

// indexStatements returns the CREATE INDEX statements of an index by name.
// SQLite considers two NULLs different; MongoDB considers two missing fields of
// a unique index equal unless it is partial. A second index, over the documents
// without a key, enforces that. A non-unique index ends with "_id", so that its
// lists are sorted newest first and a cursor skips nothing.
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
		// No stored value is a blob, so an empty blob represents "missing".
		coalesced = append(coalesced, "ifnull("+quoted(field)+", x'')")
	}
	name := t.indexName(ix)
	if !ix.Unique {
		if !named {
			keys = append(keys, quoted(engine.IDField)+direction)
		}
		return map[string]string{name: fmt.Sprintf("CREATE INDEX %s ON %s (%s)",
			quoted(name), quoted(t.StoredName()), strings.Join(keys, ", "))}
	}
	unique := fmt.Sprintf("CREATE UNIQUE INDEX %s ON %s (%s)", quoted(name), quoted(t.StoredName()), strings.Join(keys, ", "))
	if ix.Partial {
		return map[string]string{name: unique + " WHERE " + strings.Join(present, " AND ")}
	}
	return map[string]string{
		name: unique,
		t.nullIndexName(ix): fmt.Sprintf("CREATE UNIQUE INDEX %s ON %s (%s) WHERE %s",
			quoted(t.nullIndexName(ix)), quoted(t.StoredName()), strings.Join(coalesced, ", "), strings.Join(absent, " OR ")),
	}
}

// values returns the parameters of insert for a document, which it checks.
func (t *table) values(doc bson.Raw) ([]any, error) {
	columns, err := t.columnValues(doc)
	if err != nil {
		return nil, err
	}
	values := make([]any, 2, 2+len(columns))
	values[0], values[1] = doc.Lookup(engine.IDField).StringValue(), []byte(doc)
	return append(values, columns...), nil
}

// columnValues checks a document and returns what the columns store of it.
func (t *table) columnValues(doc bson.Raw) ([]any, error) {
	fields, err := t.CheckedFields(doc)
	if err != nil {
		return nil, err
	}
	values := make([]any, 0, len(t.columns))
	for _, field := range fields {
		values = append(values, stored(field))
	}
	// The columns of the declared fields are the first.
	for _, c := range t.columns[len(fields):] {
		v, err := t.columnValue(doc, c)
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	return values, nil
}

// columnValue returns what a column stores of a document. An undeclared column
// cannot require a kind; a value that does not fit is absent.
func (t *table) columnValue(doc bson.Raw, c column) (any, error) {
	value, err := t.FieldOf(doc, c.Path)
	switch {
	case err != nil && c.undeclared:
		return nil, nil
	case err != nil:
		return nil, err
	}
	return stored(value), nil
}

// stored returns what a column stores of a field.
func stored(value bson.RawValue) any {
	switch value.Type {
	case bson.TypeString:
		return value.StringValue()
	case bson.TypeInt32:
		return int64(value.Int32())
	case bson.TypeInt64:
		return value.Int64()
	case bson.TypeDouble:
		return value.Double()
	case bson.TypeBoolean:
		return value.Boolean()
	case bson.TypeDateTime:
		return value.DateTime()
	}
	return nil
}
