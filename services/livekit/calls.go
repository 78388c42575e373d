package livekit

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"pulse-control-plane/models"
)

// Calls asks all clusters at once, for what is not bound to one of them: what is
// listed for reconciliation, and evictions. A list fails if one cluster's does, so
// that nothing of a cluster that is away is taken for gone.
type Calls struct{ clusters *Clusters }

// NewCalls calls these clusters.
func NewCalls(c *Clusters) *Calls { return &Calls{c} }

// Ping answers nil if the default cluster is there and trusts Pulse's key.
func (c *Calls) Ping(ctx context.Context) error { return c.clusters.Default().Client.Ping(ctx) }

// Rooms lists the rooms of every cluster.
func (c *Calls) Rooms(ctx context.Context) ([]Room, error) {
	return gather(ctx, c, func(ctx context.Context, l *Client) ([]Room, error) { return l.Rooms(ctx) })
}

// Participants lists the participants of a room, on whichever cluster it is.
func (c *Calls) Participants(ctx context.Context, room string) (active []models.EventParticipant, joining []string, err error) {
	type found struct {
		active  []models.EventParticipant
		joining []string
	}
	all, err := gather(ctx, c, func(ctx context.Context, l *Client) ([]found, error) {
		active, joining, err := l.Participants(ctx, room)
		return []found{{active, joining}}, err
	})
	for _, f := range all {
		active, joining = append(active, f.active...), append(joining, f.joining...)
	}
	return active, joining, err
}

// Egresses lists the running egresses of every cluster.
func (c *Calls) Egresses(ctx context.Context) ([]Media, error) {
	return gather(ctx, c, func(ctx context.Context, l *Client) ([]Media, error) { return l.Egresses(ctx) })
}

// Ingresses lists the publishing ingresses of every cluster.
func (c *Calls) Ingresses(ctx context.Context) ([]Media, error) {
	return gather(ctx, c, func(ctx context.Context, l *Client) ([]Media, error) { return l.Ingresses(ctx) })
}

// RemoveParticipant makes a participant leave a room on every cluster that has it.
func (c *Calls) RemoveParticipant(ctx context.Context, room, identity string) error {
	return c.each(func(l *Client) error { return l.RemoveParticipant(ctx, room, identity) })
}

// EndRoom closes a room on every cluster that has it.
func (c *Calls) EndRoom(ctx context.Context, room string) error {
	return c.each(func(l *Client) error { return l.EndRoom(ctx, room) })
}

// StopEgress stops an egress on the cluster that has it.
func (c *Calls) StopEgress(ctx context.Context, id string) error {
	return c.each(func(l *Client) error { return l.StopEgress(ctx, id) })
}

// each does something on every cluster, also where it failed on another.
func (c *Calls) each(do func(*Client) error) error {
	members := c.clusters.All()
	failed := make([]error, len(members))
	var all errgroup.Group
	for i, m := range members {
		all.Go(func() error {
			failed[i] = do(m.Client)
			return nil
		})
	}
	_ = all.Wait()
	return errors.Join(failed...)
}

// gather joins the lists of every cluster; the first error ends it.
func gather[T any](ctx context.Context, c *Calls, list func(context.Context, *Client) ([]T, error)) ([]T, error) {
	members := c.clusters.All()
	lists := make([][]T, len(members))
	group, ctx := errgroup.WithContext(ctx)
	for i, m := range members {
		group.Go(func() (err error) {
			lists[i], err = list(ctx, m.Client)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	var out []T
	for _, l := range lists {
		out = append(out, l...)
	}
	return out, nil
}
