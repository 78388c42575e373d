package clusters

import (
	"context"
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/lookup"
)

const (
	// placementsKnown bounds the placements in memory.
	placementsKnown = 100_000
	// placementFresh is how old a placement in memory may be before it is read
	// again in the background: another replica may have moved the room off a cluster
	// that is down.
	placementFresh = 3 * time.Second
	// placementTries bounds how often a room is tried that other replicas assign at
	// the same time.
	placementTries = 5
)

// Placements say which cluster each room is on. A new room goes where
// Set.Choose says and stays there while the cluster is usable; the database
// makes all replicas agree, also when two assign a room at once. With one cluster
// nothing is stored.
type Placements struct {
	clusters *Set
	store    *database.Placements
	known    *lookup.Cache[models.RoomPlacement]
	now      func() time.Time
}

// NewPlacements assigns rooms to clusters.
func NewPlacements(clusters *Set, store *database.Placements, now func() time.Time) (*Placements, error) {
	known, err := lookup.New(lookup.Config[models.RoomPlacement]{Size: placementsKnown, Fresh: placementFresh, Now: now, Load: store.Get})
	return &Placements{clusters: clusters, store: store, known: known, now: now}, err
}

// Register offers how the cache of placements answered.
func (p *Placements) Register(registry prometheus.Registerer) {
	p.known.Register("placements", registry)
}

// For returns the cluster of a project's room and assigns one if it is new. until is
// when the token expires that it is for.
// unavailable if the database cannot say.
func (p *Placements) For(ctx context.Context, project *models.Project, name string, until time.Time) (*Member, error) {
	if all := p.clusters.All(); len(all) == 1 {
		return all[0], nil
	}
	region, room := project.Region, models.QualifyRoom(project.ID, name)
	until = until.Add(models.PlacementSpare)
	for range placementTries {
		placed, err := p.known.Get(ctx, room)
		if models.IsKind(err, models.KindNotFound) {
			if placed, err = p.assign(ctx, region, room, until); models.IsKind(err, models.KindConflict) {
				p.known.Drop(room)
				continue
			}
		}
		if err != nil {
			return nil, err
		}
		member := p.clusters.Named(placed.Cluster)
		if member != nil && member.Usable() {
			p.extend(ctx, &placed, until)
			return member, nil
		}
		other := p.clusters.Choose(region)
		if other == member || member != nil && !other.Usable() {
			return member, nil // nothing better is there
		}
		_, err = p.store.Move(ctx, room, placed.Cluster, other.Name, p.time(), until)
		p.known.Drop(room)
		switch {
		case err == nil:
			return other, nil
		case !models.IsKind(err, models.KindNotFound):
			return nil, err
		}
	}
	return nil, models.Unavailable(errors.New("livekit: other replicas assign the room at the same time"))
}

// Of returns the cluster a project's room is on, or the one it would be placed on;
// nothing is stored.
func (p *Placements) Of(ctx context.Context, project *models.Project, name string) (*Member, error) {
	if all := p.clusters.All(); len(all) == 1 {
		return all[0], nil
	}
	placed, err := p.known.Get(ctx, models.QualifyRoom(project.ID, name))
	if err == nil {
		if member := p.clusters.Named(placed.Cluster); member != nil {
			return member, nil
		}
	} else if !models.IsKind(err, models.KindNotFound) {
		return nil, err
	}
	return p.clusters.Choose(project.Region), nil
}

// Keep assigns a room that is on no cluster to one, and keeps it there until a time:
// what publishes into it, such as an ingress, is on that cluster.
func (p *Placements) Keep(ctx context.Context, project models.ProjectID, name, cluster string, until time.Time) error {
	if len(p.clusters.All()) == 1 {
		return nil
	}
	room := models.QualifyRoom(project, name)
	placed, err := p.known.Get(ctx, room)
	switch {
	case models.IsKind(err, models.KindNotFound):
		err = p.store.Insert(ctx, &models.RoomPlacement{ID: room, Cluster: cluster, PlacedAt: p.time(), ExpiresAt: until})
		p.known.Drop(room)
		if models.IsKind(err, models.KindConflict) {
			return nil // a token was minted at the same time
		}
	case err == nil && placed.Cluster == cluster:
		p.extend(ctx, &placed, until)
	}
	return err
}

func (p *Placements) assign(ctx context.Context, region, room string, until time.Time) (models.RoomPlacement, error) {
	now := p.time()
	placed := models.RoomPlacement{ID: room, Cluster: p.clusters.Choose(region).Name, PlacedAt: now, ExpiresAt: until}
	err := p.store.Insert(ctx, &placed)
	p.known.Drop(room)
	return placed, err
}

// extend keeps a placement until a time, unless it lasts about as long anyway. The
// next use tries again if it fails.
func (p *Placements) extend(ctx context.Context, placed *models.RoomPlacement, until time.Time) {
	if until.Sub(placed.ExpiresAt) < models.PlacementSpare/2 {
		return
	}
	if p.store.Extend(ctx, placed.ID, until) == nil {
		p.known.Drop(placed.ID)
	}
}

// Joined keeps the placement of a room, by its qualified name, that a participant
// joined at a time.
func (p *Placements) Joined(ctx context.Context, room string, at time.Time) error {
	if len(p.clusters.All()) == 1 {
		return nil
	}
	placed, err := p.known.Get(ctx, room)
	if models.IsKind(err, models.KindNotFound) {
		return nil
	}
	if err == nil {
		p.extend(ctx, &placed, at.Add(models.PlacementJoined))
	}
	return err
}

// Ended forgets the placement of a room that ended on the cluster of an API key.
func (p *Placements) Ended(ctx context.Context, key, room string, at time.Time) error {
	if len(p.clusters.All()) == 1 {
		return nil
	}
	member := p.clusters.OfKey(key)
	if member == nil {
		return nil
	}
	defer p.known.Drop(room)
	return p.store.Release(ctx, room, member.Name, at)
}

func (p *Placements) time() time.Time { return p.now().UTC().Truncate(time.Millisecond) }
