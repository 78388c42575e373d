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
	// freshFor is the maximum age of an entry if other processes may change the
	// database: within it a revocation reaches every replica.
	freshFor = 5 * time.Second
	// staleFor is how long an entry is served while the database is down, from its
	// last answer, so that calls in progress can still be joined.
	staleFor = time.Hour
	// retryAfterOutage is the interval of retries during an outage, so that an
	// outage delays one request a second per key, not every request.
	retryAfterOutage = time.Second
	// LoadTimeout bounds one look-up, which all waiting callers share.
	LoadTimeout = 4 * time.Second
)

// Cache caches look-ups by a string: bounded, one query for concurrent misses,
// unknown keys cached too. If only this process changes the database (exact), an
// entry is valid until it is dropped; otherwise for freshFor.
type Cache[V any] struct {
	load    func(context.Context, string) (V, error)
	now     func() time.Time
	exact   bool
	known   *lru.Cache[string, *known[V]]
	unknown *lru.Cache[string, time.Time]
	flight  singleflight.Group
	// mu orders adding and dropping: a value read before a drop is not added after
	// it. epoch counts drops.
	mu    sync.Mutex
	epoch atomic.Uint64
}

type known[V any] struct {
	value V
	// readAt is when the value was read, checkAt when to read it again.
	readAt  time.Time
	checkAt atomic.Int64
}

// New bounds known and unknown keys to size entries each.
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

// Get returns the value for key, not_found, or unavailable.
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

// ask reads the database once for all concurrent callers. A caller after a drop
// does not join a query from before it.
func (d *Cache[V]) ask(ctx context.Context, key string) (V, error) {
	epoch := d.epoch.Load()
	result := d.flight.DoChan(strconv.FormatUint(epoch, 36)+" "+key, func() (any, error) {
		// The first caller may disconnect; the others still wait for the result.
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

// Drop drops one key, known or unknown.
func (d *Cache[V]) Drop(key string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.epoch.Add(1)
	d.known.Remove(key)
	d.unknown.Remove(key)
}

// Clear drops every entry.
func (d *Cache[V]) Clear() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.epoch.Add(1)
	d.known.Purge()
	d.unknown.Purge()
}

// DropWhere drops every matching value. It scans all of them: changes are rare, so
// look-ups maintain no index for it.
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
