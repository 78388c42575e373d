package middleware

import (
	"context"
	"sync"

	"github.com/gin-gonic/gin"
)

// Inflight counts running requests, so that a process that shuts down can keep
// listening, and report that it is not ready, until they end. Its zero value is
// ready to use.
type Inflight struct {
	mu       sync.Mutex
	draining bool
	count    int
	done     chan struct{}
}

// Count counts a request while it is handled. A request that arrives after Drain
// is served and not waited for.
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

// Drain waits until the running requests end or ctx does. Call it once.
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
