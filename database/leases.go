package database

import (
	"context"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

const leases = "leases"

// leasesCollection holds which replica runs which job.
func leasesCollection() Collection {
	return Collection{Name: leases, Fields: []Field{{Name: "holder", Kind: String}, {Name: "expires_at", Kind: Time}, {Name: "term", Kind: Int}}}
}

// maxLeases bounds the leases that are read: of all jobs, of all shares of them and
// of all processes that work on them. A longer list is an error: what is cut from it
// would look free. Versions that never forgot the leases of dead processes left one
// for each process and job, so there may be thousands until this one forgets them.
const maxLeases = 20_000

// Leases is the repository of leases that one process holds many of. As with
// Elections, no two clocks are compared: a lease is a counter that its holder
// raises, and its reader judges by its own clock for how long it stood still.
type Leases struct {
	engine Engine
	table  *LeaseTable
}

// NewLeases returns the repository over an engine, with a table of its own.
func NewLeases(e Engine) *Leases { return NewLeaseTable(e).Leases() }

// Leases returns the repository that shares the commands of a table.
func (t *LeaseTable) Leases() *Leases { return &Leases{t.engine, t} }

// List reads the leases whose ids begin with a prefix of ASCII letters, a moment
// ago at most.
func (r *Leases) List(ctx context.Context, prefix string) ([]models.Lease, error) {
	return r.table.list(ctx, prefix, sharesListed)
}

// All reads the leases of all jobs, in order of their names.
func (r *Leases) All(ctx context.Context) ([]models.Lease, error) { return r.table.read(ctx, "") }

// Renew raises those of up to MaxBatch leases that a holder still has, and tells
// how many there are.
func (r *Leases) Renew(ctx context.Context, ids []string, holder string, ttl time.Duration) (int64, error) {
	held, err := r.table.renew(ctx, ids, holder, ttl, sharesGathered)
	var n int64
	for _, id := range ids {
		if held[id] {
			n++
		}
	}
	return n, err
}

// Take gives a lease that was read to a holder, or one without a holder; false
// if it has changed since, or was taken.
func (r *Leases) Take(ctx context.Context, read *models.Lease, holder string, ttl time.Duration) (bool, error) {
	defer r.table.touched()
	if read.Holder == "" {
		err := r.engine.Insert(ctx, leases, &models.Lease{ID: read.ID, Holder: holder, Term: 1, TTLMillis: ttl.Milliseconds(), ExpiresAt: time.Now().Add(ttl)})
		if models.IsKind(err, models.KindConflict) {
			return false, nil
		}
		return err == nil, err
	}
	matched, err := r.engine.Update(ctx, leases, bson.D{
		{Key: "_id", Value: read.ID}, {Key: "holder", Value: read.Holder}, termOf(read),
	}, taken(holder, ttl), UpdateOptions{})
	return matched > 0, err
}

func taken(holder string, ttl time.Duration) bson.D {
	return bson.D{
		{Key: "$set", Value: bson.D{
			{Key: "holder", Value: holder}, {Key: "ttl_ms", Value: ttl.Milliseconds()},
			// Older binaries go by this time.
			{Key: "expires_at", Value: time.Now().Add(ttl)},
		}},
		{Key: "$inc", Value: bson.D{{Key: "term", Value: int64(1)}}},
	}
}

// Forget deletes a lease of another process as it was read; one that was renewed
// or taken since stays.
func (r *Leases) Forget(ctx context.Context, read *models.Lease) error {
	defer r.table.touched()
	_, err := r.engine.Delete(ctx, leases, bson.D{{Key: "_id", Value: read.ID}, {Key: "holder", Value: read.Holder}, termOf(read)}, 1)
	return err
}

// Release gives up to MaxBatch leases back before they end. Those that holder
// does not have stay.
func (r *Leases) Release(ctx context.Context, ids []string, holder string) error {
	defer r.table.touched()
	_, err := r.engine.Delete(ctx, leases, bson.D{
		{Key: "_id", Value: bson.D{{Key: "$in", Value: ids}}}, {Key: "holder", Value: holder},
	}, 0)
	return err
}
