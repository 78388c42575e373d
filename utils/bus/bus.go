package bus

import (
	"errors"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
)

// MaxSubscribers bounds the subscribers of one bus: each costs every write a
// call. Caches are few; more is a subscription made per request.
const MaxSubscribers = 256

// ErrFull is returned to the subscriber beyond MaxSubscribers.
var ErrFull = errors.New("bus: too many subscribers")

// Subscriber receives changes. Both functions are required, must be safe for
// concurrent use and return soon: a write waits for them.
type Subscriber[C any] struct {
	// Changed drops what a change affects.
	Changed func(change C)
	// Reset drops everything: any change may have been missed.
	Reset func()
}

// Observer hears what goes over a bus, for metrics and logs. It must be safe
// for concurrent use.
type Observer interface {
	// Delivered is called after so many changes were delivered, of this
	// process or of another.
	Delivered(changes int, remote bool)
	// WasReset is called after a Reset.
	WasReset()
	// Panicked is called with what a subscriber panicked with and its stack.
	Panicked(value any, stack []byte)
}

// Bus delivers changes of type C. It is safe for concurrent use.
type Bus[C any] struct {
	observer Observer
	mu       sync.Mutex // held by those who change the list
	list     atomic.Pointer[[]*Subscriber[C]]
}

// New makes a bus; observer may be nil.
func New[C any](observer Observer) *Bus[C] {
	if observer == nil {
		observer = nobody{}
	}
	b := &Bus[C]{observer: observer}
	b.list.Store(new([]*Subscriber[C]))
	return b
}

// Subscribe delivers every change published from now on. cancel ends that; a
// delivery under way may still arrive. Subscribe before the first read that is
// cached.
func (b *Bus[C]) Subscribe(s Subscriber[C]) (cancel func(), err error) {
	if s.Changed == nil || s.Reset == nil {
		return nil, errors.New("bus: Changed and Reset are required")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	before := *b.list.Load()
	if len(before) >= MaxSubscribers {
		return nil, ErrFull
	}
	added := &s
	after := append(slices.Clone(before), added)
	b.list.Store(&after)
	return func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		rest := slices.DeleteFunc(slices.Clone(*b.list.Load()), func(other *Subscriber[C]) bool { return other == added })
		b.list.Store(&rest)
	}, nil
}

// Publish delivers what this process has changed. Call it after the write, and
// also when a write's outcome is unknown.
func (b *Bus[C]) Publish(changes ...C) {
	b.deliver(changes)
	b.observer.Delivered(len(changes), false)
}

// Inject delivers what another process has changed: the seam for a change
// stream or a poll. A change of this process may come again; that is harmless.
func (b *Bus[C]) Inject(changes ...C) {
	b.deliver(changes)
	b.observer.Delivered(len(changes), true)
}

// Reset has every subscriber drop everything: call it when changes may have
// been missed, such as after a gap in a change stream.
func (b *Bus[C]) Reset() {
	for _, s := range *b.list.Load() {
		b.guarded(s.Reset)
	}
	b.observer.WasReset()
}

func (b *Bus[C]) deliver(changes []C) {
	for _, s := range *b.list.Load() {
		for i := range changes {
			if !b.guarded(func() { s.Changed(changes[i]) }) {
				b.guarded(s.Reset)
			}
		}
	}
}

// guarded contains a panic; false if there was one.
func (b *Bus[C]) guarded(call func()) (whole bool) {
	defer func() {
		if p := recover(); p != nil {
			b.observer.Panicked(p, debug.Stack())
		}
	}()
	call()
	return true
}

type nobody struct{}

func (nobody) Delivered(int, bool)  {}
func (nobody) WasReset()            {}
func (nobody) Panicked(any, []byte) {}
