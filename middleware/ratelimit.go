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

// Limiter counts requests under a key. ctx bounds the call where counts are kept
// in another process.
type Limiter interface {
	// Allow counts one request, unless it is refused.
	Allow(ctx context.Context, key string, limit ratelimit.PerMinute) ratelimit.Decision
	// Peek says what Allow would, and counts nothing.
	Peek(ctx context.Context, key string, limit ratelimit.PerMinute) ratelimit.Decision
}

// RateLimits counts requests: by IP for anonymous callers, by the caller's own
// bucket otherwise, and of a key without its secret, which is public, by IP too.
type RateLimits struct {
	Limiter Limiter
	// IPPerMinute is the limit of one address without a credential, and
	// ClientIPPerMinute that of one address with one project's key alone; 0: none.
	IPPerMinute, ClientIPPerMinute int
	Now                            func() time.Time
}

func (l *RateLimits) byIP(c *gin.Context) error {
	return l.byAddress(c, "ip", "ip|", l.IPPerMinute, (*RateLimits).count, (*RateLimits).quietly)
}

// spent refuses an address that byIP would refuse, and counts nothing.
func (l *RateLimits) spent(c *gin.Context) error {
	return l.byAddress(c, "ip", "ip|", l.IPPerMinute, (*RateLimits).peek, (*RateLimits).peek)
}

// byClientIP counts an address against what it may do with one project's key
// alone.
func (l *RateLimits) byClientIP(c *gin.Context, p models.ProjectID, tell counting) error {
	return l.byAddress(c, "ip", "client|"+string(p)+"|", l.ClientIPPerMinute, tell, (*RateLimits).quietly)
}

// counting takes one from a bucket, or refuses it.
type counting func(l *RateLimits, c *gin.Context, policy, key string, perMinute int) error

// byAddress counts an IPv4 address, or the /64 of an IPv6 one, and then its
// /48, which may do more: who has many /64 gains little by changing among them.
func (l *RateLimits) byAddress(c *gin.Context, policy, prefix string, perMinute int, narrow, wide counting) error {
	if perMinute <= 0 {
		return nil
	}
	address := clientOf(c)
	key := append(make([]byte, 0, 128), prefix...) // on the stack, if it fits
	if err := narrow(l, c, policy, string(clientip.Bucket(address).AppendTo(key)), perMinute); err != nil {
		return err
	}
	around, ok := clientip.Wide(address)
	if !ok {
		return nil
	}
	return wide(l, c, policy, string(around.AppendTo(key)), clientip.WideFactor*perMinute)
}

func (l *RateLimits) byCaller(c *gin.Context, p *models.Principal) error {
	switch p.Kind {
	case models.CallerOperator:
		return nil
	case models.CallerNobody:
		return l.byIP(c)
	case models.CallerPerson:
		return l.count(c, "user", p.RateKey, int(p.RequestsPerMinute))
	case models.CallerClientKey:
		// First, so that one address can not use up what all share.
		tell := (*RateLimits).quietly
		if p.RequestsPerMinute == 0 {
			tell = (*RateLimits).count // no other limit is there to be told
		}
		if err := l.byClientIP(c, p.Project.ID, tell); err != nil {
			return err
		}
	}
	return l.count(c, "project", p.RateKey, int(p.RequestsPerMinute))
}

// count takes one request from a bucket and sets its headers.
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

// quietly counts as count does, and says so only when it refuses.
func (l *RateLimits) quietly(c *gin.Context, policy, key string, perMinute int) error {
	if d := l.Limiter.Allow(c.Request.Context(), key, ratelimit.PerMinute(perMinute)); !d.Allowed {
		return l.refuse(c, policy, d)
	}
	return nil
}

// peek refuses what count would, and counts nothing.
func (l *RateLimits) peek(c *gin.Context, policy, key string, perMinute int) error {
	if d := l.Limiter.Peek(c.Request.Context(), key, ratelimit.PerMinute(perMinute)); !d.Allowed {
		return l.refuse(c, policy, d)
	}
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
