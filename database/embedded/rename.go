package embedded

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"pulse-control-plane/database/engine"
	"pulse-control-plane/models"
)

// Declare replaces the schema of an engine that nothing uses yet: which one is right
// may follow from what is stored. It brings the file to the new one, as Open does.
func (e *Engine) Declare(ctx context.Context, schema []engine.Collection) error {
	declare, err := engine.Declare(schema)
	if err != nil {
		return err
	}
	e.declare = declare
	if e.readOnly {
		e.missing = nil
		return e.read(ctx, allTables, func(conn *sqliteConn) error { return e.takeTables(ctx, conn) })
	}
	return e.layOut(ctx)
}

// layOut brings the file to the schema.
func (e *Engine) layOut(ctx context.Context) error {
	var tables map[string]*table
	err := e.writer.do(ctx, allTables, func(conn *sqliteConn) (err error) {
		tables, err = layOut(ctx, conn, e.declare, e.beside, e.progress())
		return err
	})
	if err != nil {
		return err
	}
	e.tables = tables
	return nil
}

// StoredName implements engine.Engine.
func (e *Engine) StoredName(collection string) string { return e.declare.StoredName(collection) }

// Existing implements engine.Engine.
func (e *Engine) Existing(ctx context.Context) (names []string, err error) {
	err = e.read(ctx, allTables, func(conn *sqliteConn) error {
		names, err = tableNames(ctx, conn)
		return err
	})
	return names, err
}

// Rename implements engine.Engine: the tables and the write that completes it are one
// transaction, so that a killed process leaves all of it or nothing.
func (e *Engine) Rename(ctx context.Context, collections []string, then engine.Then) error {
	schema := make([]engine.Collection, 0, len(e.declare))
	former := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(e.declare)) {
		c := e.declare[name].Collection
		if c.Former != "" && slices.Contains(collections, name) {
			former[name], c.Former = c.Former, ""
		}
		schema = append(schema, c)
	}
	u, err := e.prepareUpdate(then.Collection, engine.ID(then.ID), then.Update, nil, true)
	if err != nil {
		return err
	}
	selected, args := u.selectOne()
	kept := context.WithoutCancel(ctx)
	err = e.writer.do(ctx, allTables, func(conn *sqliteConn) error {
		return atomically(kept, conn, func() error {
			for _, name := range slices.Sorted(maps.Keys(former)) {
				if err := renameTable(kept, conn, former[name], name); err != nil {
					return err
				}
			}
			_, _, err := u.one(kept, conn, selected, args)
			return err
		})
	})
	if err != nil {
		return err
	}
	return e.Declare(ctx, schema)
}

// renameTable gives a table and its indexes another name. If a table has it already,
// one of the two must be empty, and is dropped.
func renameTable(ctx context.Context, conn *sqliteConn, from, to string) error {
	found, _, err := tableColumns(ctx, conn, to)
	if err != nil {
		return err
	}
	if len(found) > 0 {
		empty := ""
		for _, name := range []string{from, to} {
			row, err := conn.row(ctx, "SELECT count(*) FROM (SELECT 1 FROM "+quoted(name)+" LIMIT 1)")
			if err != nil {
				return err
			}
			if row[0].(int64) == 0 {
				empty = name
			}
		}
		if empty == "" {
			return engine.NamesTaken(from, to)
		}
		if _, err := conn.exec(ctx, "DROP TABLE "+quoted(empty)); err != nil || empty == from {
			return err
		}
	}
	if _, err := conn.exec(ctx, fmt.Sprintf("ALTER TABLE %s RENAME TO %s", quoted(from), quoted(to))); err != nil {
		return err
	}
	indexes, err := definedIndexes(ctx, conn)
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(indexes)) {
		index, ok := strings.CutPrefix(name, from+".")
		if !ok {
			continue
		}
		// SQLite cannot rename an index. Its statement names the new table already.
		statement := strings.Replace(indexes[name], quoted(name), quoted(to+"."+index), 1)
		if statement == indexes[name] {
			return models.Internal(fmt.Errorf("the index %s is not defined by its name: %s", name, statement))
		}
		for _, s := range []string{"DROP INDEX " + quoted(name), statement} {
			if _, err := conn.exec(ctx, s); err != nil {
				return err
			}
		}
	}
	return nil
}
