package lookup

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"time"

	"pulse-control-plane/models"
	"pulse-control-plane/utils/bus"
)

const (
	// changesWaiting bounds the changes that could not be stored yet. Beyond it
	// other replicas are instructed to drop everything.
	changesWaiting = 10_000
	// changesRead is how many changes one read takes.
	changesRead = 1000
	// changesOverlap is how far back each read goes: writes become visible in an
	// order that may differ from that of their times.
	changesOverlap = 5 * time.Second
)

// ChangeStore stores changes at times of its own clock.
type ChangeStore interface {
	Put(ctx context.Context, c *models.StoredChange) error
	Latest(ctx context.Context) (time.Time, error)
	Since(ctx context.Context, at time.Time, limit int64) ([]models.StoredChange, error)
}

// Changes is the bus on which every write publishes what it changed, and its link to the
// other replicas: changes of this process are stored, those of others are read
// and injected. It is safe for concurrent use.
type Changes struct {
	*bus.Bus[models.Change]
	// store is nil where no other process changes the database.
	store  ChangeStore
	writer string
	wake   func()

	// heard are called when another replica publishes their topic.
	heard map[models.Topic]func()

	mu       sync.Mutex
	waiting  []models.Change
	overflow bool
	number   int64

	// What follows belongs to the worker that calls Exchange.
	since    time.Time
	started  bool
	readAt   time.Time
	seen     map[string]time.Time
	measured func() time.Time
}

// NewChanges makes the bus. writer names this process, wake has Exchange called
// soon; store may be nil.
func NewChanges(b *bus.Bus[models.Change], store ChangeStore, writer string, wake func()) *Changes {
	return &Changes{Bus: b, store: store, writer: writer, wake: wake, heard: map[models.Topic]func(){}, seen: map[string]time.Time{}, measured: time.Now}
}

// On has a function called when another replica publishes a topic. It must be
// called before Exchange, and the function must return soon.
func (c *Changes) On(topic models.Topic, heard func()) { c.heard[topic] = heard }

// noKey is the id of no key. A binary that knows no topics reads a change that has
// nothing but one as empty, and drops all it remembers; with this id it drops nothing.
const noKey models.KeyID = "none"

// Tell publishes a topic to other replicas.
func (c *Changes) Tell(topic models.Topic) { c.share(models.Change{Topic: topic, KeyID: noKey}) }

// Publish delivers changes in this process and has them stored for the others.
func (c *Changes) Publish(changes ...models.Change) {
	c.Bus.Publish(changes...)
	c.share(changes...)
}

// share has changes stored for the other replicas.
func (c *Changes) share(changes ...models.Change) {
	if c.store == nil {
		return
	}
	c.mu.Lock()
	if room := changesWaiting - len(c.waiting); len(changes) > room {
		c.waiting, c.overflow = nil, true
	} else {
		c.waiting = append(c.waiting, changes...)
	}
	c.mu.Unlock()
	c.wake()
}

// Exchange stores the changes that wait and injects those of other replicas. It
// is the pass of a worker.
func (c *Changes) Exchange(ctx context.Context) error {
	return errors.Join(c.send(ctx), c.receive(ctx))
}

// send stores what waits; what could not be stored waits on.
func (c *Changes) send(ctx context.Context) error {
	c.mu.Lock()
	batch, overflow := c.waiting, c.overflow
	c.waiting, c.overflow = nil, false
	c.mu.Unlock()
	if overflow {
		batch = []models.Change{{}} // which every cache drops everything for
	}
	for i := range batch {
		c.number++
		err := c.store.Put(ctx, &models.StoredChange{
			ID: c.writer + "|" + strconv.FormatInt(c.number, 36), Writer: c.writer, Change: batch[i]})
		if err != nil {
			c.mu.Lock()
			c.waiting, c.overflow = append(batch[i:], c.waiting...), c.overflow || overflow
			c.mu.Unlock()
			return err
		}
	}
	return nil
}

// receive injects what other replicas stored since the last time.
func (c *Changes) receive(ctx context.Context) error {
	if !c.started {
		latest, err := c.store.Latest(ctx)
		if err != nil {
			return err
		}
		c.since, c.started = latest, true
	}
	began := c.measured()
	if !c.readAt.IsZero() && began.Sub(c.readAt) > models.ChangesKept/2 {
		c.Reset() // some may have expired unread
	}
	from := c.since.Add(-changesOverlap)
	for {
		list, err := c.store.Since(ctx, from, changesRead)
		if err != nil {
			return err
		}
		for i := range list {
			c.inject(&list[i])
		}
		if len(list) < changesRead || !list[len(list)-1].At.After(from) {
			break
		}
		from = list[len(list)-1].At
	}
	for id, at := range c.seen {
		if at.Before(c.since.Add(-2 * changesOverlap)) {
			delete(c.seen, id)
		}
	}
	c.readAt = began
	return nil
}

func (c *Changes) inject(stored *models.StoredChange) {
	if stored.At.After(c.since) {
		c.since = stored.At
	}
	if at, known := c.seen[stored.ID]; known && at.Equal(stored.At) {
		return
	}
	c.seen[stored.ID] = stored.At
	switch {
	case stored.Writer == c.writer:
	case stored.Change == models.Change{}:
		c.Reset()
		for _, heard := range c.heard {
			heard()
		}
	case stored.Change.Topic != "":
		if heard := c.heard[stored.Change.Topic]; heard != nil {
			heard()
		}
	default:
		c.Inject(stored.Change)
	}
}
