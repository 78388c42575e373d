package embedded

import (
	"context"
	"time"

	"pulse-control-plane/database/engine"
)

// Run removes expired documents, once at the start and then at each interval,
// until ctx ends; it then returns nil. Until it has, an expired document is
// still there, as on MongoDB
// (https://www.mongodb.com/docs/manual/core/index-ttl/#timing-of-the-delete-operation).
// A sweep that fails is logged and tried again at the next interval.
func (e *Engine) Run(ctx context.Context) error {
	ticker := time.NewTicker(e.every)
	defer ticker.Stop()
	for {
		if err := e.sweep(ctx); err != nil && ctx.Err() == nil {
			e.log.Error().Err(err).Msg("removing expired documents failed")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// sweep removes what has expired by the engine's clock: documents whose time
// plus ExpireAfter has come. Documents without the field never expire.
func (e *Engine) sweep(ctx context.Context) error {
	for _, t := range e.tables {
		for _, ix := range t.Indexes {
			if ix.ExpireAfter == nil {
				continue
			}
			field, _ := engine.IndexKey(ix.Keys[0])
			until := e.clock().Add(-*ix.ExpireAfter).UnixMilli()
			expired := engine.Filter{All: engine.Conditions{{Field: field, Op: engine.LessEqual, Value: until}}}
			gone, err := e.remove(ctx, t, expired, 0)
			if err != nil {
				return err
			}
			if gone > 0 {
				e.log.Debug().Str("collection", t.Name).Int64("documents", gone).Msg("removed expired documents")
			}
		}
	}
	return nil
}
