package composition

import (
	"context"
	"strings"

	"pulse-control-plane/services/clusters"
	"pulse-control-plane/services/evictions"
	"pulse-control-plane/services/livekit"
	"pulse-control-plane/services/media"
	"pulse-control-plane/services/metering"
	"pulse-control-plane/services/status"
)

// asked is what evictions and the status ask of a cluster.
type asked interface {
	evictions.Cluster
	Ping(ctx context.Context) error
}

// calls gives the cluster of an API key, or all of them as one if none has it.
func (b *builder) calls(key string) asked {
	if b.Calls != nil {
		return b.Calls
	}
	return clusters.NewCalls(b.out.Clusters).Of(key)
}

// evictionsOn gives that to evictions.
func (b *builder) evictionsOn(key string) evictions.Cluster { return b.calls(key) }

// compared are the clusters that reconciliation reads.
func (b *builder) compared() []metering.Cluster {
	members := b.out.Clusters.All()
	out := make([]metering.Cluster, 0, len(members))
	for _, m := range members {
		c := metering.Cluster{Name: m.Name, Keys: m.KeyIDs(), Lists: living{m.Client, b.out.Egresses}}
		if b.Calls != nil {
			c.Lists = living{b.Calls, b.out.Egresses}
		}
		out = append(out, c)
	}
	return out
}

// living are a cluster's lists without the egresses whose workers died: LiveKit lists
// those as active forever.
type living struct {
	metering.Lists
	records *media.Egresses
}

// Egresses lists the active egresses.
func (l living) Egresses(ctx context.Context) ([]livekit.Media, error) {
	list, err := l.Lists.Egresses(ctx)
	if err != nil {
		return nil, err
	}
	return l.records.Living(ctx, list)
}

// eventsCome is the probe of LiveKit's events: none is dead, and no cluster lists
// people without an event.
func (b *builder) eventsCome(ctx context.Context) error {
	if err := b.out.Inbox.Check(ctx); err != nil {
		return err
	}
	silent, err := b.out.Reconciliation.Silent(ctx, 2*b.ReconcileInterval)
	if err != nil || len(silent) == 0 {
		return err
	}
	return status.Impaired("LiveKit lists people of whom no event has come, on: " + strings.Join(silent, ", ") +
		". Set webhook.urls in LiveKit's configuration to this installation's /v1/webhooks/livekit.")
}
