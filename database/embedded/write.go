package embedded

import (
	"context"
	"fmt"
	"strings"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/database/engine"
	"pulse-control-plane/models"
)

// changedAtOnce is how many documents an update or delete of many changes in
// one transaction; other writers run in between. As on MongoDB, it is atomic
// for each document only.
const changedAtOnce = 500

// encode returns the parameters of insert for a document.
func (t *table) encode(doc any) ([]any, error) {
	raw, err := bson.Marshal(doc)
	if err != nil {
		return nil, models.Internal(fmt.Errorf("database: encoding a %T: %w", doc, err))
	}
	return t.values(raw)
}

// duplicate converts a violated unique index to its conflict.
func (t *table) duplicate(err error) error {
	if what, ok := sqliteDuplicate(err); ok {
		return t.Conflict(t.duplicates[what], err)
	}
	return err
}

// Insert implements engine.Engine.
func (e *Engine) Insert(ctx context.Context, collection string, doc any) error {
	t, err := e.table(collection)
	if err != nil {
		return err
	}
	values, err := t.encode(doc)
	if err != nil {
		return err
	}
	kept := context.WithoutCancel(ctx)
	return e.writer.do(ctx, t.set, func(conn *sqliteConn) error {
		_, err := conn.exec(kept, t.insert, values...)
		return t.duplicate(err)
	})
}

// InsertMany implements engine.Engine.
func (e *Engine) InsertMany(ctx context.Context, collection string, docs []any) ([]int, error) {
	t, err := e.table(collection)
	if err != nil {
		return nil, err
	}
	if len(docs) > engine.MaxBatch {
		return nil, t.Refuse("%d documents at once; %d are allowed", len(docs), engine.MaxBatch)
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
	err = e.writer.do(ctx, t.set, func(conn *sqliteConn) error {
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

// Delete implements engine.Engine.
func (e *Engine) Delete(ctx context.Context, collection string, raw bson.D, limit int64) (int64, error) {
	t, err := e.table(collection)
	if err != nil {
		return 0, err
	}
	if limit != 0 && limit != 1 {
		return 0, t.Refuse("a delete with limit %d; 0 (all) and 1 are allowed", limit)
	}
	f, err := t.CheckWriteFilter(raw)
	if err != nil {
		return 0, err
	}
	return e.remove(ctx, t, f, limit)
}

// remove deletes matches in batches, up to limit if it is positive.
func (e *Engine) remove(ctx context.Context, t *table, f engine.Filter, limit int64) (deleted int64, err error) {
	var b strings.Builder
	b.WriteString(`DELETE FROM "` + t.StoredName() + `" WHERE rowid IN (SELECT rowid`)
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
		err := e.writer.do(ctx, t.set, func(conn *sqliteConn) error {
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
