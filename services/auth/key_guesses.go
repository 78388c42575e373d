package auth

import (
	"context"
	"errors"
	"time"

	"pulse-control-plane/models"
	"pulse-control-plane/utils/clientip"
	"pulse-control-plane/utils/hashing"
	"pulse-control-plane/utils/ratelimit"
	"pulse-control-plane/utils/secret"
)

// secretChecksPerMinute bounds the wrong secrets per minute for one key and IP, and
// how many are checked at a time. A verified secret does not count, however many
// replicas verify it.
const secretChecksPerMinute = 20

// Guesses counts under a name and limits, where replicas share the counts.
type Guesses interface {
	Allow(ctx context.Context, name string, limit ratelimit.PerMinute) ratelimit.Decision
	// GiveBack subtracts an attempt that Allow allowed with the decision d, at most once
	// for each. If it can't be written, the attempt counts for at most a minute.
	GiveBack(ctx context.Context, name string, d ratelimit.Decision)
}

// check verifies a secret with bcrypt, unless it was verified meanwhile, and caches
// the result. An attempt counts as a guess until it is known to be none, so that
// concurrent guesses gain nothing; what stays counted are wrong secrets and those that
// did not match under the peppers there was time for.
//
// A secret that this process verified before, or that has the mark stored with the key,
// is no guess. Others' guesses from its address then neither keep it out, also of a
// process that has just started, nor come before it at bcrypt.
func (a *Keys) check(ctx context.Context, k *models.APIKey, s secret.Value, ip string) error {
	if a.verified.Check(string(k.ID), s, k.SecretHash) {
		return nil
	}
	giveBack, share := func() {}, "key "+string(k.ID)
	marked := a.hasher.Marked(k.SecretMark, string(k.ID), k.SecretHash, s)
	if !marked && !a.verified.Recalls(string(k.ID), s, k.SecretHash) {
		var err error
		if giveBack, err = a.guess(ctx, k.ID, ip); err != nil {
			return err
		}
		share = clientip.BucketOf(ip)
	}
	ctx = hashing.WithShare(ctx, share)
	mismatched, err := a.hasher.Compare(ctx, hashing.Peppered{Hash: k.SecretHash, Pepper: k.PepperID}, s)
	switch {
	case err == nil:
		a.verified.Remember(string(k.ID), s, k.SecretHash)
		giveBack()
		a.renew(ctx, k, s, marked)
		return nil
	case errors.Is(err, hashing.ErrMismatch):
		return ErrBadKey()
	case !mismatched:
		giveBack()
	}
	return err
}

// guess counts an attempt at a key's secret from an IP, or refuses it: rate_limited,
// and nothing is counted. giveBack takes the count back.
func (a *Keys) guess(ctx context.Context, id models.KeyID, ip string) (giveBack func(), err error) {
	type counted struct {
		name string
		d    ratelimit.Decision
	}
	var all []counted
	giveBack = func() {
		for _, c := range all {
			a.guesses.GiveBack(ctx, c.name, c.d)
		}
	}
	for _, c := range clientip.CountedUnder(ip) {
		name := "secret|" + string(id) + "|" + c.Name
		d := a.allow(ctx, name, ratelimit.PerMinute(c.Factor*secretChecksPerMinute))
		if !d.Allowed {
			giveBack()
			limited := models.NewError(models.KindRateLimited, "too_many_attempts",
				"Too many attempts with this key; wait before trying again.")
			limited.RetryAfter = d.RetryAfter
			return nil, limited
		}
		all = append(all, counted{name, d})
	}
	return giveBack, nil
}

// allow asks guesses, unless they refused this name and the wait is not over: a flood
// of guesses must not become one of the store.
func (a *Keys) allow(ctx context.Context, name string, limit ratelimit.PerMinute) ratelimit.Decision {
	if until, refused := a.refused.Get(name); refused {
		// No wait is longer than a minute, unless the clock was set back.
		if wait := until.Sub(a.now()); wait > 0 && wait <= time.Minute {
			return ratelimit.Decision{Limit: int(limit), RetryAfter: wait}
		}
	}
	d := a.guesses.Allow(ctx, name, limit)
	if !d.Allowed {
		a.refused.Add(name, a.now().Add(d.RetryAfter))
	}
	return d
}
