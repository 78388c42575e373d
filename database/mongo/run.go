package mongo

import (
	"context"
	"time"

	"pulse-control-plane/database/engine"
	"pulse-control-plane/utils/worker"
)

// deferredIndex is an index that Run builds.
type deferredIndex struct {
	collection collection
	index      engine.Index
}

// Run implements engine.Engine. It builds the indexes that EnsureSchema left to
// it and then waits for ctx to end; MongoDB deletes expired documents by itself.
// A failed build is logged and retried. It returns nil.
func (m *Engine) Run(ctx context.Context) error {
	waits := worker.Backoff{First: m.options.FirstWait, Most: m.options.LongestWait}
	for failures := int64(0); ctx.Err() == nil; {
		next, ok := m.nextDeferred()
		if !ok {
			break
		}
		log := m.options.Log.With().Str("collection", next.collection.Name).Str("index", engine.IndexName(next.index)).Logger()
		began := time.Now()
		err := m.createIndex(ctx, next.collection, next.index)
		switch {
		case err == nil:
			m.doneDeferred()
			failures = 0
			log.Info().Dur("took", time.Since(began)).Msg("an index was built")
			continue
		case ctx.Err() != nil:
		case !isBusy(err):
			// Only speed or expiry depend on it; a retry cannot fix a refusal.
			m.doneDeferred()
			failures = 0
			log.Error().Err(err).Msg("the server refuses to build an index")
			continue
		default:
			failures++
			log.Warn().Err(err).Int64("attempt", failures).Msg("an index was not built; retrying")
			pause(ctx, waits.After(failures))
		}
	}
	<-ctx.Done()
	return nil
}

// nextDeferred returns the first deferred index.
func (m *Engine) nextDeferred() (deferredIndex, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.deferred) == 0 {
		return deferredIndex{}, false
	}
	return m.deferred[0], true
}

// doneDeferred removes the first deferred index.
func (m *Engine) doneDeferred() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.deferred) > 0 {
		m.deferred = m.deferred[1:]
	}
}
