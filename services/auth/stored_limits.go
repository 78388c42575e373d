package auth

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/utils/ratelimit"
	"pulse-control-plane/utils/secret"
)

const (
	// storedTries bounds the attempts to count that conflict with other replicas';
	// after them the attempt must wait.
	storedTries = 16
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
	if limit <= 0 {
		return ratelimit.Decision{Allowed: true}
	}
	interval := intervalOf(int(limit))
	var receipt ratelimit.Receipt
	wait, err := s.guessed(ctx, name, func(t ratelimit.Tally, now time.Time) (ratelimit.Tally, time.Duration) {
		now = now.Truncate(storedPrecision)
		account, taken := accountOf(t).Take(now.UnixNano(), int64(interval))
		receipt = taken
		t = tallyOfAccount(account, now)
		return t, t.Until.Sub(now) - interval*time.Duration(limit)
	})
	if err != nil {
		d := s.local.Allow(name, limit)
		d.Fallback = true
		return d
	}
	return ratelimit.Decision{Allowed: wait <= 0, Limit: int(limit), RetryAfter: max(0, wait), Receipt: receipt}
}

// storedPrecision is that of times in the database.
const storedPrecision = time.Millisecond

func accountOf(t ratelimit.Tally) ratelimit.Account {
	if t.Until.IsZero() {
		return ratelimit.Account{}
	}
	a := ratelimit.Account{Paid: t.Until.UnixNano(), Given: int64(t.Given)}
	if !t.Began.IsZero() { // earlier versions did not store it
		a.Began = t.Began.UnixNano()
	}
	return a
}

func tallyOfAccount(a ratelimit.Account, now time.Time) ratelimit.Tally {
	return ratelimit.Tally{Last: now, Until: time.Unix(0, a.Paid).UTC(), Began: time.Unix(0, a.Began).UTC(), Given: time.Duration(a.Given)}
}

// GiveBack implements Guesses. A database that is away, or whose count others keep
// changing, keeps it: too many are counted then, for at most a minute.
func (s *StoredLimits) GiveBack(ctx context.Context, name string, d ratelimit.Decision) {
	switch {
	case !d.Allowed || d.Limit <= 0:
	case d.Fallback:
		s.local.GiveBack(name, d)
	default:
		_, _ = s.guessed(ctx, name, func(t ratelimit.Tally, now time.Time) (ratelimit.Tally, time.Duration) {
			account := accountOf(t)
			now = now.Add(storedPrecision - 1).Truncate(storedPrecision)
			left := account.GiveBack(d.Receipt, now.UnixNano(), int64(intervalOf(d.Limit)))
			if left == account {
				return t, 1 // time has given it back: nothing is written
			}
			return tallyOfAccount(left, now), 0
		})
	}
}

// intervalOf is the time in which one guess is allowed again, as precisely as it can be
// stored.
func intervalOf(limit int) time.Duration {
	return max(storedPrecision, (time.Minute/time.Duration(limit) + storedPrecision - 1).Truncate(storedPrecision))
}

// errAway says that the database was not asked, because it did not answer a moment ago.
var errAway = errors.New("auth: the database is away")

// guessed changes what is stored of guesses, unless that must wait or the breaker is
// open, within the timeout, whether the caller is still there or not.
func (s *StoredLimits) guessed(ctx context.Context, name string, next func(ratelimit.Tally, time.Time) (ratelimit.Tally, time.Duration)) (wait time.Duration, err error) {
	if !s.breaker.Try() {
		return 0, errAway
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeout)
	defer cancel()
	id := secret.Digest(name)
	found, err := s.read(ctx, []string{id})
	if err == nil {
		wait, err = s.change(ctx, id, found[id], next)
	}
	s.breaker.Done(err)
	return wait, err
}

// change makes a tally another one, unless that must wait, by the version that
// was read. A tally that others keep changing must wait, also where the time ends
// meanwhile: who guesses concurrently would otherwise seem to be a database that is
// away, and be counted anew by each replica.
func (s *StoredLimits) change(ctx context.Context, id string, found *models.Throttle,
	next func(ratelimit.Tally, time.Time) (ratelimit.Tally, time.Duration)) (time.Duration, error) {
	for try := range storedTries {
		now := s.now()
		tally, wait := next(tallyOf(found), now)
		if wait > 0 {
			return wait, nil
		}
		changed := models.Throttle{ID: id, Version: 1, Failures: tally.Failures, Last: tally.Last, Until: tally.Until,
			Began: tally.Began, Given: int64(tally.Given),
			ExpiresAt: now.Add(s.policy.Forget + s.policy.Longest)}
		if found != nil {
			changed.Version = found.Version + 1
		}
		done, err := s.store.Put(ctx, &changed)
		switch {
		case err != nil && try > 0 && ctx.Err() != nil:
			return conflictWait, nil // the database answers, but others are faster
		case err != nil || done:
			return 0, err
		}
		if try+1 == storedTries {
			break
		}
		pause(ctx, try)
		again, err := s.read(ctx, []string{id})
		switch {
		case err != nil && ctx.Err() != nil:
			return conflictWait, nil
		case err != nil:
			return 0, err
		}
		found = again[id]
	}
	return conflictWait, nil
}

// pause lets others' changes of a tally pass: for a random time, up to 1 ms after
// the first conflict and twice as long after each further one, up to 16 ms.
func pause(ctx context.Context, try int) {
	timer := time.NewTimer(rand.N(time.Millisecond << min(try, 4)))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
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
	return ratelimit.Tally{Failures: t.Failures, Until: t.Until, Last: t.Last, Began: t.Began, Given: time.Duration(t.Given)}
}
