package auth

import (
	"context"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"pulse-control-plane/models"
	"pulse-control-plane/utils/clientip"
	"pulse-control-plane/utils/ratelimit"
	"pulse-control-plane/utils/secret"
)

const (
	// freeAccountFailures and freeIPFailures are how many wrong passwords cause no
	// delay: people mistype, and many people share an IP address.
	freeAccountFailures = 5
	freeIPFailures      = 20
	// firstDelay follows the first failure that counts; each further failure
	// doubles it up to longestDelay, so that no account is locked out for good.
	firstDelay   = time.Second
	longestDelay = 5 * time.Minute
	// forgetFailuresAfter is the time without failures after which none counts.
	forgetFailuresAfter = time.Hour
)

// loginThrottle slows down password guessing, by account and by IP address (IPv6
// by /64, and by /48 with a larger allowance), whether the account exists or not.
// An attempt counts as a failure until it succeeds, so that concurrent guesses
// gain nothing.
//
// A device that logged in to an account before, known by its cookie, and an
// address from which that was done have their own counts for that account, so that
// strangers can't lock the owner out (OWASP, "Slow Down Online Guessing Attacks
// with Device Cookies").
//
// Replicas share the counts.
type loginThrottle struct {
	failures Failures
	familiar *lru.Cache[string, struct{}]
}

// Failures counts failures, bounded, where replicas share them.
type Failures interface {
	// Count counts one failure under each of at most four names, or none: it then
	// gives how long to wait.
	Count(ctx context.Context, counts []ratelimit.Count) (time.Duration, error)
	// Forgive takes one failure back under every name, and Clear all under one.
	// What can't be written is forgotten in time.
	Forgive(ctx context.Context, names []string)
	Clear(ctx context.Context, name string)
}

// LoginBackoff is how failed logins slow down.
func LoginBackoff() ratelimit.Backoff {
	return ratelimit.Backoff{First: firstDelay, Longest: longestDelay, Forget: forgetFailuresAfter}
}

// loginAttempt is one that was let through.
type loginAttempt struct {
	throttle  *loginThrottle
	email, ip string
	// account is what the account is counted under, addresses what the address is.
	account   ratelimit.Count
	addresses []ratelimit.Count
}

func newLoginThrottle(failures Failures, size int) (*loginThrottle, error) {
	familiar, err := lru.New[string, struct{}](size)
	if err != nil {
		return nil, err
	}
	return &loginThrottle{failures: failures, familiar: familiar}, nil
}

// begin counts an attempt, or refuses it: rate_limited with the time to wait.
// device names one that logged in to the account before, "" if it is none. A
// refused attempt is not counted and makes nobody wait longer.
func (t *loginThrottle) begin(ctx context.Context, email, ip, device string) (loginAttempt, error) {
	a := loginAttempt{throttle: t, email: email, ip: clientip.BucketOf(ip)}
	account := email
	switch {
	case device != "":
		account = email + "|device " + device
	case t.familiar.Contains(email + "|" + a.ip):
		account = email + "|" + a.ip
	}
	a.account = ratelimit.Count{Name: countedAs("account", account), Free: freeAccountFailures}
	for _, c := range clientip.CountedUnder(ip) {
		a.addresses = append(a.addresses, ratelimit.Count{Name: countedAs("address", c.Name), Free: c.Factor * freeIPFailures})
	}
	wait, err := t.failures.Count(ctx, a.counts())
	if err != nil {
		return loginAttempt{}, err
	}
	if wait > 0 {
		limited := models.NewError(models.KindRateLimited, "too_many_attempts",
			"Too many failed attempts; wait before trying again.")
		limited.RetryAfter = wait
		return loginAttempt{}, limited
	}
	return a, nil
}

// countedAs names a count by a hash: it may be stored, and names a person.
func countedAs(kind, name string) string { return "login|" + secret.Digest(kind+"|"+name) }

// recognize counts an address by itself for an account that was logged in to
// from there.
func (t *loginThrottle) recognize(email, ip string) {
	t.familiar.Add(email+"|"+clientip.BucketOf(ip), struct{}{})
}

func (a *loginAttempt) counts() []ratelimit.Count {
	return append([]ratelimit.Count{a.account}, a.addresses...)
}

// undo takes back that the attempt was counted: it came to no answer.
func (a *loginAttempt) undo(ctx context.Context) {
	a.throttle.failures.Forgive(ctx, namesOf(a.counts()))
}

// succeed wipes the account's failures, and of the address only this attempt:
// otherwise the owner of one account could guess others without end.
func (a *loginAttempt) succeed(ctx context.Context) {
	a.throttle.failures.Clear(ctx, a.account.Name)
	a.throttle.failures.Forgive(ctx, namesOf(a.addresses))
	a.throttle.recognize(a.email, a.ip)
}

func namesOf(counts []ratelimit.Count) []string {
	names := make([]string, len(counts))
	for i, c := range counts {
		names[i] = c.Name
	}
	return names
}
