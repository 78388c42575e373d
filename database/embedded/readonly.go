package embedded

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database/engine"
	"pulse-control-plane/models"
)

// OpenReadOnly opens the database file at path, which must be there, holds its
// lock and changes nothing in it: writes fail. What the schema declares and the
// file lacks is not added but left out of the engine's declaration, so that
// queries of it are refused; Missing lists it.
//
// Errors: as Open; misconfigured with the code "no_database" without a file,
// "not_a_database" if it is no database of Pulse.
func OpenReadOnly(ctx context.Context, path string, schema []engine.Collection) (*Engine, error) {
	declare, err := engine.Declare(schema)
	if err != nil {
		return nil, err
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, models.Unavailable(err)
	}
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		return nil, models.Misconfigured("no_database", fmt.Sprintf("There is no database at %s.", path))
	}
	e := &Engine{path: path, clock: time.Now, every: time.Hour, declare: declare, readOnly: true, closed: make(chan struct{})}
	if e.lock, err = lockFile(path + ".lock"); err != nil {
		return nil, err
	}
	if err := e.openReadOnly(ctx); err != nil {
		return nil, notADatabase(path, errors.Join(err, e.Close(ctx)))
	}
	return e, nil
}

func (e *Engine) openReadOnly(ctx context.Context) error {
	open := func() (*sqliteConn, error) {
		return openSQLite(e.path, []string{busyMilliseconds, readerCache, noCheckpoints, "temp_store=MEMORY", "query_only=ON"})
	}
	conn, err := open()
	if err != nil {
		return sqliteFailure(err)
	}
	moving, err := open()
	if err != nil {
		return sqliteFailure(errors.Join(err, conn.close()))
	}
	e.writer = startWriter(ctx, e.path, conn, startCheckpointer(ctx, moving, e.log), e.clock)
	e.readers = newReaders(max(2, runtime.GOMAXPROCS(0)), open)
	return e.read(ctx, allTables, func(conn *sqliteConn) error {
		row, err := conn.row(ctx, "SELECT (SELECT user_version FROM pragma_user_version), (SELECT count(*) FROM sqlite_master WHERE name = 'pulse_engine')")
		if err != nil {
			return err
		}
		switch layout := row[0].(int64); {
		case layout > fileLayout:
			return tooNew(layout)
		case layout < 1 || row[1].(int64) == 0:
			return models.Misconfigured("not_a_database", fmt.Sprintf("The file %s is not a database of Pulse.", e.path))
		}
		return e.takeTables(ctx, conn)
	})
}

// takeTables makes the tables of what the file has of the schema.
func (e *Engine) takeTables(ctx context.Context, conn *sqliteConn) error {
	indexes, err := definedIndexes(ctx, conn)
	if err != nil {
		return err
	}
	e.tables = map[string]*table{}
	for _, name := range slices.Sorted(maps.Keys(e.declare)) {
		d := e.declare[name]
		found, _, err := tableColumns(ctx, conn, d.StoredName())
		if err != nil {
			return err
		}
		if len(found) == 0 {
			e.missing = append(e.missing, name)
			delete(e.declare, name)
			continue
		}
		for _, p := range slices.Clone(d.Paths) {
			if found[p.Name] == columnTypes[p.Kind] {
				continue
			}
			e.missing = append(e.missing, name+"."+p.Name)
			d.ForgetField(p.Name)
		}
		d.Indexes = slices.DeleteFunc(slices.Clone(d.Indexes), func(ix engine.Index) bool {
			return slices.ContainsFunc(ix.Keys, func(key string) bool {
				field, _ := engine.IndexKey(key)
				return d.Kinds[field] == 0
			})
		})
		t := newTable(d, nil)
		for _, ix := range t.built {
			for indexName, statement := range t.indexStatements(ix) {
				if indexes[indexName] != statement {
					e.missing = append(e.missing, "index "+indexName)
					t.forgetPlan(engine.IndexName(ix))
				}
			}
		}
		e.tables[name] = t
	}
	return nil
}

// Missing lists what the schema declares and the file lacks, of an engine that
// OpenReadOnly opened: collections, fields ("users.email") and indexes ("index
// users.email_1").
func (e *Engine) Missing() []string { return e.missing }

// ColumnFault is a column that differs from its document.
type ColumnFault struct{ Collection, ID, Field string }

// CompareColumns compares the columns of every document of a collection with the
// document and returns the first that differs, or nil. It calls each for every
// document.
func (e *Engine) CompareColumns(ctx context.Context, collection string, each func()) (*ColumnFault, error) {
	t, err := e.table(collection)
	if err != nil {
		return nil, err
	}
	statement := "SELECT rowid, " + quoted(engine.IDField) + ", doc"
	for _, c := range t.columns {
		statement += ", " + quoted(c.Name)
	}
	var fault *ColumnFault
	err = e.read(ctx, allTables, func(conn *sqliteConn) error {
		rows, err := conn.query(ctx, statement+" FROM "+quoted(t.StoredName())+" NOT INDEXED ORDER BY rowid")
		if err != nil {
			return err
		}
		for {
			row, err := rows.next()
			if err == nil && row != nil {
				err = ctx.Err()
			}
			if err != nil || row == nil {
				return closeRows(rows, err)
			}
			id, _ := row[1].(string)
			doc, err := storedDocument(row[2])
			if err != nil {
				fault = &ColumnFault{collection, id, "doc"}
				return rows.close()
			}
			each()
			if field := t.differing(id, doc, row[3:]); field != "" {
				fault = &ColumnFault{collection, id, field}
				return rows.close()
			}
		}
	})
	return fault, err
}

// differing returns the first column that does not hold what the document says,
// or "".
func (t *table) differing(id string, doc bson.Raw, columns []driver.Value) string {
	if stored, ok := doc.Lookup(engine.IDField).StringValueOK(); !ok || stored != id {
		return engine.IDField
	}
	for i, c := range t.columns {
		want, err := t.columnValue(doc, c)
		if err != nil || !sameColumn(columns[i], want) {
			return c.Name
		}
	}
	return ""
}

// sameColumn compares a stored value with a document's. SQLite's NUMERIC stores
// floats with integral values as integers, and booleans are integers.
func sameColumn(stored, want any) bool {
	switch w := want.(type) {
	case bool:
		n, ok := stored.(int64)
		return ok && (n != 0) == w
	case float64:
		switch s := stored.(type) {
		case int64:
			return float64(s) == w
		case float64:
			return s == w || s != s && w != w
		}
		return stored == nil && w != w // SQLite stores NaN as NULL
	}
	return stored == want
}
