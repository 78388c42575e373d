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
	// freshFor is how long an answer is served without asking the database
	// again, where other processes change it too. What they change is dropped
	// when Changes delivers it; asking again is for a process that died between
	// a write and telling of it.
	freshFor = time.Minute
	// unknownFor is how long a key stays unknown without asking again.
	unknownFor = 5 * time.Second
	// staleFor is how long an entry is served while the database is down, from its
	// last answer, so that calls in progress can still be joined.
	staleFor = time.Hour
	// retryAfterOutage is the pause between two refreshes of an entry that
	// failed.
	retryAfterOutage = time.Second
	// refreshesAtOnce bounds the refreshes under way: a database that hangs
	// must not collect a goroutine for each key.
	refreshesAtOnce = 64
	// LoadTimeout bounds one look-up; all callers that wait share it.
	LoadTimeout = 4 * time.Second
)

// Cache answers look-ups by a string from memory: bounded, one query for
// concurrent misses, unknown keys remembered too. Where this process is alone
// with the database (exact) an entry is good until it is dropped. Otherwise an
// entry that is freshFor old is served once more and refreshed in the
// background, so that a slow database slows down no known key.
type Cache[V any] struct {
	c       Config[V]
	known   *lru.Cache[string, *known[V]]
	unknown *lru.Cache[string, time.Time]
	// refreshing holds a token for each refresh under way.
	refreshing chan struct{}
	flight     singleflight.Group
	// mu orders adding and dropping: a value read before a drop is not added after
	// it. epoch counts drops.
	mu    sync.Mutex
	epoch atomic.Uint64

	results Results
}

type known[V any] struct {
	value V
	// readAt is when the value was read, checkAt when to read it again.
	readAt  time.Time
	checkAt atomic.Int64
	// refreshed is taken by the one refresh that may be under way.
	refreshed atomic.Bool
}

// Config of New. Size, Now and Load are required.
type Config[V any] struct {
	// Size bounds each of the two memories, of known and of unknown keys.
	Size int
	// Exact keeps an entry until it is dropped: no other process changes what is
	// looked up.
	Exact bool
	// Fresh is how long an entry is served without asking again; default a minute.
	Fresh time.Duration
	// Wait is how long callers wait for the answer once an entry is no longer
	// fresh, instead of serving it once more. The entry still serves if that fails
	// or takes longer, and then for a while without a wait.
	Wait time.Duration
	Now  func() time.Time
	Load func(ctx context.Context, key string) (V, error)
}

// New makes a cache.
func New[V any](c Config[V]) (*Cache[V], error) {
	found, err := lru.New[string, *known[V]](c.Size)
	if err != nil {
		return nil, err
	}
	missing, err := lru.New[string, time.Time](c.Size)
	if err != nil {
		return nil, err
	}
	if c.Fresh == 0 {
		c.Fresh = freshFor
	}
	return &Cache[V]{c: c, known: found, unknown: missing, refreshing: make(chan struct{}, refreshesAtOnce)}, nil
}

// Get returns the value for key, not_found, or unavailable.
func (d *Cache[V]) Get(ctx context.Context, key string) (V, error) {
	now := d.c.Now()
	entry, ok := d.known.Get(key)
	switch {
	case ok && (d.c.Exact || now.UnixNano() < entry.checkAt.Load()):
		d.results.Hits.Add(1)
		return entry.value, nil
	case ok && now.Sub(entry.readAt) < staleFor && d.c.Wait == 0:
		d.results.Stale.Add(1)
		d.refresh(ctx, key, entry)
		return entry.value, nil
	case ok && now.Sub(entry.readAt) < staleFor:
		patient, cancel := context.WithTimeout(ctx, d.c.Wait)
		defer cancel()
		value, err := d.ask(patient, key)
		if err != nil && !models.IsKind(err, models.KindNotFound) {
			d.results.Stale.Add(1)
			entry.checkAt.Store(d.c.Now().Add(retryAfterOutage).UnixNano())
			return entry.value, nil
		}
		d.results.Misses.Add(1)
		return value, err
	case !ok:
		if until, missing := d.unknown.Get(key); missing && (d.c.Exact || now.Before(until)) {
			d.results.Hits.Add(1)
			var none V
			return none, models.NotFound()
		}
	}
	d.results.Misses.Add(1)
	return d.ask(ctx, key)
}

// refresh asks for an entry again in the background. Until it is answered the
// entry stays as it is; a failure is tried again later.
func (d *Cache[V]) refresh(ctx context.Context, key string, entry *known[V]) {
	if !entry.refreshed.CompareAndSwap(false, true) {
		return
	}
	select {
	case d.refreshing <- struct{}{}:
	default:
		entry.refreshed.Store(false)
		return
	}
	go func() {
		defer func() { <-d.refreshing }()
		shared, cancel := context.WithTimeout(context.WithoutCancel(ctx), LoadTimeout)
		defer cancel()
		if _, err := d.ask(shared, key); err != nil && !models.IsKind(err, models.KindNotFound) {
			entry.checkAt.Store(d.c.Now().Add(retryAfterOutage).UnixNano())
			entry.refreshed.Store(false)
		}
	}()
}

// Holds reports whether Get would answer from memory, if an old entry counts.
func (d *Cache[V]) Holds(key string) bool { return d.known.Contains(key) || d.unknown.Contains(key) }

// ask reads the database once for all concurrent callers. A caller after a drop
// does not join a query from before it.
func (d *Cache[V]) ask(ctx context.Context, key string) (V, error) {
	epoch := d.epoch.Load()
	result := d.flight.DoChan(strconv.FormatUint(epoch, 36)+" "+key, func() (any, error) {
		// The first caller may disconnect; the others still wait for the result.
		shared, cancel := context.WithTimeout(context.WithoutCancel(ctx), LoadTimeout)
		defer cancel()
		now := d.c.Now()
		value, err := d.c.Load(shared, key)
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
		fresh.checkAt.Store(now.Add(d.c.Fresh).UnixNano())
		d.known.Add(key, fresh)
		d.unknown.Remove(key)
	case models.IsKind(err, models.KindNotFound):
		d.known.Remove(key)
		d.unknown.Add(key, now.Add(unknownFor))
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
