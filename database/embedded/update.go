package embedded

import (
	"context"
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database/engine"
	"pulse-control-plane/models"
)

// Update implements engine.Engine.
func (e *Engine) Update(ctx context.Context, collection string, raw, update bson.D, opts engine.UpdateOptions) (int64, error) {
	u, err := e.prepareUpdate(collection, raw, update, nil, opts.Upsert)
	if err != nil {
		return 0, err
	}
	if !opts.Many {
		found, _, err := e.updateOne(ctx, u)
		if !found {
			return 0, err
		}
		return 1, err
	}
	return e.updateMany(ctx, u)
}

// FindOneAndUpdate implements engine.Engine.
func (e *Engine) FindOneAndUpdate(ctx context.Context, collection string, raw, update bson.D, opts engine.FindAndUpdateOptions, out any) error {
	u, err := e.prepareUpdate(collection, raw, update, opts.Sort, opts.Upsert)
	if err != nil {
		return err
	}
	_, doc, err := e.updateOne(ctx, u)
	switch {
	case err != nil:
		return err
	case doc == nil:
		return models.NotFound()
	}
	return decode(doc, out)
}

// preparedUpdate is a checked update.
type preparedUpdate struct {
	t       *table
	filter  engine.Filter
	order   []engine.SortKey
	changes []engine.Change
	upsert  bool
}

func (e *Engine) prepareUpdate(collection string, raw, update, order bson.D, upsert bool) (*preparedUpdate, error) {
	t, err := e.table(collection)
	if err != nil {
		return nil, err
	}
	u := &preparedUpdate{t: t, upsert: upsert}
	if u.filter, err = t.CheckWriteFilter(raw); err != nil {
		return nil, err
	}
	if u.changes, err = t.CheckUpdate(update); err != nil {
		return nil, err
	}
	for i := range u.changes {
		if c := &u.changes[i]; c.Op == "$currentDate" {
			c.Op, c.Value = "$set", rawTime(e.clock())
		}
	}
	if u.order, err = t.CheckSort(order); err != nil {
		return nil, err
	}
	if upsert {
		err = t.CheckUpsert(u.filter)
	}
	return u, err
}

// updateOne changes the first match or upserts. found reports a match; after is
// the changed document, nil if there is none.
func (e *Engine) updateOne(ctx context.Context, u *preparedUpdate) (found bool, after bson.Raw, err error) {
	selected, args := u.selectOne()
	kept := context.WithoutCancel(ctx)
	var matched bool
	var doc bson.Raw
	err = e.writer.do(ctx, u.t.set, func(conn *sqliteConn) (err error) {
		matched, doc, err = u.one(kept, conn, selected, args)
		return err
	})
	if err != nil {
		return false, nil, err
	}
	return matched, doc, nil
}

// selectOne is the query of the first match.
func (u *preparedUpdate) selectOne() (text string, args []any) {
	var b strings.Builder
	b.WriteString("SELECT rowid, doc")
	args = u.t.selection(&b, u.filter, u.order)
	b.WriteString(" LIMIT 1")
	return b.String(), args
}

// one is updateOne in the writer's transaction, with what selectOne gave.
func (u *preparedUpdate) one(ctx context.Context, conn *sqliteConn, selected string, args []any) (found bool, after bson.Raw, err error) {
	rows, err := storedRows(ctx, conn, selected, args...)
	switch {
	case err != nil:
		return false, nil, err
	case len(rows) > 0:
		after, err = u.change(ctx, conn, rows[0])
		return true, after, err
	case u.upsert:
		after, err = u.make(ctx, conn)
	}
	return false, after, err
}

// updateMany changes every match in batches, in order of their ids, so that a
// document that still matches is not changed twice.
func (e *Engine) updateMany(ctx context.Context, u *preparedUpdate) (matched int64, err error) {
	for last := ""; ; {
		var rows []storedRow
		err := e.writer.do(ctx, u.t.set, func(conn *sqliteConn) error {
			kept := context.WithoutCancel(ctx)
			return atomically(kept, conn, func() error {
				var err error
				if rows, err = u.matchesAfter(kept, conn, last); err != nil {
					return err
				}
				for _, row := range rows {
					if _, err := u.change(kept, conn, row); err != nil {
						return err
					}
				}
				if len(rows) == 0 && last == "" && u.upsert {
					_, err = u.make(kept, conn)
				}
				return err
			})
		})
		if err != nil {
			return matched, err
		}
		matched += int64(len(rows))
		if len(rows) < changedAtOnce {
			return matched, nil
		}
		last = rows[len(rows)-1].doc.Lookup(engine.IDField).StringValue()
	}
}

// matchesAfter reads the next matches with ids greater than last.
func (u *preparedUpdate) matchesAfter(ctx context.Context, conn *sqliteConn, last string) ([]storedRow, error) {
	after := engine.Condition{Field: engine.IDField, Op: engine.Greater, Value: last}
	f := engine.Filter{All: append(slices.Clone(u.filter.All), after), Any: u.filter.Any}
	var b strings.Builder
	b.WriteString("SELECT rowid, doc")
	args := u.t.selection(&b, f, []engine.SortKey{{Field: engine.IDField}})
	b.WriteString(" LIMIT ?")
	return storedRows(ctx, conn, b.String(), append(args, int64(changedAtOnce))...)
}

// change applies the update to a stored document and writes only the columns
// whose values differ: SQLite writes every index of a column that it is given,
// also of one that keeps its value.
func (u *preparedUpdate) change(ctx context.Context, conn *sqliteConn, row storedRow) (bson.Raw, error) {
	after, err := applyChanges(row.doc, u.changes, false)
	if err != nil {
		return nil, u.t.Refuse("%w", err)
	}
	if string(after) == string(row.doc) {
		return after, nil
	}
	columns, args, err := u.changed(row.doc, after)
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	b.WriteString(`UPDATE "` + u.t.StoredName() + `" SET doc = ?`)
	for _, name := range columns {
		b.WriteString(", " + quoted(name) + " = ?")
	}
	b.WriteString(" WHERE rowid = ?")
	_, err = conn.exec(ctx, b.String(), append(append([]any{[]byte(after)}, args...), row.id)...)
	return after, u.t.duplicate(err)
}

// changed returns the columns that differ between two versions of a document,
// and what they store of the later one, which it checks.
func (u *preparedUpdate) changed(before, after bson.Raw) (names []string, values []any, err error) {
	later, err := u.t.columnValues(after)
	if err != nil {
		return nil, nil, err
	}
	earlier, unknown := u.t.columnValues(before)
	for i, c := range u.t.columns {
		if touches(u.changes, c.Parts) && (unknown != nil || earlier[i] != later[i]) {
			names, values = append(names, c.Name), append(values, later[i])
		}
	}
	return names, values, nil
}

// touches reports whether a change can alter the field at a path.
func touches(changes []engine.Change, path []string) bool {
	for _, c := range changes {
		if engine.HasPrefix(path, c.Path) {
			return true
		}
	}
	return false
}

// make inserts the document of an upsert without a match: the equalities of the
// filter, then the update with $setOnInsert
// (https://www.mongodb.com/docs/manual/reference/method/db.collection.update/#upsert-behavior).
func (u *preparedUpdate) make(ctx context.Context, conn *sqliteConn) (bson.Raw, error) {
	doc, err := seedDocument(u.t.Declared, u.filter)
	if err != nil {
		return nil, err
	}
	if doc, err = applyChanges(doc, u.changes, true); err != nil {
		return nil, u.t.Refuse("%w", err)
	}
	values, err := u.t.encode(doc)
	if err != nil {
		return nil, err
	}
	_, err = conn.exec(ctx, u.t.insert, values...)
	return doc, u.t.duplicate(err)
}

// rawTime is a time as BSON: milliseconds since 1970.
func rawTime(at time.Time) bson.RawValue {
	return bson.RawValue{Type: bson.TypeDateTime, Value: binary.LittleEndian.AppendUint64(nil, uint64(at.UnixMilli()))}
}
