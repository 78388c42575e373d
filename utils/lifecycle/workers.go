package lifecycle

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// crew holds the workers that have not returned yet.
type crew struct {
	mu      sync.Mutex
	running map[int]string // names, by the order of registration
	gone    chan struct{}  // closed when the last has returned
}

// startWorkers runs every worker in a goroutine and reports errors that come
// before ctx ends.
func (l *Life) startWorkers(ctx context.Context, failed chan<- error) *crew {
	c := &crew{running: map[int]string{}, gone: make(chan struct{})}
	for i, w := range l.workers {
		c.running[i] = w.name
	}
	if len(l.workers) == 0 {
		close(c.gone)
	}
	for i, w := range l.workers {
		go func() {
			// Sent before the worker counts as gone, so that Run receives it.
			if err := w.guarded(ctx); err != nil && ctx.Err() == nil {
				failed <- err
			}
			c.left(i)
		}()
	}
	return c
}

func (c *crew) left(i int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if delete(c.running, i); len(c.running) == 0 {
		close(c.gone)
	}
}

// wait waits for the workers to return; its error names those that did not.
func (c *crew) wait(most time.Duration) error {
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-c.gone:
		return nil
	case <-timer.C:
		c.mu.Lock()
		defer c.mu.Unlock()
		return fmt.Errorf("workers still running after %s: %s", most, strings.Join(slices.Sorted(maps.Values(c.running)), ", "))
	}
}
