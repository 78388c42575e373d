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

// NewElections reads and writes leases through an engine.
func NewElections(e Engine) *Elections {
	start := time.Now()
	return &Elections{engine: e, since: func() time.Duration { return time.Since(start) }, watched: map[string]watchedLease{}}
}

// Acquire takes a lease for ttl, or extends it if owner has it already; false
// while another process keeps it alive.
func (r *Elections) Acquire(ctx context.Context, name, owner string, ttl time.Duration) (bool, error) {
	held, err := one[models.Lease](ctx, r.engine, leases, Query{Filter: bson.D{{Key: "_id", Value: name}}})
	if models.IsKind(err, models.KindNotFound) {
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
	return r.extend(ctx, bson.D{{Key: "_id", Value: name}, {Key: "holder", Value: held.Holder}, termOf(&held)}, owner, ttl)
}

// termOf asks for a lease as it was read; one of an older binary has no term.
func termOf(l *models.Lease) bson.E {
	if l.Term == 0 {
		return bson.E{Key: "term", Value: bson.D{{Key: "$exists", Value: false}}}
	}
	return bson.E{Key: "term", Value: l.Term}
}

// abandoned tells whether a lease of another process has stood still for its
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
	return r.extend(ctx, bson.D{{Key: "_id", Value: name}, {Key: "holder", Value: owner}}, owner, ttl)
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
	_, err := r.engine.Delete(ctx, leases, bson.D{{Key: "_id", Value: name}, {Key: "holder", Value: owner}}, 1)
	return err
}
