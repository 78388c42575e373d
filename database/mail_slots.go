package database

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

const mailSlots = "mail_slots"

// mailSlotsCollection holds the mails that count against a limit, until they
// count no more.
func mailSlotsCollection() Collection {
	at := time.Duration(0)
	return Collection{
		Name:    mailSlots,
		Fields:  []Field{{Name: "expires_at", Kind: Time}},
		Indexes: []Index{{Keys: []string{"expires_at"}, ExpireAfter: &at}},
	}
}

// MailSlots is the repository of mail slots. Their ids name whom they limit,
// which is therefore part of every filter.
type MailSlots struct{ engine Engine }

// NewMailSlots returns the repository over an engine.
func NewMailSlots(e Engine) *MailSlots { return &MailSlots{e} }

// Of reads those of up to MaxBatch slots that are taken, or were.
func (r *MailSlots) Of(ctx context.Context, ids []string) ([]models.MailSlot, error) {
	return many[models.MailSlot](ctx, r.engine, mailSlots, Query{
		Filter: bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}}, Limit: int64(len(ids)),
	})
}

// Take takes a slot that is free at a time; conflict if it is taken. One that is
// taken until after latest is free: the clock was ahead.
func (r *MailSlots) Take(ctx context.Context, slot models.MailSlot, now, latest time.Time) error {
	_, err := changed[models.MailSlot](ctx, r.engine, mailSlots, bson.D{
		{Key: "_id", Value: slot.ID}, {Key: "$or", Value: bson.A{
			bson.D{{Key: "expires_at", Value: bson.D{{Key: "$lte", Value: now}}}},
			bson.D{{Key: "expires_at", Value: bson.D{{Key: "$gt", Value: latest}}}},
		}},
	}, fields{{Key: "expires_at", Value: slot.ExpiresAt}}.update())
	if !models.IsKind(err, models.KindNotFound) {
		return err
	}
	return r.engine.Insert(ctx, mailSlots, &slot)
}

// Free frees slots, of mails that were not sent.
func (r *MailSlots) Free(ctx context.Context, ids []string) error {
	_, err := r.engine.Delete(ctx, mailSlots, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}}, 0)
	return err
}
