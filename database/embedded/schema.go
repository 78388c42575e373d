package embedded

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database/engine"
	"pulse-control-plane/models"
)

// backfillBatch is how many documents at a time receive the value of a newly
// declared field.
const backfillBatch = 1000

// layOut creates missing tables, columns and indexes, fills new columns from
// the documents and returns the tables. It runs alone in the writer's
// transaction and may change every row.
func layOut(ctx context.Context, conn *sqliteConn, all engine.Declarations, beside bool, tell progress) (map[string]*table, error) {
	var tables map[string]*table
	err := atomically(ctx, conn, func() error {
		if beside {
			if err := checkComplete(ctx, conn, all); err != nil {
				return err
			}
		}
		if err := checkLayout(ctx, conn); err != nil {
			return err
		}
		tables = map[string]*table{}
		for _, name := range slices.Sorted(maps.Keys(all)) {
			t, err := ensureTable(ctx, conn, all[name], tell)
			if err != nil {
				return err
			}
			tables[name] = t
		}
		if beside {
			return nil
		}
		differences, err := ensureIndexes(ctx, conn, tables, tell)
		for _, d := range differences {
			tables[d.Collection].forgetPlan(d.Index)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return tables, nil
}

// checkComplete refuses a file that lacks a table or column of the schema.
func checkComplete(ctx context.Context, conn *sqliteConn, all engine.Declarations) error {
	for _, name := range slices.Sorted(maps.Keys(all)) {
		found, _, err := tableColumns(ctx, conn, all[name].StoredName())
		if err != nil {
			return err
		}
		lacks := len(found) == 0
		for _, p := range all[name].Paths {
			lacks = lacks || found[p.Name] == ""
		}
		if lacks {
			return models.Misconfigured("schema_differs", fmt.Sprintf(
				"The database lacks fields of %s that this version of Pulse needs. Start this version's server or run migrate first.", name))
		}
	}
	return nil
}

// checkLayout refuses a file of a newer version and initializes a new one.
func checkLayout(ctx context.Context, conn *sqliteConn) error {
	row, err := conn.row(ctx, "PRAGMA user_version")
	if err != nil {
		return err
	}
	switch version := row[0].(int64); {
	case version > fileLayout:
		return tooNew(version)
	case version == fileLayout:
		return nil
	}
	for _, statement := range []string{
		"CREATE TABLE IF NOT EXISTS pulse_engine (probed INTEGER NOT NULL)",
		"INSERT INTO pulse_engine (probed) SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM pulse_engine)",
		fmt.Sprintf("PRAGMA user_version = %d", fileLayout),
	} {
		if _, err := conn.exec(ctx, statement); err != nil {
			return err
		}
	}
	return nil
}

func tooNew(layout int64) error {
	return models.Misconfigured("database_too_new", fmt.Sprintf(
		"A newer version of Pulse wrote the database file (file layout %d; this version supports up to %d). Start that version again.",
		layout, fileLayout))
}

// ensureTable creates a collection's table, or adds and fills the columns of
// newly declared fields.
func ensureTable(ctx context.Context, conn *sqliteConn, d *engine.Declared, tell progress) (*table, error) {
	found, order, err := tableColumns(ctx, conn, d.StoredName())
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		t := newTable(d, nil)
		_, err := conn.exec(ctx, t.create())
		return t, err
	}
	var added []column
	for _, p := range d.Paths {
		columnType, ok := found[p.Name]
		if !ok {
			added = append(added, column{Path: p})
			add := fmt.Sprintf("ALTER TABLE %s ADD COLUMN %s %s", quoted(d.StoredName()), quoted(p.Name), columnTypes[p.Kind])
			if _, err := conn.exec(ctx, add); err != nil {
				return nil, err
			}
		} else if columnType != columnTypes[p.Kind] {
			return nil, d.Refuse("%q is declared as %s but stored as %s; a new kind needs a new field name", p.Name, p.Kind, columnType)
		}
	}
	var leftover []column
	for _, name := range order {
		kind, known := kindOfColumn(found[name])
		if name == engine.IDField || name == "doc" || d.Kinds[name] != 0 || !known {
			continue
		}
		leftover = append(leftover, column{engine.NewPath(name, kind), true})
	}
	t := newTable(d, leftover)
	return t, backfill(ctx, conn, t, added, tell)
}

// tableColumns returns a table's column types by name and the columns' order;
// both empty without a table.
func tableColumns(ctx context.Context, conn *sqliteConn, name string) (types map[string]string, order []string, err error) {
	rows, err := conn.query(ctx, "SELECT name, type FROM pragma_table_info(?)", name)
	if err != nil {
		return nil, nil, err
	}
	types = map[string]string{}
	for {
		row, err := rows.next()
		if err != nil || row == nil {
			return types, order, closeRows(rows, err)
		}
		types[row[0].(string)] = row[1].(string)
		order = append(order, row[0].(string))
	}
}

// backfill fills new columns from the stored documents. A field of another kind
// than declared is an error with the document's id.
func backfill(ctx context.Context, conn *sqliteConn, t *table, added []column, tell progress) error {
	if len(added) == 0 {
		return nil
	}
	update := "UPDATE " + quoted(t.StoredName()) + " SET "
	for i, c := range added {
		if i > 0 {
			update += ", "
		}
		update += quoted(c.Name) + " = ?"
	}
	update += " WHERE rowid = ?"
	list := "SELECT rowid, doc FROM " + quoted(t.StoredName()) + " WHERE rowid > ? ORDER BY rowid LIMIT ?"
	done := 0
	for last := int64(0); ; {
		batch, err := storedRows(ctx, conn, list, last, int64(backfillBatch))
		if err != nil {
			return err
		}
		for _, row := range batch {
			last = row.id
			done++
			tell.filled(t.Name, added, done)
			var values []any
			for _, c := range added {
				v, err := t.columnValue(row.doc, c)
				if err != nil {
					return fmt.Errorf("document %s: %w", row.doc.Lookup(engine.IDField), err)
				}
				values = append(values, v)
			}
			if !slices.ContainsFunc(values, func(v any) bool { return v != nil }) {
				continue // the column is empty already
			}
			if _, err := conn.exec(ctx, update, append(values, row.id)...); err != nil {
				return err
			}
		}
		if len(batch) < backfillBatch {
			return nil
		}
	}
}

// storedRow is a document and its rowid.
type storedRow struct {
	id  int64
	doc bson.Raw
}

// storedRows returns the rows of a statement that selects rowid and doc; the
// caller limits it.
func storedRows(ctx context.Context, conn *sqliteConn, text string, args ...any) ([]storedRow, error) {
	rows, err := conn.query(ctx, text, args...)
	if err != nil {
		return nil, err
	}
	var found []storedRow
	for {
		row, err := rows.next()
		if err != nil || row == nil {
			return found, closeRows(rows, err)
		}
		doc, err := storedDocument(row[1])
		if err != nil {
			return nil, closeRows(rows, err)
		}
		found = append(found, storedRow{row[0].(int64), doc})
	}
}

// ensureIndexes creates missing indexes and reports those that exist with
// another definition.
func ensureIndexes(ctx context.Context, conn *sqliteConn, tables map[string]*table, tell progress) ([]engine.IndexDifference, error) {
	found, err := definedIndexes(ctx, conn)
	if err != nil {
		return nil, err
	}
	var differences []engine.IndexDifference
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		t := tables[name]
		for _, ix := range t.built {
			difference, err := ensureIndex(ctx, conn, t, ix, found, tell)
			if err != nil {
				return nil, err
			}
			if difference != nil {
				differences = append(differences, *difference)
			}
		}
	}
	return differences, nil
}

// DropIndex implements engine.Engine.
func (e *Engine) DropIndex(ctx context.Context, collection string, keys []string) error {
	t, err := e.table(collection)
	if err != nil {
		return err
	}
	if err := t.CheckDrop(keys); err != nil {
		return err
	}
	ix := engine.Index{Keys: keys}
	kept := context.WithoutCancel(ctx)
	return e.writer.do(ctx, allTables, func(conn *sqliteConn) error {
		return atomically(kept, conn, func() error {
			for _, name := range []string{t.indexName(ix), t.nullIndexName(ix)} {
				if _, err := conn.exec(kept, "DROP INDEX IF EXISTS "+quoted(name)); err != nil {
					return err
				}
			}
			return nil
		})
	})
}

// SchemaDifferences implements engine.Engine.
func (e *Engine) SchemaDifferences(ctx context.Context) (differences []engine.IndexDifference, err error) {
	err = e.read(ctx, allTables, func(conn *sqliteConn) error {
		found, err := definedIndexes(ctx, conn)
		if err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(e.tables)) {
			t := e.tables[name]
			for _, ix := range t.built {
				d := indexDifference(t, ix, found)
				if d == nil && found[t.indexName(ix)] == "" {
					d = &engine.IndexDifference{Collection: name, Index: engine.IndexName(ix), Declared: t.indexStatements(ix)[t.indexName(ix)], Found: "missing"}
				}
				if d != nil {
					differences = append(differences, *d)
				}
			}
		}
		return nil
	})
	return differences, err
}

// indexDifference compares an index with the one that has its name, if any.
func indexDifference(t *table, ix engine.Index, found map[string]string) *engine.IndexDifference {
	statements := t.indexStatements(ix)
	if existing, ok := found[t.indexName(ix)]; ok && existing != statements[t.indexName(ix)] {
		return &engine.IndexDifference{
			Collection: t.Name, Index: engine.IndexName(ix), Declared: statements[t.indexName(ix)], Found: existing,
		}
	}
	// An index is created together with its companion for missing keys. One
	// without the other was declared differently.
	if existing, ok := found[t.nullIndexName(ix)]; ok && statements[t.nullIndexName(ix)] == "" {
		return &engine.IndexDifference{Collection: t.Name, Index: engine.IndexName(ix), Declared: "no such index", Found: existing}
	}
	return nil
}

func ensureIndex(ctx context.Context, conn *sqliteConn, t *table, ix engine.Index, found map[string]string, tell progress) (*engine.IndexDifference, error) {
	if d := indexDifference(t, ix, found); d != nil {
		return d, nil
	}
	statements := t.indexStatements(ix)
	if found[t.indexName(ix)] == "" {
		if err := tell.indexing(ctx, conn, t, engine.IndexName(ix)); err != nil {
			return nil, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(statements)) {
		if found[name] != "" {
			continue
		}
		if _, err := conn.exec(ctx, statements[name]); err != nil {
			if _, duplicate := sqliteDuplicate(err); duplicate {
				return nil, models.Misconfigured("duplicate_documents", fmt.Sprintf(
					"The unique index %s of %s cannot be created: stored documents share a value. Remove the duplicates and start again.",
					engine.IndexName(ix), t.Name)).Because(err)
			}
			return nil, err
		}
	}
	return nil, nil
}

// definedIndexes returns the SQL of all indexes by name.
func definedIndexes(ctx context.Context, conn *sqliteConn) (map[string]string, error) {
	rows, err := conn.query(ctx, "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
	if err != nil {
		return nil, err
	}
	found := map[string]string{}
	for {
		row, err := rows.next()
		if err != nil || row == nil {
			return found, closeRows(rows, err)
		}
		found[row[0].(string)] = row[1].(string)
	}
}
