package database

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

const revocations = "revocations"

// revocationsCollection holds revoked tokens until they expire.
func revocationsCollection() Collection {
	at := time.Duration(0)
	return Collection{
		Name: revocations,
		Fields: []Field{
			{Name: "project_id", Kind: String}, {Name: "public_id", Kind: String}, {Name: "revoked_at", Kind: Time}, {Name: "expires_at", Kind: Time},
		},
		Indexes: []Index{
			{Keys: []string{"project_id", "public_id"}},
			{Keys: []string{"revoked_at", "_id"}},
			{Keys: []string{"expires_at"}, ExpireAfter: &at},
		},
	}
}

// Revocations is the repository of revocations.
type Revocations struct{ engine Engine }

// NewRevocations returns the repository over an engine.
func NewRevocations(e Engine) *Revocations { return &Revocations{e} }

// Put inserts or replaces a revocation.
func (r *Revocations) Put(ctx context.Context, v *models.Revocation) error {
	set, unset, err := replacement(v, "issued_until")
	if err != nil {
		return err
	}
	_, err = r.engine.Update(ctx, revocations, bson.D{{Key: "_id", Value: v.ID}},
		bson.D{{Key: "$set", Value: set}, {Key: "$unset", Value: unset}}, UpdateOptions{Upsert: true})
	return err
}

// Extend keeps a revocation in force until a time at least, and has Since read it
// again. One that was replaced since it was read stays as it is.
func (r *Revocations) Extend(ctx context.Context, v *models.Revocation, now, until time.Time) error {
	_, err := r.engine.Update(ctx, revocations, bson.D{{Key: "_id", Value: v.ID}, {Key: "revoked_at", Value: v.RevokedAt}}, bson.D{
		{Key: "$set", Value: bson.D{{Key: "revoked_at", Value: now}, {Key: "issued_until", Value: v.From()}}},
		{Key: "$max", Value: bson.D{{Key: "expires_at", Value: until}}},
	}, UpdateOptions{})
	return err
}

// Named reads the revocations that have one of up to MaxBatch ids.
func (r *Revocations) Named(ctx context.Context, ids []string) ([]models.Revocation, error) {
	return many[models.Revocation](ctx, r.engine, revocations, Query{
		Filter: bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}}, Limit: int64(len(ids)),
	})
}

// RevocationMark is where a reading of Since left off.
type RevocationMark struct {
	RevokedAt time.Time
	ID        string
}

// Since reads up to limit revocations of all tenants after a mark, the earliest
// first.
func (r *Revocations) Since(ctx context.Context, after RevocationMark, limit int64) ([]models.Revocation, error) {
	return many[models.Revocation](ctx, r.engine, revocations, Query{
		Filter: bson.D{
			{Key: "revoked_at", Value: bson.D{{Key: "$gte", Value: after.RevokedAt}}},
			{Key: "$or", Value: bson.A{
				bson.D{{Key: "revoked_at", Value: bson.D{{Key: "$gt", Value: after.RevokedAt}}}},
				bson.D{{Key: "_id", Value: bson.D{{Key: "$gt", Value: after.ID}}}},
			}},
		},
		Sort: bson.D{{Key: "revoked_at", Value: 1}, {Key: "_id", Value: 1}}, Limit: limit,
	})
}

// List reads a page, newest first, of the revocations of a project that are in
// force and were not lifted.
func (r *Revocations) List(ctx context.Context, p models.ProjectID, now time.Time, at Page) ([]models.Revocation, error) {
	id := bson.D{{Key: "$gt", Value: ""}}
	if at.After != "" {
		id = append(id, bson.E{Key: "$lt", Value: at.After})
	}
	return many[models.Revocation](ctx, r.engine, revocations, Query{
		Filter: bson.D{{Key: "project_id", Value: string(p)}, {Key: "public_id", Value: id},
			{Key: "expires_at", Value: bson.D{{Key: "$gt", Value: now}}}},
		Sort: bson.D{{Key: "public_id", Value: -1}}, Limit: int64(at.Limit),
	})
}

// Get reads one revocation of a project that is in force, or not_found.
func (r *Revocations) Get(ctx context.Context, p models.ProjectID, id models.RevocationID, now time.Time) (models.Revocation, error) {
	return one[models.Revocation](ctx, r.engine, revocations, Query{Filter: inForce(p, id, now)})
}

// Lift ends the ban of one revocation of a project and takes it off the list;
// not_found if it is not in force. Tokens from before it stay revoked.
func (r *Revocations) Lift(ctx context.Context, p models.ProjectID, id models.RevocationID, now time.Time) error {
	_, err := changed[models.Revocation](ctx, r.engine, revocations, inForce(p, id, now), bson.D{
		{Key: "$set", Value: bson.D{{Key: "banned_until", Value: now}}},
		{Key: "$unset", Value: bson.D{{Key: "public_id", Value: ""}}},
	})
	return err
}

func inForce(p models.ProjectID, id models.RevocationID, now time.Time) bson.D {
	return bson.D{{Key: "project_id", Value: string(p)}, {Key: "public_id", Value: string(id)},
		{Key: "expires_at", Value: bson.D{{Key: "$gt", Value: now}}}}
}
