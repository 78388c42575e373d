package database

import (
	"context"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

// Elections stores which process leads a job; it implements worker.Lease.
//
// No two clocks are compared: a lease is a counter that its holder keeps
// raising. A process that wants it watches the counter on its own monotonic
// clock, and takes the lease over once the counter has stood still for the
// holder's time to live.
type Elections struct {
	engine Engine
	table  *LeaseTable
	since  func() time.Duration

	mu sync.Mutex
	// watched are the leases of other processes; there are as many as jobs.
	watched map[string]watchedLease
}

type watchedLease struct {
	holder string
	term   int64
	// at is when this term was first seen, by since.
	at time.Duration
}

// NewElections reads and writes leases through an engine, with a table of its own.
func NewElections(e Engine) *Elections { return NewLeaseTable(e).Elections() }

// Elections returns the elections that share the commands of a table.
func (t *LeaseTable) Elections() *Elections {
	return &Elections{engine: t.engine, table: t, since: t.since, watched: map[string]watchedLease{}}
}

// Acquire takes a lease for ttl, or extends it if owner has it already; false
// while another process keeps it alive.
func (r *Elections) Acquire(ctx context.Context, name, owner string, ttl time.Duration) (bool, error) {
	held, err := r.get(ctx, name)
	if models.IsKind(err, models.KindNotFound) {
		defer r.table.touched()
		err = r.engine.Insert(ctx, leases, &models.Lease{ID: name, Holder: owner, Term: 1, TTLMillis: ttl.Milliseconds(), ExpiresAt: time.Now().Add(ttl)})
		if models.IsKind(err, models.KindConflict) {
			return false, nil
		}
		return err == nil, err
	}
	if err != nil {
		return false, err
	}
	if held.Holder != owner && !r.abandoned(&held, ttl) {
		return false, nil
	}
	defer r.table.touched()
	return r.extend(ctx, bson.D{{Key: "_id", Value: name}, {Key: "holder", Value: held.Holder}, termOf(&held)}, owner, ttl)
}

// get reads a lease; not_found if it has no holder.
func (r *Elections) get(ctx context.Context, name string) (models.Lease, error) {
	if r.table.apart() {
		return one[models.Lease](ctx, r.engine, leases, Query{Filter: bson.D{{Key: "_id", Value: name}}})
	}
	all, err := r.table.list(ctx, name, electionsListed)
	for i := range all {
		if all[i].ID == name {
			return all[i], nil
		}
	}
	if err == nil {
		err = models.NotFound()
	}
	return models.Lease{}, err
}

// termOf asks for a lease as it was read; one of an older binary has no term.
func termOf(l *models.Lease) bson.E {
	if l.Term == 0 {
		return bson.E{Key: "term", Value: bson.D{{Key: "$exists", Value: false}}}
	}
	return bson.E{Key: "term", Value: l.Term}
}

// abandoned reports whether a lease of another process has stood still for its
// time to live, or for ttl where an older binary did not store it.
func (r *Elections) abandoned(held *models.Lease, ttl time.Duration) bool {
	if held.TTLMillis > 0 {
		ttl = time.Duration(held.TTLMillis) * time.Millisecond
	}
	now := r.since()
	r.mu.Lock()
	defer r.mu.Unlock()
	seen, known := r.watched[held.ID]
	if !known || seen.holder != held.Holder || seen.term != held.Term {
		r.watched[held.ID] = watchedLease{held.Holder, held.Term, now}
		return false
	}
	return now-seen.at >= ttl
}

// Renew extends a lease that owner has; false if it has it no more.
func (r *Elections) Renew(ctx context.Context, name, owner string, ttl time.Duration) (bool, error) {
	held, err := r.table.renew(ctx, []string{name}, owner, ttl, electionsGathered)
	return held[name], err
}

func (r *Elections) extend(ctx context.Context, filter bson.D, owner string, ttl time.Duration) (bool, error) {
	matched, err := r.engine.Update(ctx, leases, filter, bson.D{
		{Key: "$set", Value: bson.D{
			{Key: "holder", Value: owner}, {Key: "ttl_ms", Value: ttl.Milliseconds()},
			// Older binaries go by this time.
			{Key: "expires_at", Value: time.Now().Add(ttl)},
		}},
		{Key: "$inc", Value: bson.D{{Key: "term", Value: 1}}},
	}, UpdateOptions{})
	return matched > 0, err
}

// Release gives a lease back before it ends. That owner does not have it is no
// error.
func (r *Elections) Release(ctx context.Context, name, owner string) error {
	defer r.table.touched()
	_, err := r.engine.Delete(ctx, leases, bson.D{{Key: "_id", Value: name}, {Key: "holder", Value: owner}}, 1)
	return err
}
