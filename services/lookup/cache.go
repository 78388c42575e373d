package lookup

import (
	"context"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"pulse-control-plane/models"
)

const (
	// freshFor is how old an answer from memory may be where another process
	// may have changed the database: revocation reaches every replica in this
	// time.
	freshFor = 5 * time.Second
	// staleFor is how long an entry outlives a database that is away, so that
	// calls in progress can still be joined; it counts from the last answer.
	staleFor = time.Hour
	// retryAfterOutage is how long an entry is served before the database is
	// asked again during an outage, so that an outage costs one slow request a
	// second for each key and not one for each request.
	retryAfterOutage = time.Second
	// LoadTimeout bounds one look-up; it is shared by all who wait for it.
	LoadTimeout = 4 * time.Second
)

// Cache answers look-ups by a string from memory: bounded, one query for
// concurrent misses, unknown keys remembered too. Where this process is alone
// with the database (exact) an entry is good until it is dropped; otherwise it
// is asked for again when it is freshFor old.
type Cache[V any] struct {
	load    func(context.Context, string) (V, error)
	now     func() time.Time
	exact   bool
	known   *lru.Cache[string, *known[V]]
	unknown *lru.Cache[string, time.Time]
	flight  singleflight.Group
	// mu orders remembering and dropping: what was read before a drop is not
	// remembered after it. epoch counts drops.
	mu    sync.Mutex
	epoch atomic.Uint64
}

type known[V any] struct {
	value V
	// readAt is when the database gave the value; checkAt when to ask again.
	readAt  time.Time
	checkAt atomic.Int64
}

// New bounds each of the two memories to size entries.
func New[V any](size int, exact bool, now func() time.Time, load func(context.Context, string) (V, error)) (*Cache[V], error) {
	found, err := lru.New[string, *known[V]](size)
	if err != nil {
		return nil, err
	}
	missing, err := lru.New[string, time.Time](size)
	if err != nil {
		return nil, err
	}
	return &Cache[V]{load: load, now: now, exact: exact, known: found, unknown: missing}, nil
}

// Get answers with the value for key, not_found, or unavailable.
func (d *Cache[V]) Get(ctx context.Context, key string) (V, error) {
	now := d.now()
	entry, ok := d.known.Get(key)
	if ok && (d.exact || now.UnixNano() < entry.checkAt.Load()) {
		return entry.value, nil
	}
	if !ok {
		if until, missing := d.unknown.Get(key); missing && (d.exact || now.Before(until)) {
			var none V
			return none, models.NotFound()
		}
	}
	value, err := d.ask(ctx, key)
	if ok && models.IsKind(err, models.KindUnavailable) && now.Sub(entry.readAt) < staleFor {
		entry.checkAt.Store(now.Add(retryAfterOutage).UnixNano())
		return entry.value, nil
	}
	return value, err
}

// Remembers tells whether Get answers without the database.
func (d *Cache[V]) Remembers(key string) bool {
	if d.known.Contains(key) {
		return true
	}
	until, missing := d.unknown.Peek(key)
	return missing && (d.exact || d.now().Before(until))
}

// ask reads the database once for all who ask at the same time. Who asks after
// a drop does not join a query that began before it.
func (d *Cache[V]) ask(ctx context.Context, key string) (V, error) {
	epoch := d.epoch.Load()
	result := d.flight.DoChan(strconv.FormatUint(epoch, 36)+" "+key, func() (any, error) {
		// The one who asked first may hang up; the others still want to know.
		shared, cancel := context.WithTimeout(context.WithoutCancel(ctx), LoadTimeout)
		defer cancel()
		now := d.now()
		value, err := d.load(shared, key)
		d.remember(key, value, err, epoch, now)
		return value, err
	})
	select {
	case r := <-result:
		value, _ := r.Val.(V)
		return value, r.Err
	case <-ctx.Done():
		var none V
		return none, models.Unavailable(ctx.Err())
	}
}

func (d *Cache[V]) remember(key string, value V, err error, epoch uint64, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.epoch.Load() != epoch {
		return
	}
	switch {
	case err == nil:
		fresh := &known[V]{value: value, readAt: now}
		fresh.checkAt.Store(now.Add(freshFor).UnixNano())
		d.known.Add(key, fresh)
		d.unknown.Remove(key)
	case models.IsKind(err, models.KindNotFound):
		d.known.Remove(key)
		d.unknown.Add(key, now.Add(freshFor))
	}
}

// Drop forgets one key, known or unknown.
func (d *Cache[V]) Drop(key string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.epoch.Add(1)
	d.known.Remove(key)
	d.unknown.Remove(key)
}

// Clear forgets everything.
func (d *Cache[V]) Clear() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.epoch.Add(1)
	d.known.Purge()
	d.unknown.Purge()
}

// DropWhere forgets every known value that matches. It looks at all of them:
// changes are rare and look-ups are not, so look-ups keep no index for it.
func (d *Cache[V]) DropWhere(match func(V) bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.epoch.Add(1)
	for _, key := range d.known.Keys() {
		if entry, ok := d.known.Peek(key); ok && match(entry.value) {
			d.known.Remove(key)
		}
	}
}
