package embedded

import (
	"context"
	"time"

	"pulse-control-plane/database/engine"
)

// Run deletes expired documents at start and then at each interval, until ctx
// ends; it then returns nil. Until a sweep an expired document is still
// readable, as on MongoDB
// (https://www.mongodb.com/docs/manual/core/index-ttl/#timing-of-the-delete-operation).
// A failed sweep is logged and retried at the next interval.
func (e *Engine) Run(ctx context.Context) error {
	ticker := time.NewTicker(e.every)
	defer ticker.Stop()
	for {
		if err := e.sweep(ctx); err != nil && ctx.Err() == nil {
			e.log.Error().Err(err).Msg("deletion of expired documents failed")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// sweep deletes documents that have expired by the engine's clock: their time
// plus ExpireAfter has passed. Documents without the field never expire.
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
				e.log.Debug().Str("collection", t.Name).Int64("documents", gone).Msg("deleted expired documents")
			}
		}
	}
	return nil
}
