package embedded

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database/engine"
	"pulse-control-plane/models"
)

// bufferedBytes of a list are read before the caller sees the first document.
// Most lists are shorter, so the connection is free before the caller's code
// runs; that code may be slow or query the engine itself.
const bufferedBytes = 1 << 20

// selection writes FROM with the index, WHERE and ORDER BY.
func (t *table) selection(b *strings.Builder, f engine.Filter, order []engine.SortKey) []any {
	b.WriteString(` FROM "`)
	b.WriteString(t.StoredName())
	b.WriteByte('"')
	b.WriteString(t.hint(f, order))
	args := where(f, b, make([]any, 0, len(f.All)+2))
	for i, key := range order {
		if i == 0 {
			b.WriteString(" ORDER BY ")
		} else {
			b.WriteString(", ")
		}
		b.WriteString(quoted(key.Field))
		if key.Descending {
			b.WriteString(" DESC")
		}
	}
	return args
}

// FindOne implements engine.Engine.
func (e *Engine) FindOne(ctx context.Context, collection string, q engine.Query, out any) error {
	t, err := e.table(collection)
	if err != nil {
		return err
	}
	f, order, err := t.CheckQuery(q, false)
	if err != nil {
		return err
	}
	var b strings.Builder
	b.WriteString("SELECT doc")
	args := t.selection(&b, f, order)
	b.WriteString(" LIMIT 1")
	asking := ctx
	if t.isPoint(f) {
		// A point read ends before a context could; watching the context costs
		// more than the read.
		if err := ctx.Err(); err != nil {
			return models.Unavailable(err)
		}
		asking = context.WithoutCancel(ctx)
	}
	var doc bson.Raw
	err = e.read(ctx, t.set, func(conn *sqliteConn) error {
		row, err := conn.row(asking, b.String(), args...)
		if err != nil {
			return err
		}
		if row == nil {
			return models.NotFound()
		}
		doc, err = storedDocument(row[0])
		return err
	})
	if err != nil {
		return err
	}
	return decode(doc, out)
}

// isPoint reports whether a filter selects at most one document by a unique
// index.
func (t *table) isPoint(f engine.Filter) bool {
	if _, ok := f.Equal(engine.IDField); ok {
		return true
	}
	for _, p := range t.plans {
		if _, full := p.worth(t.Declared, f, nil); full && p.unique {
			return true
		}
	}
	return false
}

// Find implements engine.Engine. It reads one state of the collection, even
// while others write or each queries the engine.
func (e *Engine) Find(ctx context.Context, collection string, q engine.Query, each func(bson.Raw) error) error {
	t, err := e.table(collection)
	if err != nil {
		return err
	}
	f, order, err := t.CheckQuery(q, true)
	if err != nil {
		return err
	}
	var b strings.Builder
	b.WriteString("SELECT doc")
	args := t.selection(&b, f, order)
	b.WriteString(" LIMIT ?")
	args = append(args, q.Limit)

	conn, err := e.readers.acquire(ctx)
	if err != nil {
		return err
	}
	rows, err := conn.query(ctx, b.String(), args...)
	if err != nil {
		e.readers.release(conn)
		return sqliteFailure(err)
	}
	batch, open, err := readBatch(ctx, rows)
	if err != nil || !open {
		err = errors.Join(err, rows.close())
		e.readers.release(conn)
		open = false
	}
	if err != nil {
		return sqliteFailure(err)
	}
	// All batches are of the state that the first was read from.
	err = e.writer.syncer.wait(ctx, t.set)
	for {
		for i := 0; err == nil && i < len(batch); i++ {
			err = each(batch[i])
		}
		if !open {
			return err
		}
		if err == nil {
			batch, open, err = readBatch(ctx, rows)
			err = sqliteFailure(err)
		}
		if err != nil || !open {
			closing := sqliteFailure(rows.close())
			e.readers.release(conn)
			if open = false; err == nil {
				err = closing
			}
		}
		if err != nil {
			return err
		}
	}
}

// readBatch reads up to bufferedBytes of documents; more reports whether there
// may be others.
func readBatch(ctx context.Context, rows *sqliteRows) (batch []bson.Raw, more bool, err error) {
	for size := 0; size < bufferedBytes; {
		if err := ctx.Err(); err != nil {
			return nil, false, err
		}
		row, err := rows.next()
		if err != nil || row == nil {
			return batch, false, err
		}
		doc, err := storedDocument(row[0])
		if err != nil {
			return nil, false, err
		}
		batch = append(batch, doc)
		size += len(doc)
	}
	return batch, true, nil
}

// Count implements engine.Engine.
func (e *Engine) Count(ctx context.Context, collection string, raw bson.D, limit int64) (int64, error) {
	t, err := e.table(collection)
	if err != nil {
		return 0, err
	}
	if limit < 0 {
		return 0, t.Refuse("a count with limit %d", limit)
	}
	f, err := t.CheckFilter(raw)
	if err != nil {
		return 0, err
	}
	var b strings.Builder
	var args []any
	if limit > 0 {
		b.WriteString("SELECT count(*) FROM (SELECT 1")
		args = append(t.selection(&b, f, nil), limit)
		b.WriteString(" LIMIT ?)")
	} else {
		b.WriteString("SELECT count(*)")
		args = t.selection(&b, f, nil)
	}
	var count int64
	err = e.read(ctx, t.set, func(conn *sqliteConn) error {
		row, err := conn.row(ctx, b.String(), args...)
		if err != nil {
			return err
		}
		count = row[0].(int64)
		return nil
	})
	return count, err
}

// storedDocument validates a doc column, so that no decoder sees a damaged
// file.
func storedDocument(value driver.Value) (bson.Raw, error) {
	data, ok := value.([]byte)
	if !ok {
		return nil, models.Internal(fmt.Errorf("database: a stored document is a %T", value))
	}
	if err := bson.Raw(data).Validate(); err != nil {
		return nil, models.Internal(fmt.Errorf("database: a stored document is damaged: %w", err))
	}
	return data, nil
}

// decode decodes a document into out.
func decode(doc bson.Raw, out any) error {
	if err := bson.Unmarshal(doc, out); err != nil {
		return models.Internal(fmt.Errorf("database: decoding into %T: %w", out, err))
	}
	return nil
}

// closeRows closes rows and keeps the error of reading them.
func closeRows(rows *sqliteRows, err error) error { return errors.Join(err, rows.close()) }
