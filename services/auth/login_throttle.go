package auth

import (
	"net/netip"
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

// loginThrottle slows down password guessing, by account and by IP address, whether
// the account exists or not. An attempt counts as a failure until it succeeds, so
// that concurrent guesses gain nothing.
//
// An IP address from which an account was logged into has its own count for that
// account, so that other addresses can't lock the owner out (OWASP, "Slow Down
// Online Guessing Attacks with Device Cookies").
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

// loginAttempt is an attempt that was not refused.
type loginAttempt struct {
	throttle  *loginThrottle
	email, ip string
	// account is the key of the account's count.
	account string
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

// begin counts an attempt, or refuses it with rate_limited and the time to wait. A
// refused attempt does not count and extends no delay.
func (t *loginThrottle) begin(email, ip string) (loginAttempt, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	a := loginAttempt{throttle: t, email: email, ip: network(ip), account: email}
	if t.familiar.Contains(email + "|" + a.ip) {
		a.account = email + "|" + a.ip
	}
	account, ofIP := lately(t.accounts, a.account, now), lately(t.ips, a.ip, now)
	if wait := max(account.until.Sub(now), ofIP.until.Sub(now)); wait > 0 {
		limited := models.NewError(models.KindRateLimited, "too_many_attempts",
			"Too many failed attempts; wait before trying again.")
		limited.RetryAfter = wait
		return loginAttempt{}, limited
	}
	t.accounts.Add(a.account, account.failed(now, freeAccountFailures))
	t.ips.Add(a.ip, ofIP.failed(now, freeIPFailures))
	return a, nil
}

// lately reads a tally; it is empty if its last failure is old.
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

// undo removes the attempt from the counts: its outcome is unknown.
func (a loginAttempt) undo() {
	a.throttle.mu.Lock()
	defer a.throttle.mu.Unlock()
	forgive(a.throttle.accounts, a.account)
	forgive(a.throttle.ips, a.ip)
}

// succeed clears the account's failures, and of the IP address's only this
// attempt: otherwise the owner of one account could guess others without end.
func (a loginAttempt) succeed() {
	a.throttle.mu.Lock()
	defer a.throttle.mu.Unlock()
	a.throttle.accounts.Remove(a.account)
	forgive(a.throttle.ips, a.ip)
	a.throttle.familiar.Add(a.email+"|"+a.ip, struct{}{})
}

func forgive(tallies *lru.Cache[string, tally], key string) {
	if found, ok := tallies.Peek(key); ok {
		tallies.Add(key, found.forgiven())
	}
}

// network is what counts as one address: for IPv6 the /64 of one customer (RFC
// 6177).
func network(ip string) string {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return ip
	}
	return clientip.Bucket(addr).String()
}
