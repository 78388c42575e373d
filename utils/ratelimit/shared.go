package ratelimit

import (
	"context"
	"time"

	"github.com/go-redis/redis_rate/v10"
	"github.com/redis/go-redis/v9"
)

// sharedTimeout bounds one question to Redis: a limiter that is slower than
// that would be the load it is to keep away.
const sharedTimeout = 50 * time.Millisecond

// Shared counts in Redis, so that replicas hold a caller to one limit
// together, by the same GCRA as Limiter. While Redis is away each replica
// counts for itself. It is safe for concurrent use.
type Shared struct {
	client *redis.Client
	redis  *redis_rate.Limiter
	local  *Limiter
}

// NewShared connects, when first used, to a redis:// or rediss:// URL; local
// counts while Redis is away.
func NewShared(url string, local *Limiter) (*Shared, error) {
	options, err := redis.ParseURL(url)
	if err != nil {
		return nil, err
	}
	options.DialTimeout, options.ReadTimeout, options.WriteTimeout = sharedTimeout, sharedTimeout, sharedTimeout
	options.MaxRetries = -1 // none: the local count answers sooner
	client := redis.NewClient(options)
	return &Shared{client: client, redis: redis_rate.NewLimiter(client), local: local}, nil
}

// Allow counts one request under the key, unless it is refused.
func (s *Shared) Allow(ctx context.Context, key string, limit PerMinute) Decision {
	if limit <= 0 {
		return Decision{Allowed: true}
	}
	ctx, cancel := context.WithTimeout(ctx, sharedTimeout)
	defer cancel()
	result, err := s.redis.Allow(ctx, key, redis_rate.PerMinute(int(limit)))
	if err != nil {
		return s.local.Allow(key, limit)
	}
	d := Decision{Allowed: result.Allowed > 0, Limit: int(limit), Remaining: result.Remaining, ResetAfter: result.ResetAfter}
	if !d.Allowed {
		d.RetryAfter = result.RetryAfter
	}
	return d
}

// Ping answers nil when Redis does.
func (s *Shared) Ping(ctx context.Context) error { return s.client.Ping(ctx).Err() }

// Close lets go of the connections.
func (s *Shared) Close(context.Context) error { return s.client.Close() }

// Local counts in this process alone, for one that shares nothing.
type Local struct{ *Limiter }

// Allow counts one request under the key, unless it is refused.
func (l Local) Allow(_ context.Context, key string, limit PerMinute) Decision {
	return l.Limiter.Allow(key, limit)
}
