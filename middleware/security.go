package middleware

import (
	"net/http"
	"slices"

	"github.com/gin-gonic/gin"
	"github.com/rs/cors"
)

// SecurityHeaders sets the headers of an API that serves no pages. strict adds
// Strict-Transport-Security, for an installation behind TLS. /docs replaces the
// content policy.
func SecurityHeaders(strict bool) gin.HandlerFunc {
	// Shared slices, so that requests do not allocate them.
	type field struct {
		name  string
		value []string
	}
	fixed := []field{
		{"X-Content-Type-Options", []string{"nosniff"}},
		{"X-Frame-Options", []string{"DENY"}},
		{"Referrer-Policy", []string{"no-referrer"}},
		{"Content-Security-Policy", []string{"default-src 'none'; frame-ancestors 'none'"}},
		{"Cache-Control", []string{"no-store"}},
	}
	if strict {
		fixed = append(fixed, field{"Strict-Transport-Security", []string{"max-age=63072000; includeSubDomains"}})
	}
	return func(c *gin.Context) {
		header := c.Writer.Header()
		for _, f := range fixed {
			header[f.name] = f.value
		}
	}
}

// CORS allows pages of these origins to call the API. "*" allows every page, but
// without credentials. Without origins it sets nothing. Every page may call the
// open paths, without credentials: their handlers decide about origins.
func CORS(origins []string, open ...string) gin.HandlerFunc {
	configured, everywhere := corsRules(origins), corsRules([]string{"*"})
	return func(c *gin.Context) {
		rules := configured
		if slices.Contains(open, c.Request.URL.Path) {
			if c.Request.Header["Origin"] == nil {
				return // no page asks, and no answer depends on a page
			}
			rules = everywhere
		}
		if rules == nil {
			return
		}
		rules.HandlerFunc(c.Writer, c.Request)
		if c.Request.Method == http.MethodOptions && c.GetHeader("Access-Control-Request-Method") != "" {
			c.AbortWithStatus(http.StatusNoContent)
		}
	}
}

// corsRules are those for pages of these origins; nil for none.
func corsRules(origins []string) *cors.Cors {
	if len(origins) == 0 {
		return nil
	}
	anyOrigin := slices.Contains(origins, "*")
	return cors.New(cors.Options{
		AllowedOrigins:   origins,
		AllowCredentials: !anyOrigin,
		AllowedMethods: []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
			http.MethodDelete, http.MethodOptions},
		AllowedHeaders: []string{"Authorization", "Content-Type", "Accept", "X-Pulse-Key", "X-Pulse-Secret",
			"Idempotency-Key", "X-Request-Id", "Traceparent", "Tracestate", "Baggage", "Sentry-Trace", "Last-Event-Id"},
		ExposedHeaders: []string{"X-Request-Id", "RateLimit", "RateLimit-Policy", "X-RateLimit-Limit",
			"X-RateLimit-Remaining", "X-RateLimit-Reset", "Retry-After", "Idempotent-Replayed", "Deprecation", "Sunset"},
		MaxAge: 600,
	})
}
