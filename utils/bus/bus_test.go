package bus_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"pulse-control-plane/utils/bus"
)

type change struct{ kind, id string }

// cache keeps values until a change of their id is told.
type cache struct {
	mu     sync.Mutex
	values map[string]int
	heard  []change
	resets int
}

func newCache(ids ...string) *cache {
	c := &cache{values: map[string]int{}}
	for _, id := range ids {
		c.values[id] = 1
	}
	return c
}

func (c *cache) subscriber() bus.Subscriber[change] {
	return bus.Subscriber[change]{
		Changed: func(v change) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.heard = append(c.heard, v)
			delete(c.values, v.id)
		},
		Reset: func() {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.resets++
			clear(c.values)
		},
	}
}

func subscribe(t *testing.T, b *bus.Bus[change], s bus.Subscriber[change]) (cancel func()) {
	t.Helper()
	cancel, err := b.Subscribe(s)
	if err != nil {
		t.Fatal(err)
	}
	return cancel
}

type log struct {
	mu            sync.Mutex
	local, remote int
	resets        int
	panics        []string
}

func (l *log) Delivered(n int, remote bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if remote {
		l.remote += n
	} else {
		l.local += n
	}
}
func (l *log) WasReset() { l.resets++ }
func (l *log) Panicked(v any, stack []byte) {
	text, _ := v.(string)
	if strings.Contains(string(stack), "bus_test.go") {
		l.panics = append(l.panics, text)
	}
}

func TestEveryCacheHasDroppedWhatChangedWhenPublishReturns(t *testing.T) {
	l := &log{}
	b := bus.New[change](l)
	keys, quotas := newCache("a", "b"), newCache("a", "b")
	subscribe(t, b, keys.subscriber())
	subscribe(t, b, quotas.subscriber())
	for name, tell := range map[string]func(...change){"here": b.Publish, "elsewhere": b.Inject} {
		keys.values["a"], quotas.values["a"] = 1, 1
		tell(change{"project", "a"}, change{"key", "x"})
		for _, c := range []*cache{keys, quotas} {
			if _, left := c.values["a"]; left || len(c.values) != 1 {
				t.Errorf("changed %s: left %v", name, c.values)
			}
		}
	}
	if want := []change{{"project", "a"}, {"key", "x"}, {"project", "a"}, {"key", "x"}}; !slices.Equal(keys.heard, want) {
		t.Errorf("heard %v", keys.heard)
	}
	if l.local != 2 || l.remote != 2 {
		t.Errorf("observed %d and %d", l.local, l.remote)
	}
}

func TestAfterAGapEveryCacheDropsEverything(t *testing.T) {
	l := &log{}
	b := bus.New[change](l)
	one, other := newCache("a"), newCache("b")
	subscribe(t, b, one.subscriber())
	subscribe(t, b, other.subscriber())
	b.Reset()
	if len(one.values)+len(other.values) != 0 || l.resets != 1 {
		t.Fatalf("left %v and %v", one.values, other.values)
	}
}

func TestAPanickingSubscriberIsResetAndDelaysNoOther(t *testing.T) {
	l := &log{}
	b := bus.New[change](l)
	broken, sound := newCache("a"), newCache("a")
	s := broken.subscriber()
	s.Changed = func(change) { panic("broken") }
	subscribe(t, b, s)
	subscribe(t, b, bus.Subscriber[change]{Changed: func(change) { panic("worse") }, Reset: func() { panic("worst") }})
	subscribe(t, b, sound.subscriber())
	b.Publish(change{"key", "a"})
	if len(sound.values) != 0 || len(broken.values) != 0 || broken.resets != 1 {
		t.Fatalf("left %v and %v", sound.values, broken.values)
	}
	if want := []string{"broken", "worse", "worst"}; !slices.Equal(l.panics, want) {
		t.Fatalf("panics %v", l.panics)
	}
	b.Reset()
	if sound.resets != 1 {
		t.Fatal("a panic in one reset kept another from being reset")
	}
}

func TestACancelledSubscriptionGetsNothingMoreAndFreesItsSlot(t *testing.T) {
	b := bus.New[change](nil)
	c := newCache("a")
	cancel := subscribe(t, b, c.subscriber())
	cancel()
	cancel() // once more does no harm
	b.Publish(change{"key", "a"})
	b.Reset()
	if len(c.heard) != 0 || c.resets != 0 {
		t.Fatal("heard a change after cancelling")
	}
	for range 3 * bus.MaxSubscribers {
		subscribe(t, b, c.subscriber())()
	}
}

func TestSubscribersAreBoundedAndComplete(t *testing.T) {
	b := bus.New[change](nil)
	for range bus.MaxSubscribers {
		subscribe(t, b, newCache().subscriber())
	}
	if _, err := b.Subscribe(newCache().subscriber()); !errors.Is(err, bus.ErrFull) {
		t.Fatalf("got %v", err)
	}
	for _, s := range []bus.Subscriber[change]{{Changed: func(change) {}}, {Reset: func() {}}} {
		if _, err := bus.New[change](nil).Subscribe(s); err == nil {
			t.Fatal("a subscriber with half of its functions was taken")
		}
	}
}

func TestSubscribersMayPublishAndSubscribeDuringDelivery(t *testing.T) {
	b := bus.New[change](nil)
	c := newCache("a", "b")
	subscribe(t, b, c.subscriber())
	subscribe(t, b, bus.Subscriber[change]{Reset: func() {}, Changed: func(v change) {
		if v.id == "a" {
			subscribe(t, b, newCache().subscriber())
			b.Publish(change{"key", "b"})
		}
	}})
	b.Publish(change{"key", "a"})
	if len(c.values) != 0 {
		t.Fatalf("left %v", c.values)
	}
}

func TestManyPublishersAndSubscribersAtOnceMissNothing(t *testing.T) {
	const publishers, each = 8, 500
	b := bus.New[change](&log{})
	var heard atomic.Int64
	subscribe(t, b, bus.Subscriber[change]{Changed: func(change) { heard.Add(1) }, Reset: func() {}})
	var all sync.WaitGroup
	for range publishers {
		all.Go(func() {
			for n := range each {
				if n%50 == 0 {
					cancel, err := b.Subscribe(newCache().subscriber())
					if err == nil {
						defer cancel()
					}
				}
				b.Publish(change{"key", "a"})
			}
		})
	}
	all.Wait()
	if heard.Load() != publishers*each {
		t.Fatalf("heard %d", heard.Load())
	}
}
