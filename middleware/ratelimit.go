package middleware

import (
	"context"
	"math"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"pulse-control-plane/models"
	"pulse-control-plane/utils/ratelimit"
)

// Limiter counts one request under a key, or refuses it. ctx bounds the call
// where counts are kept in another process.
type Limiter interface {
	Allow(ctx context.Context, key string, limit ratelimit.PerMinute) ratelimit.Decision
}

// RateLimits counts requests: by IP for anonymous callers, by the caller's own
// bucket otherwise.
type RateLimits struct {
	Limiter Limiter
	// IPPerMinute is the limit of one address without a credential; 0: none.
	IPPerMinute int
	Now         func() time.Time
}

func (l *RateLimits) byIP(c *gin.Context) error {
	return l.count(c, "ip", "ip|"+c.ClientIP(), l.IPPerMinute)
}

func (l *RateLimits) byCaller(c *gin.Context, p *models.Principal) error {
	switch p.Kind {
	case models.CallerOperator:
		return nil
	case models.CallerNobody:
		return l.byIP(c)
	case models.CallerPerson:
		return l.count(c, "user", p.RateKey, int(p.RequestsPerMinute))
	default:
		return l.count(c, "project", p.RateKey, int(p.RequestsPerMinute))
	}
}

// count takes one request from a bucket and sets the headers of
// draft-ietf-httpapi-ratelimit-headers (RateLimit-Policy, RateLimit) and the
// older X-RateLimit-* (Reset in Unix seconds).
func (l *RateLimits) count(c *gin.Context, policy, key string, perMinute int) error {
	if perMinute <= 0 {
		return nil
	}
	d := l.Limiter.Allow(c.Request.Context(), key, ratelimit.PerMinute(perMinute))
	header := c.Writer.Header()
	limit, remaining := strconv.Itoa(d.Limit), strconv.Itoa(d.Remaining)
	reset := strconv.FormatInt(ceilSeconds(d.ResetAfter), 10)
	header["Ratelimit-Policy"] = []string{`"` + policy + `";q=` + limit + `;w=60`}
	header["Ratelimit"] = []string{`"` + policy + `";r=` + remaining + `;t=` + reset}
	header["X-Ratelimit-Limit"] = []string{limit}
	header["X-Ratelimit-Remaining"] = []string{remaining}
	header["X-Ratelimit-Reset"] = []string{strconv.FormatInt(l.Now().Unix()+ceilSeconds(d.ResetAfter), 10)}
	if d.Allowed {
		return nil
	}
	limited := models.NewError(models.KindRateLimited, "rate_limited", "Too many requests; see Retry-After.")
	limited.RetryAfter = d.RetryAfter
	return limited
}

func ceilSeconds(d time.Duration) int64 { return int64(math.Ceil(d.Seconds())) }
