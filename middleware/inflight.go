package middleware

import (
	"context"
	"sync"

	"github.com/gin-gonic/gin"
)

// Inflight counts the requests under way, so that a process that shuts down can
// keep listening, and report that it is not ready, until they are done. Its zero
// value is ready to use.
type Inflight struct {
	mu       sync.Mutex
	draining bool
	count    int
	done     chan struct{}
}

// Count counts a request while it is handled. Requests that start after Drain
// are served, but Drain does not wait for them.
func (f *Inflight) Count(c *gin.Context) {
	f.mu.Lock()
	counted := !f.draining
	if counted {
		f.count++
	}
	f.mu.Unlock()
	if counted {
		defer f.leave()
	}
	c.Next()
}

func (f *Inflight) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count--
	if f.draining && f.count == 0 {
		close(f.done)
	}
}

// Drain waits until the requests under way are done or ctx ends. It is called
// once.
func (f *Inflight) Drain(ctx context.Context) {
	f.mu.Lock()
	f.draining, f.done = true, make(chan struct{})
	if f.count == 0 {
		close(f.done)
	}
	f.mu.Unlock()
	select {
	case <-f.done:
	case <-ctx.Done():
	}
}
