package embedded

import (
	"context"

	"github.com/rs/zerolog"
)

// progressEvery is after how many documents the log tells how far a long change of
// the file is, and from how many on it tells of an index.
const progressEvery = 100_000

// progress tells the operator of changes that hold up the start.
type progress struct {
	log   zerolog.Logger
	every int
}

// filled tells of new fields that were filled in so many documents.
func (p progress) filled(collection string, fields []column, documents int) {
	if documents%p.every == 0 {
		names := make([]string, len(fields))
		for i, f := range fields {
			names[i] = f.Name
		}
		p.log.Info().Str("collection", collection).Strs("fields", names).Int("documents", documents).
			Msg("upgrading the database: filling new fields")
	}
}

// indexing tells of an index that is about to be built over many documents.
func (p progress) indexing(ctx context.Context, conn *sqliteConn, t *table, index string) error {
	// Rows are numbered from 1, and one that was deleted keeps its number.
	row, err := conn.row(ctx, "SELECT max(rowid) FROM "+quoted(t.StoredName()))
	if err != nil {
		return err
	}
	if rows, _ := row[0].(int64); rows >= int64(p.every) {
		p.log.Info().Str("collection", t.Name).Str("index", index).Int64("documents", rows).
			Msg("upgrading the database: building an index")
	}
	return nil
}

func (e *Engine) progress() progress { return progress{e.log, progressEvery} }
