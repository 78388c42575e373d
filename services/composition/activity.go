package composition

import (
	"sync/atomic"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/utils/worker"
)

const (
	// activeFor is how long workers look for work often after anything that may have
	// made some.
	activeFor = 10 * time.Second
	// toldEvery is how often other replicas are informed while activity continues.
	toldEvery = activeFor / 2
)

// watched returns the engine whose writes are activity, here and on the other
// replicas; where there are none, workers ask often: nothing else does.
func (b *builder) watched(engine database.Engine) database.Engine {
	if engine.Exclusive() {
		return engine
	}
	b.activity = worker.NewActivity(activeFor)
	began := time.Now()
	var told atomic.Int64
	told.Store(-int64(toldEvery))
	return database.Watched(engine, func() {
		b.activity.Mark()
		now, last := int64(time.Since(began)), told.Load()
		if now-last >= int64(toldEvery) && told.CompareAndSwap(last, now) {
			b.out.Changes.Tell(models.TopicActivity)
		}
	})
}
