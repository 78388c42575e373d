package clusters

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"

	"pulse-control-plane/services/livekit"
)

// Calls are what evictions ask of a cluster, or of all of them at once.
type Calls struct {
	clusters *Set
	key      string
}

// NewCalls calls all of these clusters.
func NewCalls(c *Set) *Calls { return &Calls{clusters: c} }

// Of calls the cluster that has an API key. If none has it any more, it calls all
// of them: the name or id decides which one acts.
func (c *Calls) Of(key string) *Calls { return &Calls{c.clusters, key} }

// Ping answers nil if the default cluster is there and trusts Pulse's key.
func (c *Calls) Ping(ctx context.Context) error { return c.clusters.Default().Client.Ping(ctx) }

// RemoveParticipant makes a participant leave a room, by its qualified name.
func (c *Calls) RemoveParticipant(ctx context.Context, room, identity string) error {
	return c.each(func(l *livekit.Client) error { return l.RemoveParticipant(ctx, room, identity) })
}

// EndRoom closes a room, by its qualified name.
func (c *Calls) EndRoom(ctx context.Context, room string) error {
	return c.each(func(l *livekit.Client) error { return l.EndRoom(ctx, room) })
}

// StopEgress stops an egress.
func (c *Calls) StopEgress(ctx context.Context, id string) error {
	return c.each(func(l *livekit.Client) error { return l.StopEgress(ctx, id) })
}

// each does something on every cluster called, also where it failed on another.
func (c *Calls) each(do func(*livekit.Client) error) error {
	members := c.clusters.All()
	if m := c.clusters.OfKey(c.key); m != nil {
		members = []*Member{m}
	}
	failed := make([]error, len(members))
	var all errgroup.Group
	for i, m := range members {
		all.Go(func() error {
			if err := do(m.Client); err != nil {
				failed[i] = fmt.Errorf("cluster %s: %w", m.Name, err)
			}
			return nil
		})
	}
	_ = all.Wait()
	return errors.Join(failed...)
}
