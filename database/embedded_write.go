package database

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

// changedAtOnce is how many documents a change or removal of many takes in one
// transaction; between those, other writers have their turn. As on MongoDB,
// such a change is atomic for each document only.
const changedAtOnce = 500

// encode makes a document's BSON and the parameters of its insertion.
func (t *table) encode(doc any) ([]any, error) {
	raw, err := bson.Marshal(doc)
	if err != nil {
		return nil, models.Internal(fmt.Errorf("database: encoding a %T: %w", doc, err))
	}
	if err := t.checkDocument(raw); err != nil {
		return nil, err
	}
	return t.values(raw)
}

// duplicate turns a violated unique index into its conflict.
func (t *table) duplicate(err error) error {
	if what, ok := sqliteDuplicate(err); ok {
		return t.conflict(t.duplicates[what], err)
	}
	return err
}

// Insert implements Engine.
func (e *Embedded) Insert(ctx context.Context, collection string, doc any) error {
	t, err := e.table(collection)
	if err != nil {
		return err
	}
	values, err := t.encode(doc)
	if err != nil {
		return err
	}
	kept := context.WithoutCancel(ctx)
	return e.writer.do(ctx, func(conn *sqliteConn) error {
		_, err := conn.exec(kept, t.insert, values...)
		return t.duplicate(err)
	})
}

// InsertMany implements Engine.
func (e *Embedded) InsertMany(ctx context.Context, collection string, docs []any) ([]int, error) {
	t, err := e.table(collection)
	if err != nil {
		return nil, err
	}
	if len(docs) > MaxBatch {
		return nil, t.refuse("%d documents at once; %d are allowed", len(docs), MaxBatch)
	}
	encoded := make([][]any, len(docs))
	for i, doc := range docs {
		if encoded[i], err = t.encode(doc); err != nil {
			return nil, err
		}
	}
	if len(docs) == 0 {
		return nil, nil
	}
	kept := context.WithoutCancel(ctx)
	var duplicates []int
	err = e.writer.do(ctx, func(conn *sqliteConn) error {
		return atomically(kept, conn, func() error {
			for i, values := range encoded {
				_, err := conn.exec(kept, t.insert, values...)
				if _, ok := sqliteDuplicate(err); ok {
					duplicates = append(duplicates, i)
				} else if err != nil {
					return err
				}
			}
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	return duplicates, nil
}

// Update implements Engine.
func (e *Embedded) Update(ctx context.Context, collection string, raw, update bson.D, opts UpdateOptions) (int64, error) {
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

// FindOneAndUpdate implements Engine.
func (e *Embedded) FindOneAndUpdate(ctx context.Context, collection string, raw, update bson.D, opts FindAndUpdateOptions, out any) error {
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
	filter  filter
	order   []sortKey
	changes []change
	upsert  bool
}

func (e *Embedded) prepareUpdate(collection string, raw, update, order bson.D, upsert bool) (*preparedUpdate, error) {
	t, err := e.table(collection)
	if err != nil {
		return nil, err
	}
	u := &preparedUpdate{t: t, upsert: upsert}
	if u.filter, err = t.checkWriteFilter(raw); err != nil {
		return nil, err
	}
	if u.changes, err = t.checkUpdate(update); err != nil {
		return nil, err
	}
	if u.order, err = t.checkSort(order); err != nil {
		return nil, err
	}
	if upsert {
		err = t.checkUpsert(u.filter)
	}
	return u, err
}

// updateOne changes the first match, or makes it. It tells whether there was
// one, and returns the document afterwards, nil if there is none.
func (e *Embedded) updateOne(ctx context.Context, u *preparedUpdate) (found bool, after bson.Raw, err error) {
	var b strings.Builder
	b.WriteString("SELECT rowid, doc")
	args := u.t.selection(&b, u.filter, u.order)
	b.WriteString(" LIMIT 1")
	kept := context.WithoutCancel(ctx)
	var matched bool
	var doc bson.Raw
	err = e.writer.do(ctx, func(conn *sqliteConn) error {
		rows, err := storedRows(kept, conn, b.String(), args...)
		if err != nil {
			return err
		}
		if len(rows) > 0 {
			matched = true
			doc, err = u.change(kept, conn, rows[0])
			return err
		}
		if u.upsert {
			doc, err = u.make(kept, conn)
		}
		return err
	})
	if err != nil {
		return false, nil, err
	}
	return matched, doc, nil
}

// updateMany changes every match, a bounded number at a time in the order of
// their ids, so that a document which still matches is not changed twice.
func (e *Embedded) updateMany(ctx context.Context, u *preparedUpdate) (matched int64, err error) {
	for last := ""; ; {
		var rows []storedRow
		err := e.writer.do(ctx, func(conn *sqliteConn) error {
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
		last = rows[len(rows)-1].doc.Lookup(idField).StringValue()
	}
}

// matchesAfter reads the next matches whose ids follow last.
func (u *preparedUpdate) matchesAfter(ctx context.Context, conn *sqliteConn, last string) ([]storedRow, error) {
	after := condition{field: idField, op: opGreater, value: last}
	f := filter{all: append(slices.Clone(u.filter.all), after), any: u.filter.any}
	var b strings.Builder
	b.WriteString("SELECT rowid, doc")
	args := u.t.selection(&b, f, []sortKey{{field: idField}})
	b.WriteString(" LIMIT ?")
	return storedRows(ctx, conn, b.String(), append(args, int64(changedAtOnce))...)
}

// change applies the update to a stored document and writes what differs, so
// that the indexes of other fields are left alone.
func (u *preparedUpdate) change(ctx context.Context, conn *sqliteConn, row storedRow) (bson.Raw, error) {
	after, err := applyChanges(row.doc, u.changes, false)
	if err != nil {
		return nil, u.t.refuse("%w", err)
	}
	if string(after) == string(row.doc) {
		return after, nil
	}
	if err := u.t.checkDocument(after); err != nil {
		return nil, err
	}
	var b strings.Builder
	b.WriteString(`UPDATE "` + u.t.Name + `" SET doc = ?`)
	args := []any{[]byte(after)}
	for _, c := range u.t.columns {
		if !touches(u.changes, c.path) {
			continue
		}
		value, err := u.t.columnValue(after, c)
		if err != nil {
			return nil, err
		}
		b.WriteString(", " + quoted(c.name) + " = ?")
		args = append(args, value)
	}
	b.WriteString(" WHERE rowid = ?")
	_, err = conn.exec(ctx, b.String(), append(args, row.id)...)
	return after, u.t.duplicate(err)
}

// touches tells whether any change can alter the field at a path.
func touches(changes []change, path []string) bool {
	for _, c := range changes {
		if hasPrefix(path, c.path) {
			return true
		}
	}
	return false
}

// make stores the document of an upsert without a match: the equalities of the
// filter, then the update with $setOnInsert
// (https://www.mongodb.com/docs/manual/reference/method/db.collection.update/#upsert-behavior).
func (u *preparedUpdate) make(ctx context.Context, conn *sqliteConn) (bson.Raw, error) {
	doc, err := seedDocument(u.t.declared, u.filter)
	if err != nil {
		return nil, err
	}
	if doc, err = applyChanges(doc, u.changes, true); err != nil {
		return nil, u.t.refuse("%w", err)
	}
	values, err := u.t.encode(doc)
	if err != nil {
		return nil, err
	}
	_, err = conn.exec(ctx, u.t.insert, values...)
	return doc, u.t.duplicate(err)
}

// Delete implements Engine.
func (e *Embedded) Delete(ctx context.Context, collection string, raw bson.D, limit int64) (int64, error) {
	t, err := e.table(collection)
	if err != nil {
		return 0, err
	}
	if limit != 0 && limit != 1 {
		return 0, t.refuse("a removal with the limit %d; 0 and 1 are allowed", limit)
	}
	f, err := t.checkWriteFilter(raw)
	if err != nil {
		return 0, err
	}
	return e.remove(ctx, t, f, limit)
}

// remove deletes matches, a bounded number at a time, up to limit if that is
// positive.
func (e *Embedded) remove(ctx context.Context, t *table, f filter, limit int64) (deleted int64, err error) {
	var b strings.Builder
	b.WriteString(`DELETE FROM "` + t.Name + `" WHERE rowid IN (SELECT rowid`)
	args := t.selection(&b, f, nil)
	b.WriteString(" LIMIT ?)")
	batch := int64(changedAtOnce)
	if limit > 0 {
		batch = min(batch, limit)
	}
	args = append(args, batch)
	kept := context.WithoutCancel(ctx)
	for {
		var gone int64
		err := e.writer.do(ctx, func(conn *sqliteConn) error {
			var err error
			gone, err = conn.exec(kept, b.String(), args...)
			return err
		})
		if err != nil {
			return deleted, err
		}
		deleted += gone
		if gone < batch || deleted == limit {
			return deleted, nil
		}
	}
}

var errNotADocument = errors.New("a field on the way to the changed one is not a document")
