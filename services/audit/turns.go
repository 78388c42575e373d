package audit

import (
	"context"
	"sync"

	"pulse-control-plane/models"
)

// turns let the changes of an object in this process wait for each other. Changes of
// different objects never wait for each other: these may be different tenants'.
type turns struct {
	mu sync.Mutex
	// of are the objects that somebody changes or waits for.
	of map[string]*turn
}

// turn is the lock of an object. free contains a value while nobody has it; users are
// who has it or waits for it.
type turn struct {
	free  chan struct{}
	users int
}

// take waits until nobody in this process changes an object; unavailable if ctx ends
// before.
func (t *turns) take(ctx context.Context, object string) (leave func(), err error) {
	one := t.join(object)
	select {
	case <-one.free:
		return func() {
			one.free <- struct{}{}
			t.quit(object, one)
		}, nil
	case <-ctx.Done():
		t.quit(object, one)
		return nil, models.Unavailable(ctx.Err())
	}
}

func (t *turns) join(object string) *turn {
	t.mu.Lock()
	defer t.mu.Unlock()
	one := t.of[object]
	if one == nil {
		one = &turn{free: make(chan struct{}, 1)}
		one.free <- struct{}{}
		t.of[object] = one
	}
	one.users++
	return one
}

func (t *turns) quit(object string, one *turn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if one.users--; one.users == 0 {
		delete(t.of, object)
	}
}
