package database

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

const rooms = "rooms"

// roomsCollection holds the tags of rooms, by their qualified names.
func roomsCollection() Collection {
	at := time.Duration(0)
	return Collection{
		Name:    rooms,
		Fields:  []Field{{Name: "expires_at", Kind: Time}},
		Indexes: []Index{{Keys: []string{"expires_at"}, ExpireAfter: &at}},
	}
}

// Rooms is the repository of rooms. A room's id is its qualified name, which begins
// with the project's id.
type Rooms struct{ engine Engine }

// NewRooms returns the repository over an engine.
func NewRooms(e Engine) *Rooms { return &Rooms{e} }

// Put stores a room and replaces an earlier one of that name.
func (r *Rooms) Put(ctx context.Context, room *models.Room) error {
	_, err := r.engine.Update(ctx, rooms, bson.D{{Key: "_id", Value: room.ID}}, fields{
		{Key: "sid", Value: room.SID}, {Key: "tags", Value: room.Tags}, {Key: "intent", Value: room.Intent}, {Key: "expires_at", Value: room.ExpiresAt},
	}.update(), UpdateOptions{Upsert: true})
	return err
}

// Named reads up to 100 rooms of a project by their qualified names.
func (r *Rooms) Named(ctx context.Context, names []string) ([]models.Room, error) {
	if len(names) == 0 {
		return nil, nil
	}
	return many[models.Room](ctx, r.engine, rooms, Query{
		Filter: bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: names}}}}, Limit: int64(len(names))})
}
