package database

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

const invitations = "invitations"

// keepInvitations is how long an invitation is kept after it expires.
const keepInvitations = 90 * 24 * time.Hour

// invitationsCollection holds the invitations into organizations.
func invitationsCollection() Collection {
	keep := keepInvitations
	return Collection{
		Name: invitations,
		Fields: []Field{
			{Name: "org_id", Kind: String}, {Name: "token_hash", Kind: String}, {Name: "pending_key", Kind: String}, {Name: "expires_at", Kind: Time},
		},
		Indexes: []Index{
			{Keys: []string{"token_hash"}, Unique: true},
			{Keys: []string{"pending_key"}, Unique: true, Partial: true, ConflictCode: "invitation_pending",
				ConflictMessage: "An invitation for this email address is pending already."},
			{Keys: []string{"org_id", "_id"}},
			{Keys: []string{"expires_at"}, ExpireAfter: &keep},
		},
	}
}

// Invitations is the repository of invitations.
type Invitations struct{ engine Engine }

// NewInvitations returns the repository over an engine.
func NewInvitations(e Engine) *Invitations { return &Invitations{e} }

// pending is the filter of invitations that can be accepted.
func pending(now time.Time) bson.D {
	return bson.D{
		{Key: "pending_key", Value: bson.D{{Key: "$exists", Value: true}}},
		{Key: "expires_at", Value: bson.D{{Key: "$gt", Value: now}}},
	}
}

// Insert stores a new invitation; conflict invitation_pending if its address
// has a pending one.
func (r *Invitations) Insert(ctx context.Context, i *models.Invitation) error {
	return insertOnce(ctx, r.engine, invitations, i, string(i.ID))
}

// ByToken reads the pending invitation with a token hash, of any tenant, or
// not_found.
func (r *Invitations) ByToken(ctx context.Context, hash string, now time.Time) (models.Invitation, error) {
	return one[models.Invitation](ctx, r.engine, invitations, Query{
		Filter: append(pending(now), bson.E{Key: "token_hash", Value: hash}),
	})
}

// Get reads one invitation of an organization, also one that is closed, or
// not_found.
func (r *Invitations) Get(ctx context.Context, org models.OrganizationID, id models.InvitationID) (models.Invitation, error) {
	return one[models.Invitation](ctx, r.engine, invitations, Query{
		Filter: bson.D{{Key: "_id", Value: string(id)}, {Key: "org_id", Value: string(org)}},
	})
}

// AcceptedBy reads the invitation with a token hash, of any tenant, that a user
// accepted, or not_found.
func (r *Invitations) AcceptedBy(ctx context.Context, hash string, user models.UserID) (models.Invitation, error) {
	found, err := one[models.Invitation](ctx, r.engine, invitations, Query{Filter: bson.D{{Key: "token_hash", Value: hash}}})
	if err == nil && found.AcceptedBy != user {
		return models.Invitation{}, models.NotFound()
	}
	return found, err
}

// List reads a page of the pending invitations of an organization.
func (r *Invitations) List(ctx context.Context, org models.OrganizationID, now time.Time, p Page) ([]models.Invitation, error) {
	return page[models.Invitation](ctx, r.engine, invitations,
		append(pending(now), bson.E{Key: "org_id", Value: string(org)}), p)
}

// CountPending counts the pending invitations of an organization, up to limit.
func (r *Invitations) CountPending(ctx context.Context, org models.OrganizationID, now time.Time, limit int64) (int64, error) {
	return r.engine.Count(ctx, invitations, append(pending(now), bson.E{Key: "org_id", Value: string(org)}), limit)
}

// Accept closes a pending invitation for the user that will be made, once;
// otherwise not_found.
func (r *Invitations) Accept(ctx context.Context, id models.InvitationID, user models.UserID, now time.Time) (models.Invitation, error) {
	return changed[models.Invitation](ctx, r.engine, invitations,
		append(pending(now), bson.E{Key: "_id", Value: string(id)}), bson.D{
			{Key: "$set", Value: bson.D{{Key: "accepted_at", Value: now}, {Key: "accepted_by", Value: string(user)}}},
			{Key: "$unset", Value: bson.D{{Key: "pending_key", Value: ""}}},
		})
}

// Reopen undoes Accept after a failed acceptance; conflict invitation_pending
// if the address has a newer invitation.
func (r *Invitations) Reopen(ctx context.Context, id models.InvitationID, key string) error {
	_, err := r.engine.Update(ctx, invitations, bson.D{{Key: "_id", Value: string(id)}}, bson.D{
		{Key: "$set", Value: bson.D{{Key: "pending_key", Value: key}}},
		{Key: "$unset", Value: bson.D{{Key: "accepted_at", Value: ""}, {Key: "accepted_by", Value: ""}}},
	}, UpdateOptions{})
	return err
}

// Revoke closes one pending invitation of an organization, or not_found.
func (r *Invitations) Revoke(ctx context.Context, org models.OrganizationID, id models.InvitationID, now time.Time) error {
	_, err := changed[models.Invitation](ctx, r.engine, invitations, append(pending(now),
		bson.E{Key: "_id", Value: string(id)}, bson.E{Key: "org_id", Value: string(org)}), closed())
	return err
}

// Replace closes the pending invitation of an address, if any.
func (r *Invitations) Replace(ctx context.Context, key string) error {
	_, err := r.engine.Update(ctx, invitations, bson.D{{Key: "pending_key", Value: key}}, closed(), UpdateOptions{})
	return err
}

func closed() bson.D {
	return bson.D{{Key: "$unset", Value: bson.D{{Key: "pending_key", Value: ""}}}}
}
