package auth

import (
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"pulse-control-plane/models"
	"pulse-control-plane/utils/clientip"
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
// The counts are in the memory of one process and bounded: with n replicas an
// attacker gets n times the free failures, then n guesses per longestDelay.
type loginThrottle struct {
	now func() time.Time

	mu       sync.Mutex
	accounts *lru.Cache[string, tally]
	ips      *lru.Cache[string, tally]
	familiar *lru.Cache[string, struct{}]
}

// tally is a number of failures and the end of the resulting delay.
type tally struct {
	failures int
	until    time.Time
	last     time.Time
}

// count is one tally of an attempt, with how many failures are free.
type count struct {
	tallies *lru.Cache[string, tally]
	key     string
	free    int
}

// loginAttempt is one that was let through.
type loginAttempt struct {
	throttle  *loginThrottle
	email, ip string
	// account is what the account is counted under, addresses what the address is.
	account   count
	addresses []count
}

func newLoginThrottle(size int, now func() time.Time) (*loginThrottle, error) {
	accounts, err := lru.New[string, tally](size)
	if err != nil {
		return nil, err
	}
	ips, err := lru.New[string, tally](size)
	if err != nil {
		return nil, err
	}
	familiar, err := lru.New[string, struct{}](size)
	if err != nil {
		return nil, err
	}
	return &loginThrottle{now: now, accounts: accounts, ips: ips, familiar: familiar}, nil
}

// begin counts an attempt, or refuses it: rate_limited with the time to wait.
// device names one that logged in to the account before, "" if it is none. A
// refused attempt is not counted and makes nobody wait longer.
func (t *loginThrottle) begin(email, ip, device string) (loginAttempt, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	a := loginAttempt{throttle: t, email: email, ip: clientip.BucketOf(ip), account: count{t.accounts, email, freeAccountFailures}}
	switch {
	case device != "":
		a.account.key = email + "|device " + device
	case t.familiar.Contains(email + "|" + a.ip):
		a.account.key = email + "|" + a.ip
	}
	for _, c := range clientip.CountedUnder(ip) {
		a.addresses = append(a.addresses, count{t.ips, c.Name, c.Factor * freeIPFailures})
	}
	var wait time.Duration
	for _, c := range a.counts() {
		wait = max(wait, lately(c.tallies, c.key, now).until.Sub(now))
	}
	if wait > 0 {
		limited := models.NewError(models.KindRateLimited, "too_many_attempts",
			"Too many failed attempts; wait before trying again.")
		limited.RetryAfter = wait
		return loginAttempt{}, limited
	}
	for _, c := range a.counts() {
		c.tallies.Add(c.key, lately(c.tallies, c.key, now).failed(now, c.free))
	}
	return a, nil
}

// recognize counts an address by itself for an account that was logged in to
// from there.
func (t *loginThrottle) recognize(email, ip string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.familiar.Add(email+"|"+clientip.BucketOf(ip), struct{}{})
}

func (a *loginAttempt) counts() []count { return append([]count{a.account}, a.addresses...) }

// lately reads a tally, empty if its failures are long ago.
func lately(tallies *lru.Cache[string, tally], key string, now time.Time) tally {
	if found, ok := tallies.Get(key); ok && now.Sub(found.last) < forgetFailuresAfter {
		return found
	}
	return tally{}
}

func (t tally) failed(now time.Time, free int) tally {
	t.failures, t.last = t.failures+1, now
	if over := t.failures - free; over > 0 {
		// Twenty doublings exceed the longest delay by far.
		t.until = now.Add(min(longestDelay, firstDelay<<min(over-1, 20)))
	}
	return t
}

// forgiven removes one failure and the delay it caused.
func (t tally) forgiven() tally {
	t.failures, t.until = max(0, t.failures-1), time.Time{}
	return t
}

// undo takes back that the attempt was counted: it came to no answer.
func (a *loginAttempt) undo() {
	a.throttle.mu.Lock()
	defer a.throttle.mu.Unlock()
	for _, c := range a.counts() {
		forgive(c.tallies, c.key)
	}
}

// succeed wipes the account's failures, and of the address only this attempt:
// otherwise the owner of one account could guess others without end.
func (a *loginAttempt) succeed() {
	a.throttle.mu.Lock()
	defer a.throttle.mu.Unlock()
	a.account.tallies.Remove(a.account.key)
	for _, c := range a.addresses {
		forgive(c.tallies, c.key)
	}
	a.throttle.familiar.Add(a.email+"|"+a.ip, struct{}{})
}

func forgive(tallies *lru.Cache[string, tally], key string) {
	if found, ok := tallies.Peek(key); ok {
		tallies.Add(key, found.forgiven())
	}
}
