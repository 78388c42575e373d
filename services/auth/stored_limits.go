package auth

import (
	"context"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/utils/ratelimit"
	"pulse-control-plane/utils/secret"
)

const (
	// storedTries bounds the attempts to count that conflict with other replicas';
	// after them the attempt must wait.
	storedTries = 8
	// storedTimeout bounds what a guess waits for the database: keys work without it.
	storedTimeout = 250 * time.Millisecond
	// conflictWait is what an attempt is told to wait that could not be counted.
	conflictWait = time.Second
)

// StoredLimits counts failures and guesses in the database, so that replicas share
// the counts. Each count states what it read, so that concurrent guesses gain
// nothing; times are the database's.
type StoredLimits struct {
	store  *database.Throttles
	policy ratelimit.Backoff
	now    func() time.Time
	local  *ratelimit.Limiter
	// timeout is storedTimeout, but where a test holds the machine up.
	timeout time.Duration
	// breaker is open while the database does not answer; guesses are then counted
	// locally.
	breaker *ratelimit.Breaker
}

// NewStoredLimits counts by a clock that follows the database's. local counts
// guesses while the database is away.
func NewStoredLimits(store *database.Throttles, now func() time.Time, local *ratelimit.Limiter) *StoredLimits {
	return &StoredLimits{store: store, policy: LoginBackoff(), now: now, local: local, timeout: storedTimeout, breaker: ratelimit.NewBreaker()}
}

// Count implements Failures. A database that is away is an error: without it
// nobody can log in anyway.
func (s *StoredLimits) Count(ctx context.Context, counts []ratelimit.Count) (wait time.Duration, err error) {
	names := namesOf(counts)
	found, err := s.read(ctx, names)
	if err != nil {
		return 0, err
	}
	now := s.now()
	for _, name := range names {
		wait = max(wait, s.policy.At(tallyOf(found[name]), now).Until.Sub(now))
	}
	if wait > 0 {
		return wait, nil
	}
	for _, c := range counts {
		wait, err := s.change(ctx, c.Name, found[c.Name], func(t ratelimit.Tally, now time.Time) (ratelimit.Tally, time.Duration) {
			t = s.policy.At(t, now)
			if wait := t.Until.Sub(now); wait > 0 {
				return t, wait
			}
			return s.policy.Failed(t, now, c.Free), 0
		})
		if err != nil || wait > 0 {
			return wait, err
		}
	}
	return 0, nil
}

// Forgive implements Failures.
func (s *StoredLimits) Forgive(ctx context.Context, names []string) {
	found, err := s.read(ctx, names)
	if err != nil {
		return
	}
	for _, name := range names {
		if found[name] == nil {
			continue
		}
		_, _ = s.change(ctx, name, found[name], func(t ratelimit.Tally, _ time.Time) (ratelimit.Tally, time.Duration) {
			return t.Forgiven(), 0
		})
	}
}

// Clear implements Failures.
func (s *StoredLimits) Clear(ctx context.Context, name string) {
	_ = s.store.Drop(ctx, name)
}

// Allow implements Guesses by the GCRA of ratelimit.Limiter.
func (s *StoredLimits) Allow(ctx context.Context, name string, limit ratelimit.PerMinute) ratelimit.Decision {
	if limit <= 0 || !s.breaker.Try() {
		return s.local.Allow(name, limit)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeout)
	defer cancel()
	interval := max(1, time.Minute/time.Duration(limit))
	window := interval * time.Duration(limit)
	id := secret.Digest(name)
	found, err := s.read(ctx, []string{id})
	var wait time.Duration
	if err == nil {
		wait, err = s.change(ctx, id, found[id], func(t ratelimit.Tally, now time.Time) (ratelimit.Tally, time.Duration) {
			due := now
			if t.Until.After(now) {
				due = t.Until
			}
			t.Last, t.Until = now, due.Add(interval)
			return t, t.Until.Sub(now) - window
		})
	}
	s.breaker.Done(err)
	if err != nil {
		return s.local.Allow(name, limit)
	}
	return ratelimit.Decision{Allowed: wait <= 0, Limit: int(limit), RetryAfter: max(0, wait)}
}

// change makes a tally another one, unless that must wait, by the version that
// was read. A tally that others keep changing must wait.
func (s *StoredLimits) change(ctx context.Context, id string, found *models.Throttle,
	next func(ratelimit.Tally, time.Time) (ratelimit.Tally, time.Duration)) (time.Duration, error) {
	for range storedTries {
		now := s.now()
		tally, wait := next(tallyOf(found), now)
		if wait > 0 {
			return wait, nil
		}
		changed := models.Throttle{ID: id, Version: 1, Failures: tally.Failures, Last: tally.Last, Until: tally.Until,
			ExpiresAt: now.Add(s.policy.Forget + s.policy.Longest)}
		if found != nil {
			changed.Version = found.Version + 1
		}
		done, err := s.store.Put(ctx, &changed)
		if err != nil || done {
			return 0, err
		}
		again, err := s.read(ctx, []string{id})
		if err != nil {
			return 0, err
		}
		found = again[id]
	}
	return conflictWait, nil
}

func (s *StoredLimits) read(ctx context.Context, ids []string) (map[string]*models.Throttle, error) {
	list, err := s.store.Of(ctx, ids)
	out := make(map[string]*models.Throttle, len(list))
	for i := range list {
		out[list[i].ID] = &list[i]
	}
	return out, err
}

func tallyOf(t *models.Throttle) ratelimit.Tally {
	if t == nil {
		return ratelimit.Tally{}
	}
	return ratelimit.Tally{Failures: t.Failures, Until: t.Until, Last: t.Last}
}
