package middleware

import (
	"context"
	"math"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"pulse-control-plane/models"
	"pulse-control-plane/utils/clientip"
	"pulse-control-plane/utils/ratelimit"
)

// Limiter counts one request under a key, unless it is refused. ctx bounds the
// question where the count is kept elsewhere.
type Limiter interface {
	Allow(ctx context.Context, key string, limit ratelimit.PerMinute) ratelimit.Decision
}

// RateLimits counts requests: by IP where nobody is authenticated, by the
// caller's own bucket otherwise.
type RateLimits struct {
	Limiter Limiter
	// IPPerMinute is what one address may do without a credential; 0: no limit.
	IPPerMinute int
	Now         func() time.Time
}

// byIP counts an IPv4 address, or the /64 of an IPv6 one, and then its /48,
// which may do more: whoever has many /64 gains little by changing among them.
func (l *RateLimits) byIP(c *gin.Context) error {
	if l.IPPerMinute <= 0 {
		return nil
	}
	address := clientOf(c)
	if err := l.count(c, "ip", "ip|"+clientip.Bucket(address).String(), l.IPPerMinute); err != nil {
		return err
	}
	wide, ok := clientip.Wide(address)
	if !ok {
		return nil
	}
	perMinute := ratelimit.PerMinute(clientip.WideFactor * l.IPPerMinute)
	if d := l.Limiter.Allow(c.Request.Context(), "ip|"+wide.String(), perMinute); !d.Allowed {
		return l.refuse(c, "ip", d)
	}
	return nil
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

// count takes one from a bucket and says so in headers.
func (l *RateLimits) count(c *gin.Context, policy, key string, perMinute int) error {
	if perMinute <= 0 {
		return nil
	}
	d := l.Limiter.Allow(c.Request.Context(), key, ratelimit.PerMinute(perMinute))
	if !d.Allowed {
		return l.refuse(c, policy, d)
	}
	l.tell(c, policy, d)
	return nil
}

func (l *RateLimits) refuse(c *gin.Context, policy string, d ratelimit.Decision) error {
	l.tell(c, policy, d)
	limited := models.NewError(models.KindRateLimited, "rate_limited", "Too many requests; see Retry-After.")
	limited.RetryAfter = d.RetryAfter
	return limited
}

// tell writes the headers of draft-ietf-httpapi-ratelimit-headers
// (RateLimit-Policy, RateLimit) and the older X-RateLimit-* (Reset in Unix
// seconds).
func (l *RateLimits) tell(c *gin.Context, policy string, d ratelimit.Decision) {
	header := c.Writer.Header()
	limit, remaining := strconv.Itoa(d.Limit), strconv.Itoa(d.Remaining)
	reset := strconv.FormatInt(ceilSeconds(d.ResetAfter), 10)
	header["Ratelimit-Policy"] = []string{`"` + policy + `";q=` + limit + `;w=60`}
	header["Ratelimit"] = []string{`"` + policy + `";r=` + remaining + `;t=` + reset}
	header["X-Ratelimit-Limit"] = []string{limit}
	header["X-Ratelimit-Remaining"] = []string{remaining}
	header["X-Ratelimit-Reset"] = []string{strconv.FormatInt(l.Now().Unix()+ceilSeconds(d.ResetAfter), 10)}
}

func ceilSeconds(d time.Duration) int64 { return int64(math.Ceil(d.Seconds())) }
