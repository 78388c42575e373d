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
	// freeAccountFailures and freeIPFailures are how many wrong passwords cost
	// nothing: a person mistypes, and many people share an address.
	freeAccountFailures = 5
	freeIPFailures      = 20
	// firstDelay follows the first failure that costs something; each further
	// one doubles it, up to longestDelay: nobody is locked out for good.
	firstDelay   = time.Second
	longestDelay = 5 * time.Minute
	// forgetFailuresAfter a time without any they count no more.
	forgetFailuresAfter = time.Hour
)

// loginThrottle slows down whoever guesses passwords, by account and by IP,
// whether the account exists or not. An attempt counts as a failure until it
// is known to be none, so that guesses at the same time gain nothing.
//
// An IP from which an account was logged into is counted by itself for that
// account: strangers who guess can not keep its owner out (OWASP, "Slow Down
// Online Guessing Attacks with Device Cookies").
//
// It is kept in the memory of one process, bounded: of n replicas a guesser
// gets n times the free failures, and no more after that than n guesses every
// longestDelay.
type loginThrottle struct {
	now func() time.Time

	mu       sync.Mutex
	accounts *lru.Cache[string, tally]
	ips      *lru.Cache[string, tally]
	familiar *lru.Cache[string, struct{}]
}

// tally is how often somebody failed, and until when they wait.
type tally struct {
	failures int
	until    time.Time
	last     time.Time
}

// loginAttempt is one that was let through.
type loginAttempt struct {
	throttle  *loginThrottle
	email, ip string
	// account is what the account is counted under.
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

// begin counts an attempt, or refuses it: rate_limited with the time to wait.
// A refused attempt is not counted and makes nobody wait longer.
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
		// Twenty doublings are far beyond the longest delay.
		t.until = now.Add(min(longestDelay, firstDelay<<min(over-1, 20)))
	}
	return t
}

// forgiven takes one failure back, and the wait with it.
func (t tally) forgiven() tally {
	t.failures, t.until = max(0, t.failures-1), time.Time{}
	return t
}

// undo takes back that the attempt was counted: it came to no answer.
func (a loginAttempt) undo() {
	a.throttle.mu.Lock()
	defer a.throttle.mu.Unlock()
	forgive(a.throttle.accounts, a.account)
	forgive(a.throttle.ips, a.ip)
}

// succeed wipes the account's failures, and of the IP's only this attempt:
// else whoever has one account could guess others without end.
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

// network is what is counted as one address: of IPv6 the /64 that one
// customer has (RFC 6177).
func network(ip string) string {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return ip
	}
	return clientip.Bucket(addr).String()
}
