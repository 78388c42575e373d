package database

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

const places = "quota_places"

// placesCollection holds the numbered slots of quotas. The unique ids and the
// unique index ensure one holder for a number and one number for a holder.
func placesCollection() Collection {
	at := time.Duration(0)
	return Collection{
		Name: places,
		Fields: []Field{
			{Name: "owner", Kind: String}, {Name: "quota", Kind: String}, {Name: "number", Kind: Int}, {Name: "holder", Kind: String}, {Name: "identity", Kind: String},
			{Name: "session", Kind: String}, {Name: "expires_at", Kind: Time}, {Name: "reserved_at", Kind: Time},
		},
		Indexes: []Index{
			{Keys: []string{"owner", "quota", "holder"}, Unique: true},
			{Keys: []string{"owner", "identity"}},
			{Keys: []string{"expires_at"}, ExpireAfter: &at},
		},
	}
}

// Places is the repository of slots.
type Places struct{ engine Engine }

// NewPlaces returns the repository over an engine.
func NewPlaces(e Engine) *Places { return &Places{e} }

func placesOf(owner string, q models.Quota) bson.D {
	return bson.D{{Key: "owner", Value: owner}, {Key: "quota", Value: string(q)}}
}

func placeOf(owner string, q models.Quota, holder string) bson.D {
	return append(placesOf(owner, q), bson.E{Key: "holder", Value: holder})
}

// Take stores a slot; conflict if its holder has one or its number is taken.
func (r *Places) Take(ctx context.Context, p *models.Place) error {
	return r.engine.Insert(ctx, places, p)
}

// Each calls each for the slots of a quota, expired ones included, up to limit.
// It reads them page by page, in order of their holders.
func (r *Places) Each(ctx context.Context, owner string, q models.Quota, limit int64, each func(models.Place) error) error {
	return pages(ctx, r.engine, places, placesOf(owner, q), "holder", limit,
		func(p *models.Place) string { return p.Holder }, each)
}

// Extend extends a holder's reservation to at least a time and returns it;
// not_found without one that is valid at now. shared means that another
// identity uses it too.
func (r *Places) Extend(ctx context.Context, owner string, q models.Quota, holder string, now, until time.Time, shared bool) (models.Place, error) {
	update := bson.D{{Key: "$max", Value: bson.D{{Key: "expires_at", Value: until}, {Key: "reserved_at", Value: now}}}}
	if shared {
		update = append(update, bson.E{Key: "$set", Value: bson.D{{Key: "identity", Value: ""}}})
	}
	return changed[models.Place](ctx, r.engine, places,
		append(placeOf(owner, q, holder), bson.E{Key: "expires_at", Value: bson.D{{Key: "$gt", Value: now}}}), update)
}

// Held reads a holder's slot, or not_found.
func (r *Places) Held(ctx context.Context, owner string, q models.Quota, holder string) (models.Place, error) {
	return one[models.Place](ctx, r.engine, places, Query{Filter: placeOf(owner, q, holder)})
}

// Numbered reads the slot with an id, or not_found.
func (r *Places) Numbered(ctx context.Context, id string) (models.Place, error) {
	return one[models.Place](ctx, r.engine, places, Query{Filter: bson.D{{Key: "_id", Value: id}}})
}

// Occupy assigns a holder's slot to a usage session that began at a time, and
// removes its expiry; not_found without a slot.
func (r *Places) Occupy(ctx context.Context, owner string, q models.Quota, holder, session string, joined time.Time) (models.Place, error) {
	return changed[models.Place](ctx, r.engine, places, placeOf(owner, q, holder), bson.D{
		{Key: "$set", Value: bson.D{{Key: "session", Value: session}, {Key: "joined_at", Value: joined}}},
		{Key: "$unset", Value: bson.D{{Key: "expires_at", Value: ""}}},
	})
}

// Pass deletes a holder's reservation made no later than a time: its
// participant has joined and left.
func (r *Places) Pass(ctx context.Context, owner string, q models.Quota, holder string, at time.Time) error {
	_, err := r.engine.Delete(ctx, places, append(placeOf(owner, q, holder), reserved(),
		bson.E{Key: "reserved_at", Value: bson.D{{Key: "$lte", Value: at}}}), 1)
	return err
}

// Vacate deletes a holder's slot if it belongs to that usage session.
func (r *Places) Vacate(ctx context.Context, owner string, q models.Quota, holder, session string) error {
	_, err := r.engine.Delete(ctx, places, append(placeOf(owner, q, holder), bson.E{Key: "session", Value: session}), 1)
	return err
}

// DropReserved deletes a holder's reservation if it is for that identity alone;
// a slot in use stays.
func (r *Places) DropReserved(ctx context.Context, owner string, q models.Quota, holder, identity string) error {
	filter := append(placeOf(owner, q, holder), reserved())
	if identity != "" {
		filter = append(filter, bson.E{Key: "identity", Value: identity})
	}
	_, err := r.engine.Delete(ctx, places, filter, 1)
	return err
}

// DropExpired deletes a slot if its reservation has expired.
func (r *Places) DropExpired(ctx context.Context, id string, now time.Time) error {
	_, err := r.engine.Delete(ctx, places, bson.D{
		{Key: "_id", Value: id}, {Key: "expires_at", Value: bson.D{{Key: "$lte", Value: now}}},
	}, 1)
	return err
}

// ReservedOf reads up to limit reservations of an identity.
func (r *Places) ReservedOf(ctx context.Context, owner, identity string, limit int64) ([]models.Place, error) {
	return many[models.Place](ctx, r.engine, places, Query{
		Filter: bson.D{{Key: "owner", Value: owner}, {Key: "identity", Value: identity}, reserved()}, Limit: limit,
	})
}

// reserved is the condition that no usage session has the slot yet.
func reserved() bson.E { return bson.E{Key: "session", Value: bson.D{{Key: "$exists", Value: false}}} }
