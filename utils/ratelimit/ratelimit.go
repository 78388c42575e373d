package ratelimit

import (
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// PerMinute is a number of requests a minute, which is also the largest burst.
// Zero or less means no limit.
type PerMinute int

// Decision is a limiter's answer to one request.
type Decision struct {
	Allowed bool
	// Limit is the limit that applied; 0 without a limit, when the fields below
	// have no meaning.
	Limit int
	// Remaining is how many more requests are allowed right now.
	Remaining int
	// ResetAfter is how long until Remaining equals Limit without further
	// requests.
	ResetAfter time.Duration
	// RetryAfter is how long until the next request is allowed, after a refused
	// one; otherwise 0.
	RetryAfter time.Duration
	// Fallback says that the request was counted in this process, because the store
	// that replicas share was away.
	Fallback bool
	// Receipt names what the request took, for GiveBack.
	Receipt Receipt
}

// Limiter counts by key. It is safe for concurrent use.
type Limiter struct {
	clock func() time.Time
	start time.Time

	mu sync.Mutex
	// accounts are those of the keys, counted from start. By pointer, so that a known
	// key needs one lookup and no allocation.
	accounts *simplelru.LRU[string, *Account]
}

// New returns a Limiter of at most capacity keys (at least one).
func New(capacity int, clock func() time.Time) *Limiter {
	accounts, err := simplelru.NewLRU[string, *Account](max(1, capacity), nil)
	if err != nil {
		panic(err) // the library refuses a size below one only
	}
	return &Limiter{clock: clock, start: clock(), accounts: accounts}
}

// Allow counts one request under the key, unless it is refused. The limit of a
// key can change between calls; counted requests stay counted.
func (l *Limiter) Allow(key string, limit PerMinute) Decision { return l.decide(key, limit, 1) }

// Peek returns what Allow would, and counts nothing.
func (l *Limiter) Peek(key string, limit PerMinute) Decision { return l.decide(key, limit, 0) }

// GiveBack takes back that a request was counted, once for one that Allow allowed
// as d says, as far as time has not done so. So the requests that are not given back
// stay within the limit, whatever order both come in and however late.
func (l *Limiter) GiveBack(key string, d Decision) {
	if !d.Allowed || d.Limit <= 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	account, known := l.accounts.Peek(key)
	if !known {
		return
	}
	now := int64(l.clock().Sub(l.start))
	if *account = account.GiveBack(d.Receipt, now, int64(intervalOf(d.Limit))); account.Paid <= now {
		l.accounts.Remove(key)
	}
}

// intervalOf is the time in which one request is allowed again. The finest is a
// nanosecond.
func intervalOf(limit int) time.Duration { return max(1, time.Minute/time.Duration(limit)) }

func (l *Limiter) decide(key string, limit PerMinute, cost time.Duration) Decision {
	if limit <= 0 {
		return Decision{Allowed: true}
	}
	interval := intervalOf(int(limit))
	window := interval * time.Duration(limit)

	l.mu.Lock()
	defer l.mu.Unlock()
	// Sub uses the monotonic clock: setting the wall clock back refuses nothing.
	now := l.clock().Sub(l.start)
	account, known := l.accounts.Get(key)
	due := now
	if known {
		due = max(now, time.Duration(account.Paid))
	}
	next := due + interval
	if wait := next - now - window; wait > 0 {
		return Decision{Limit: int(limit), ResetAfter: due - now, RetryAfter: wait}
	}
	if next = due + cost*interval; cost == 0 {
		return Decision{Allowed: true, Limit: int(limit), Remaining: int((window - (next - now)) / interval), ResetAfter: next - now}
	}
	if !known {
		account = new(Account)
		l.accounts.Add(key, account)
	}
	var receipt Receipt
	*account, receipt = account.Take(int64(now), int64(interval))
	return Decision{
		Allowed: true, Limit: int(limit), Receipt: receipt,
		Remaining:  int((window - (next - now)) / interval),
		ResetAfter: next - now,
	}
}
