package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gomodule/redigo/redis"
)

const (
	// sharedTimeout bounds one call to Redis, which every request waits for.
	sharedTimeout = 50 * time.Millisecond
	// sharedConnections bounds concurrent calls; further ones count locally.
	sharedConnections = 64
	// sharedIdle is how long an unused connection is kept.
	sharedIdle = time.Minute
	// sharedPrefix separates these keys from others in the same Redis, and from those
	// of earlier versions, whose values are numbers.
	sharedPrefix = "pulse:account:"
	// probeKey is written to learn whether Redis takes writes.
	probeKey = "pulse:probe"
	// failuresPrefix is that of counts of failures.
	failuresPrefix = "pulse:failures:"
)

// gcra is Limiter.Allow by Redis' clock, or Limiter.Peek, or GiveBack. It takes the
// interval and the window in microseconds, what to count, 1, 0 or -1, and the Receipt
// to give back, and returns whether the request is allowed and, in microseconds,
// ResetAfter, RetryAfter and the Receipt. A value is an Account.
const gcra = `
local t = redis.call('TIME')
local now = t[1] * 1000000 + t[2]
local interval, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local paid, began, given = string.match(redis.call('GET', KEYS[1]) or '', '^(%d+) (%d+) (%d+)$')
paid, began, given = tonumber(paid or '0'), tonumber(began or '0'), tonumber(given or '0')
local function keep()
  if paid <= now then
    redis.call('DEL', KEYS[1])
  else
    redis.call('SET', KEYS[1], string.format('%.0f %.0f %.0f', paid, began, given), 'PX', math.ceil((paid - now) / 1000))
  end
end
if ARGV[3] == '-1' then
  local left = math.min(tonumber(ARGV[5]) - given - now, interval)
  if paid > now and began == tonumber(ARGV[4]) and left > 0 then
    paid, given = paid - left, given + left
    keep()
  end
  return {1, 0, 0, 0, 0}
end
if paid <= now then paid, began, given = now, now, 0 end
local wait = paid + interval - window - now
if wait > 0 then return {0, paid - now, wait, 0, 0} end
if ARGV[3] == '1' then
  paid = paid + interval
  keep()
end
return {1, paid - now, 0, began, paid + given}`

// Shared counts in Redis (5 or later), so that replicas share one limit, by the
// same GCRA as Limiter. While Redis is unavailable each replica counts its own
// requests. It is safe for concurrent use.
type Shared struct {
	pool   *redis.Pool
	script *redis.Script
	local  *Limiter
	// timeout is sharedTimeout, but where a test holds the machine up.
	timeout time.Duration
	// Breaker is open while Redis does not answer.
	Breaker *Breaker
}

// NewShared returns a Shared over a redis:// or rediss:// URL, which it connects
// to when first used; local counts while Redis is unavailable.
func NewShared(url string, local *Limiter) *Shared {
	s := &Shared{local: local, Breaker: NewBreaker(), script: redis.NewScript(1, gcra), timeout: sharedTimeout}
	s.pool = &redis.Pool{
		MaxActive: sharedConnections, MaxIdle: sharedConnections, IdleTimeout: sharedIdle,
		DialContext: func(ctx context.Context) (redis.Conn, error) {
			return redis.DialURLContext(ctx, url, redis.DialConnectTimeout(s.timeout),
				redis.DialReadTimeout(s.timeout), redis.DialWriteTimeout(s.timeout))
		},
	}
	return s
}

// Allow counts one request under the key, unless it is refused.
func (s *Shared) Allow(ctx context.Context, key string, limit PerMinute) Decision {
	if limit <= 0 {
		return Decision{Allowed: true}
	}
	d, err := s.ask(ctx, key, limit, 1, Receipt{})
	if err != nil {
		d = s.local.Allow(key, limit)
		d.Fallback = true
	}
	return d
}

// GiveBack is Limiter.GiveBack, where the request was counted. Redis that is away keeps
// the count: too many are counted then, for at most a minute.
func (s *Shared) GiveBack(ctx context.Context, key string, d Decision) {
	switch {
	case !d.Allowed || d.Limit <= 0:
	case d.Fallback:
		s.local.GiveBack(key, d)
	default:
		_, _ = s.ask(ctx, key, PerMinute(d.Limit), -1, d.Receipt)
	}
}

// Peek returns what Allow would, and counts nothing.
func (s *Shared) Peek(ctx context.Context, key string, limit PerMinute) Decision {
	if limit <= 0 {
		return Decision{Allowed: true}
	}
	d, err := s.ask(ctx, key, limit, 0, Receipt{})
	if err != nil {
		return s.local.Peek(key, limit)
	}
	return d
}

func (s *Shared) ask(ctx context.Context, key string, limit PerMinute, cost int, r Receipt) (Decision, error) {
	interval := max(1, time.Minute/time.Duration(limit)/time.Microsecond)
	window := interval * time.Duration(limit)
	var out []int64
	err := s.do(ctx, func(ctx context.Context, conn redis.Conn) (err error) {
		out, err = redis.Int64s(s.script.DoContext(ctx, conn, sharedPrefix+key, int64(interval), int64(window), cost, r.Began, r.Ends))
		if err == nil && len(out) != 5 {
			err = fmt.Errorf("ratelimit: %d values", len(out))
		}
		return err
	})
	if err != nil {
		return Decision{}, err
	}
	owed := time.Duration(out[1])
	return Decision{
		Allowed: out[0] == 1, Limit: int(limit), Remaining: int((window - owed) / interval),
		ResetAfter: owed * time.Microsecond, RetryAfter: time.Duration(out[2]) * time.Microsecond,
		Receipt: Receipt{Began: out[3], Ends: out[4]},
	}, nil
}

// errAway says that Redis was not asked, because it did not answer a moment ago.
var errAway = errors.New("ratelimit: Redis is away")

// do asks Redis, unless the breaker is open.
func (s *Shared) do(ctx context.Context, ask func(context.Context, redis.Conn) error) error {
	if !s.Breaker.Try() {
		return errAway
	}
	// Not the caller's: one who hangs up says nothing about Redis.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeout)
	defer cancel()
	conn, err := s.pool.GetContext(ctx)
	if errors.Is(err, redis.ErrPoolExhausted) {
		return err // busy, not away
	}
	if err == nil {
		defer conn.Close()
		err = ask(ctx, conn)
	}
	s.Breaker.Done(err)
	return err
}

// Ping returns nil if Redis can count: one that is full, or a replica that is read
// only, answers PING and takes no writes.
func (s *Shared) Ping(ctx context.Context) error {
	conn, err := s.pool.GetContext(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = redis.DoContext(conn, ctx, "SET", probeKey, "1", "PX", "1000")
	return err
}

// Close closes the connections.
func (s *Shared) Close(context.Context) error { return s.pool.Close() }

// Local adapts a Limiter of this process to the signature of Shared.
type Local struct{ *Limiter }

// Allow counts one request under the key, unless it is refused.
func (l Local) Allow(_ context.Context, key string, limit PerMinute) Decision {
	return l.Limiter.Allow(key, limit)
}

// GiveBack takes back that an allowed request was counted.
func (l Local) GiveBack(_ context.Context, key string, d Decision) { l.Limiter.GiveBack(key, d) }

// Peek returns what Allow would, and counts nothing.
func (l Local) Peek(_ context.Context, key string, limit PerMinute) Decision {
	return l.Limiter.Peek(key, limit)
}
