package database

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

const slots = "slots"

// slotsCollection holds the numbered slots of quotas. The unique ids and the
// unique index ensure one holder for a number and one number for a holder.
func slotsCollection() Collection {
	at := time.Duration(0)
	return Collection{
		Name: slots,
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

// Slots is the repository of slots.
type Slots struct{ engine Engine }

// NewSlots returns the repository over an engine.
func NewSlots(e Engine) *Slots { return &Slots{e} }

func slotsOf(owner string, q models.Quota) bson.D {
	return bson.D{{Key: "owner", Value: owner}, {Key: "quota", Value: string(q)}}
}

func slotOf(owner string, q models.Quota, holder string) bson.D {
	return append(slotsOf(owner, q), bson.E{Key: "holder", Value: holder})
}

// Take stores a slot; conflict if its holder has one or its number is taken.
func (r *Slots) Take(ctx context.Context, p *models.Slot) error {
	return r.engine.Insert(ctx, slots, p)
}

// Each calls each for the slots of a quota, expired ones included, up to limit.
// It reads them page by page, in order of their holders.
func (r *Slots) Each(ctx context.Context, owner string, q models.Quota, limit int64, each func(models.Slot) error) error {
	return pages(ctx, r.engine, slots, slotsOf(owner, q), "holder", limit,
		func(s *models.Slot) string { return s.Holder }, each)
}

// Extend extends a holder's reservation to at least a time and returns it;
// not_found without one that is valid at now. shared means that another
// identity uses it too, vouched that not only a key alone asked for it.
func (r *Slots) Extend(ctx context.Context, owner string, q models.Quota, holder string, now, until time.Time, shared, vouched bool) (models.Slot, error) {
	update := bson.D{{Key: "$max", Value: bson.D{{Key: "expires_at", Value: until}, {Key: "reserved_at", Value: now}}}}
	if shared {
		update = append(update, bson.E{Key: "$set", Value: bson.D{{Key: "identity", Value: ""}}})
	}
	if vouched {
		update = append(update, bson.E{Key: "$unset", Value: bson.D{{Key: "client", Value: ""}}})
	}
	return changed[models.Slot](ctx, r.engine, slots,
		append(slotOf(owner, q, holder), bson.E{Key: "expires_at", Value: bson.D{{Key: "$gt", Value: now}}}), update)
}

// Held reads a holder's slot, or not_found.
func (r *Slots) Held(ctx context.Context, owner string, q models.Quota, holder string) (models.Slot, error) {
	return one[models.Slot](ctx, r.engine, slots, Query{Filter: slotOf(owner, q, holder)})
}

// Numbered reads the slot with an id, or not_found.
func (r *Slots) Numbered(ctx context.Context, id string) (models.Slot, error) {
	return one[models.Slot](ctx, r.engine, slots, Query{Filter: bson.D{{Key: "_id", Value: id}}})
}

// Assign assigns a holder's slot to a usage session that began at a time, and
// removes its expiry; not_found without a slot.
func (r *Slots) Assign(ctx context.Context, owner string, q models.Quota, holder, session string, joined time.Time) (models.Slot, error) {
	return changed[models.Slot](ctx, r.engine, slots, slotOf(owner, q, holder), bson.D{
		{Key: "$set", Value: bson.D{{Key: "session", Value: session}, {Key: "joined_at", Value: joined}}},
		{Key: "$unset", Value: bson.D{{Key: "expires_at", Value: ""}}},
	})
}

// Pass deletes a holder's reservation made no later than a time: its
// participant has joined and left.
func (r *Slots) Pass(ctx context.Context, owner string, q models.Quota, holder string, at time.Time) error {
	_, err := r.engine.Delete(ctx, slots, append(slotOf(owner, q, holder), reserved(),
		bson.E{Key: "reserved_at", Value: bson.D{{Key: "$lte", Value: at}}}), 1)
	return err
}

// Vacate deletes a holder's slot if it belongs to that usage session.
func (r *Slots) Vacate(ctx context.Context, owner string, q models.Quota, holder, session string) error {
	_, err := r.engine.Delete(ctx, slots, append(slotOf(owner, q, holder), bson.E{Key: "session", Value: session}), 1)
	return err
}

// DropReserved deletes a holder's reservation if it is for that identity alone;
// a slot in use stays.
func (r *Slots) DropReserved(ctx context.Context, owner string, q models.Quota, holder, identity string) error {
	filter := append(slotOf(owner, q, holder), reserved())
	if identity != "" {
		filter = append(filter, bson.E{Key: "identity", Value: identity})
	}
	_, err := r.engine.Delete(ctx, slots, filter, 1)
	return err
}

// DropExpired deletes a slot if its reservation has expired.
func (r *Slots) DropExpired(ctx context.Context, id string, now time.Time) error {
	_, err := r.engine.Delete(ctx, slots, bson.D{
		{Key: "_id", Value: id}, {Key: "expires_at", Value: bson.D{{Key: "$lte", Value: now}}},
	}, 1)
	return err
}

// ReservedOf reads up to limit reservations of an identity.
func (r *Slots) ReservedOf(ctx context.Context, owner, identity string, limit int64) ([]models.Slot, error) {
	return many[models.Slot](ctx, r.engine, slots, Query{
		Filter: bson.D{{Key: "owner", Value: owner}, {Key: "identity", Value: identity}, reserved()}, Limit: limit,
	})
}

// reserved is the condition that no usage session has the slot yet.
func reserved() bson.E { return bson.E{Key: "session", Value: bson.D{{Key: "$exists", Value: false}}} }
