package database

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

const placements = "room_placements"

// placementsCollection holds which cluster each room is on, by its qualified name.
func placementsCollection() Collection {
	at := time.Duration(0)
	return Collection{
		Name:    placements,
		Fields:  []Field{{Name: "cluster", Kind: String}, {Name: "placed_at", Kind: Time}, {Name: "expires_at", Kind: Time}},
		Indexes: []Index{{Keys: []string{"expires_at"}, ExpireAfter: &at}},
	}
}

// Placements is the repository of room placements. A room's id is its qualified
// name, which begins with the project's id.
type Placements struct{ engine Engine }

// NewPlacements returns the repository over an engine.
func NewPlacements(e Engine) *Placements { return &Placements{e} }

// Get reads the placement of a room, or not_found.
func (r *Placements) Get(ctx context.Context, room string) (models.RoomPlacement, error) {
	return one[models.RoomPlacement](ctx, r.engine, placements, Query{Filter: bson.D{{Key: "_id", Value: room}}})
}

// Insert stores the placement of a new room; conflict if it has one.
func (r *Placements) Insert(ctx context.Context, p *models.RoomPlacement) error {
	return r.engine.Insert(ctx, placements, p)
}

// Move puts a room on another cluster until a time; not_found if it is no longer on from.
func (r *Placements) Move(ctx context.Context, room, from, to string, at, until time.Time) (models.RoomPlacement, error) {
	return changed[models.RoomPlacement](ctx, r.engine, placements,
		bson.D{{Key: "_id", Value: room}, {Key: "cluster", Value: from}},
		fields{{Key: "cluster", Value: to}, {Key: "placed_at", Value: at}, {Key: "expires_at", Value: until}}.update())
}

// Extend keeps a placement until a time.
func (r *Placements) Extend(ctx context.Context, room string, until time.Time) error {
	_, err := r.engine.Update(ctx, placements, bson.D{{Key: "_id", Value: room}},
		bson.D{{Key: "$max", Value: bson.D{{Key: "expires_at", Value: until}}}}, UpdateOptions{})
	return err
}

// Release forgets the placement of a room that ended on a cluster, unless it was
// placed after that.
func (r *Placements) Release(ctx context.Context, room, cluster string, ended time.Time) error {
	_, err := r.engine.Delete(ctx, placements, bson.D{{Key: "_id", Value: room}, {Key: "cluster", Value: cluster},
		{Key: "placed_at", Value: bson.D{{Key: "$lte", Value: ended}}}}, 1)
	return err
}
