package events

import (
	"context"
	"sort"
	"sync"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
)

// settled is the sequence of the number up to which every event is in the log.
const settled = "events|settled"

const (
	// TailInterval is how often the tail looks for events that other processes
	// stored, and for missing numbers that are overdue.
	TailInterval = 250 * time.Millisecond
	// settleEvery is how often the settled number is stored, for processes that
	// start.
	settleEvery = 5 * time.Second
	// tailBatch is how many events one pass reads.
	tailBatch = 500
	// windowEvents and windowBytes bound the latest events in memory, which all
	// readers of this process share.
	windowEvents = 4096
	windowBytes  = 8 << 20
	// eventOverhead is what an event takes beside its data, in bytes.
	eventOverhead = 512
)

// Tail follows the log to its end, once for all readers of this process: it
// keeps the latest events, and wakes readers that wait for more.
type Tail struct {
	log *Log
	// moved are called after each pass that found events.
	moved []func()

	// What follows belongs to Pass.
	started  bool
	settleAt time.Time

	mu sync.RWMutex
	// position is the number up to which events are settled.
	position int64
	// window is the latest events in order; floor is the number before the first.
	window []*Entry
	bytes  int
	floor  int64
	// topics are whose events are waited for.
	topics map[database.EventsOf]*topic
}

// Entry is an event with its body, which is made once for all readers.
type Entry struct {
	Event models.Event
	once  sync.Once
	body  []byte
	err   error
}

// Body is the event's as tenants get it; see Encode.
func (e *Entry) Body() ([]byte, error) {
	e.once.Do(func() { e.body, e.err = Encode(&e.Event) })
	return e.body, e.err
}

// topic is what readers of the same events share.
type topic struct {
	readers int
	// next is closed when there are more events.
	next chan struct{}
}

// NewTail returns the tail of a log. Its Pass must be run by a worker, which wake
// wakes.
func NewTail(log *Log, wake func()) *Tail {
	log.stored = wake
	return &Tail{log: log, topics: map[database.EventsOf]*topic{}}
}

// Notify has a function called after each pass that found events, soon after they
// were stored by any process. It must be called before the first pass, and the
// function must return at once.
func (t *Tail) Notify(moved func()) { t.moved = append(t.moved, moved) }

// Pass reads up to tailBatch events and hands them on. It returns how many.
func (t *Tail) Pass(ctx context.Context) (int, error) {
	if !t.started {
		position, err := t.log.c.Sequences.Last(ctx, settled)
		if err != nil {
			return 0, err
		}
		t.mu.Lock()
		t.position, t.floor = position, position
		t.mu.Unlock()
		t.started = true
	}
	list, err := t.log.After(ctx, t.position, tailBatch)
	if err != nil || len(list) == 0 {
		return 0, err
	}
	t.add(list)
	for _, moved := range t.moved {
		moved()
	}
	if now := t.log.c.Now(); now.Sub(t.settleAt) >= settleEvery {
		if err := t.log.c.Sequences.Reach(ctx, settled, t.position); err != nil {
			return len(list), err
		}
		t.settleAt = now
	}
	return len(list), nil
}

// add appends events to the window, drops the oldest beyond its bounds, and wakes
// who waits for the events.
func (t *Tail) add(list []models.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	woken := map[*topic]bool{}
	for i := range list {
		e := &list[i]
		t.position = e.Seq
		if e.Type == models.EventGap {
			continue
		}
		t.window = append(t.window, &Entry{Event: *e})
		t.bytes += sizeOf(e)
		for _, of := range topicsOf(e) {
			if waiting := t.topics[of]; waiting != nil {
				woken[waiting] = true
			}
		}
	}
	drop := 0
	for len(t.window)-drop > windowEvents || t.bytes > windowBytes && drop < len(t.window) {
		e := &t.window[drop].Event
		t.bytes -= sizeOf(e)
		t.floor = e.Seq
		t.window[drop] = nil
		drop++
	}
	t.window = t.window[drop:]
	for waiting := range woken {
		close(waiting.next)
		waiting.next = make(chan struct{})
	}
}

// sizeOf estimates what an event and its body take in memory, in bytes.
func sizeOf(e *models.Event) int { return 2*len(e.Data) + eventOverhead }

// topicsOf gives who may see an event: everybody's is the operator's.
func topicsOf(e *models.Event) []database.EventsOf {
	out := []database.EventsOf{{}, {Org: e.OrgID}}
	if e.ProjectID != "" {
		out = append(out, database.EventsOf{Project: e.ProjectID})
	}
	return out
}

// Position is the number up to which events are settled.
func (t *Tail) Position() int64 {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return t.position
}

// sees reports whether an event is among those that are meant.
func sees(of database.EventsOf, e *models.Event) bool {
	switch {
	case of.Project != "":
		return e.ProjectID == of.Project
	case of.Org != "":
		return e.OrgID == of.Org
	}
	return true
}

// since gives up to limit events in the window with numbers above after, for
// which match is true, and up to which number that is all; known is false if
// the window no longer reaches back to after.
func (t *Tail) since(after int64, limit int, match func(*models.Event) bool) (list []*Entry, upTo int64, known bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	if after < t.floor {
		return nil, after, false
	}
	for _, e := range t.window[t.indexAfter(after):] {
		if !match(&e.Event) {
			continue
		}
		if list = append(list, e); len(list) == limit {
			return list, e.Event.Seq, true
		}
	}
	return list, max(after, t.position), true
}

// indexAfter gives the index of the first event in the window above a number.
func (t *Tail) indexAfter(after int64) int {
	return sort.Search(len(t.window), func(i int) bool { return t.window[i].Event.Seq > after })
}

// join gives the topic of events that are meant; leave must follow.
func (t *Tail) join(of database.EventsOf) *topic {
	t.mu.Lock()
	defer t.mu.Unlock()
	joined := t.topics[of]
	if joined == nil {
		joined = &topic{next: make(chan struct{})}
		t.topics[of] = joined
	}
	joined.readers++
	return joined
}

func (t *Tail) leave(of database.EventsOf, joined *topic) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if joined.readers--; joined.readers == 0 {
		delete(t.topics, of)
	}
}

// more gives what is closed when a topic has more events than there are now.
func (t *Tail) more(joined *topic) <-chan struct{} {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return joined.next
}
