package database

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

const (
	// sharesGathered and electionsGathered are how long a renewal waits for others
	// to share its command: those of shards come every second, and those of
	// elections go with them, if they come electionsMargin late at most. After a
	// renewal that failed, none waits.
	sharesGathered    = 50 * time.Millisecond
	electionsMargin   = 150 * time.Millisecond
	electionsGathered = time.Second + electionsMargin
	// sharesListed and electionsListed are how old a list of leases may be.
	sharesListed    = 300 * time.Millisecond
	electionsListed = time.Second
	// leaseTimeout bounds a command that several callers wait for.
	leaseTimeout = 2 * time.Second
)

// LeaseTable is the collection of leases as one process uses it. Where other
// processes use it too, reads and renewals of all jobs share commands: one of
// each a second, however many jobs there are.
type LeaseTable struct {
	engine Engine
	since  func() time.Duration

	mu sync.Mutex
	// renewing are the renewals that wait for others.
	renewing *renewals
	listed   *leaseList
	// failed is true if the last renewal got no answer.
	failed bool
	// changed counts what this process changed, so that no older list is kept.
	changed int64
}

// renewals are those of one command, known once done is closed.
type renewals struct {
	holder string
	ids    []string
	ttl    time.Duration
	sooner chan time.Duration
	done   chan struct{}
	held   map[string]bool
	err    error
}

// leaseList is what one read found, once done is closed.
type leaseList struct {
	at      time.Duration
	changed int64
	done    chan struct{}
	all     []models.Lease
	err     error
}

// NewLeaseTable returns the table of a process; one is enough for all its jobs.
func NewLeaseTable(e Engine) *LeaseTable {
	start := time.Now()
	return &LeaseTable{engine: e, since: func() time.Duration { return time.Since(start) }}
}

// apart reports whether every command is sent by itself: there is no other process.
func (t *LeaseTable) apart() bool { return t.engine.Exclusive() }

// list reads the leases whose ids begin with a prefix, at most maxAge ago.
func (t *LeaseTable) list(ctx context.Context, prefix string, maxAge time.Duration) ([]models.Lease, error) {
	if t.apart() {
		return t.read(ctx, prefix)
	}
	t.mu.Lock()
	l := t.listed
	if l == nil || l.changed != t.changed || t.since()-l.at > maxAge {
		l = &leaseList{at: t.since(), changed: t.changed, done: make(chan struct{})}
		t.listed = l
		go func() {
			defer close(l.done)
			shared, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaseTimeout)
			defer cancel()
			if l.all, l.err = t.read(shared, ""); l.err != nil {
				t.forget(l)
			}
		}()
	}
	t.mu.Unlock()
	select {
	case <-l.done:
	case <-ctx.Done():
		return nil, models.Unavailable(ctx.Err())
	}
	var out []models.Lease
	for i := range l.all {
		if strings.HasPrefix(l.all[i].ID, prefix) {
			out = append(out, l.all[i])
		}
	}
	return out, l.err
}

// read asks the database for the leases whose ids begin with a prefix; internal if
// there are maxLeases or more.
func (t *LeaseTable) read(ctx context.Context, prefix string) ([]models.Lease, error) {
	among := bson.D{{Key: "$gt", Value: ""}}
	if prefix != "" {
		among = bson.D{{Key: "$gte", Value: prefix}, {Key: "$lt", Value: prefix + "~"}}
	}
	out, err := many[models.Lease](ctx, t.engine, leases, Query{
		Filter: bson.D{{Key: "_id", Value: among}}, Sort: bson.D{{Key: "_id", Value: 1}}, Limit: maxLeases,
	})
	if err == nil && len(out) == maxLeases {
		return nil, models.Internal(fmt.Errorf("%d leases or more are stored; at most %d can be read", maxLeases, maxLeases-1))
	}
	return out, err
}

func (t *LeaseTable) forget(l *leaseList) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.listed == l {
		t.listed = nil
	}
}

// touched has the next list read anew: this process changed who has a lease.
func (t *LeaseTable) touched() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.changed++
}

// renew raises those of some leases that a holder still has, within a time, and
// tells which of all that were raised together it has.
func (t *LeaseTable) renew(ctx context.Context, ids []string, holder string, ttl, within time.Duration) (map[string]bool, error) {
	if t.apart() {
		r := &renewals{holder: holder, ids: ids, ttl: ttl}
		t.raise(ctx, r)
		return r.held, r.err
	}
	t.mu.Lock()
	r := t.renewing
	if r == nil || r.holder != holder {
		r = &renewals{holder: holder, sooner: make(chan time.Duration, 1), done: make(chan struct{})}
		t.renewing = r
		go t.gather(context.WithoutCancel(ctx), r)
	}
	r.ids, r.ttl = append(r.ids, ids...), max(r.ttl, ttl)
	if t.failed { // the leases have little time left
		within = 0
	}
	select { // the soonest that waits
	case other := <-r.sooner:
		r.sooner <- min(other, t.since()+within)
	default:
		r.sooner <- t.since() + within
	}
	t.mu.Unlock()
	select {
	case <-r.done:
		return r.held, r.err
	case <-ctx.Done():
		return nil, models.Unavailable(ctx.Err())
	}
}

// gather waits until the first of some renewals is due and sends all.
func (t *LeaseTable) gather(ctx context.Context, r *renewals) {
	defer close(r.done)
	due := <-r.sooner
	timer := time.NewTimer(due - t.since())
	defer timer.Stop()
	for waiting := true; waiting; {
		select {
		case next := <-r.sooner:
			if next < due {
				due = next
				timer.Reset(due - t.since())
			}
		case <-timer.C:
			waiting = false
		}
	}
	t.mu.Lock()
	if t.renewing == r {
		t.renewing = nil
	}
	t.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, leaseTimeout)
	defer cancel()
	t.raise(ctx, r)
	t.mu.Lock()
	t.failed = r.err != nil
	t.mu.Unlock()
}

// raise renews leases with one command, and with a second one if some are lost.
func (t *LeaseTable) raise(ctx context.Context, r *renewals) {
	slices.Sort(r.ids)
	r.ids = slices.Compact(r.ids)
	filter := bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: r.ids}}}, {Key: "holder", Value: r.holder}}
	n, err := t.engine.Update(ctx, leases, filter, bson.D{
		// Older binaries go by this time.
		{Key: "$set", Value: bson.D{{Key: "expires_at", Value: time.Now().Add(r.ttl)}}},
		{Key: "$inc", Value: bson.D{{Key: "term", Value: int64(1)}}},
	}, UpdateOptions{Many: true})
	if err != nil {
		r.err = err
		return
	}
	r.held = make(map[string]bool, len(r.ids))
	if n == int64(len(r.ids)) {
		for _, id := range r.ids {
			r.held[id] = true
		}
		return
	}
	t.touched()
	kept, err := many[models.Lease](ctx, t.engine, leases, Query{Filter: filter, Limit: int64(len(r.ids))})
	for i := range kept {
		r.held[kept[i].ID] = true
	}
	r.err = err
}
