package middleware

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/debug"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/rs/zerolog"

	"pulse-control-plane/models"
	"pulse-control-plane/utils/ids"
)

// requestIDHeader of the response also carries the id to later middleware: a
// value in gin's context would cost each request a map.
const requestIDHeader = "X-Request-Id"

// maxRequestID is the longest id a client may send.
const maxRequestID = 128

// RequestID accepts X-Request-Id if it is well-formed (1 to 128 of A–Z a–z 0–9
// . _ - : =) and does not look like a credential, makes one otherwise, and always
// returns it.
func RequestID(c *gin.Context) {
	id := c.GetHeader(requestIDHeader)
	if !wellFormedRequestID(id) || holdsCredential(id) {
		id = ids.New(models.RequestPrefix)
	}
	c.Writer.Header()[requestIDHeader] = []string{id}
}

func wellFormedRequestID(id string) bool {
	if id == "" || len(id) > maxRequestID {
		return false
	}
	for i := range len(id) {
		switch b := id[i]; {
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9',
			b == '.', b == '_', b == '-', b == ':', b == '=':
		default:
			return false
		}
	}
	return true
}

// holdsCredential tells whether text must not be logged because it may hold a
// key or secret (also as the user of a credential of the scheme Basic, in base64), a
// webhook's secret, a refresh token or a JWT (which begins with {" in base64).
func holdsCredential(id string) bool {
	return strings.Contains(id, "pulse_") || strings.Contains(id, "cHVsc2Vf") || strings.Contains(id, models.SessionPrefix) || strings.Contains(id, "eyJ") || strings.Contains(id, "whsec_")
}

// RequestIDOf gives the id of the request.
func RequestIDOf(c *gin.Context) string { return c.Writer.Header().Get(requestIDHeader) }

// Log writes one line per request: level by status, with request id, principal,
// project and latency. The query is left out because it may hold private data.
func Log(log zerolog.Logger, now func() time.Time) gin.HandlerFunc {
	return func(c *gin.Context) {
		start := now()
		c.Next()
		logged(c, &log, now().Sub(start))
	}
}

// logged writes the line of a request. It is apart from Log so that streams wait with
// a small stack.
func logged(c *gin.Context, log *zerolog.Logger, took time.Duration) {
	code := c.Writer.Status()
	level := zerolog.InfoLevel
	switch {
	case code == statusClientGone: // theirs to end, and nothing to look into
	case code >= http.StatusInternalServerError:
		level = zerolog.ErrorLevel
	case code >= http.StatusBadRequest:
		level = zerolog.WarnLevel
	}
	line := log.WithLevel(level)
	if line == nil {
		return
	}
	line = line.Str("request_id", RequestIDOf(c)).Str("method", method(c.Request.Method)).Str("path", loggedPath(c)).
		Int("status", code).Int("bytes", c.Writer.Size()).Dur("latency_ms", took).Str("ip", c.RemoteIP())
	if trace := traceID(c.GetHeader(traceParent)); trace != "" {
		line = line.Str("trace_id", trace)
	}
	if p, ok := principalOf(c); ok {
		line = line.Str("principal", string(p.Kind))
		if p.UserID != "" {
			line = line.Str("user_id", string(p.UserID))
		}
		if p.Project != nil {
			line = line.Str("project_id", string(p.Project.ID)).Str("key_id", string(p.KeyID))
		}
		if p.OrgID != "" {
			line = line.Str("org_id", string(p.OrgID))
		}
	}
	if last := c.Errors.Last(); last != nil {
		var e *models.Error
		if errors.As(last.Err, &e) {
			line = line.Str("code", e.Code)
		}
		if level == zerolog.ErrorLevel {
			line = line.Err(last.Err)
		}
	}
	line.Msg("request")
}

// maxLoggedPath bounds a path in the log and in problems, in bytes.
const maxLoggedPath = 256

// loggedPath is the request's path as it is escaped on the wire, cut to
// maxLoggedPath, or its route if the path holds a credential, such as a key
// instead of a key's id.
func loggedPath(c *gin.Context) string {
	if !holdsCredential(c.Request.URL.Path) {
		path := c.Request.URL.EscapedPath() // ASCII: a line of the log needs no escapes for it
		if len(path) > maxLoggedPath {
			path = path[:maxLoggedPath-len(cutOff)]
			if escape := strings.LastIndexByte(path, '%'); escape >= len(path)-2 {
				path = path[:max(0, escape)]
			}
			path += cutOff
		}
		return path
	}
	if route := c.FullPath(); route != "" {
		return route
	}
	return unmatched
}

// cutOff ends a path that was cut.
const cutOff = "..."

// traceID gives the trace id of a W3C traceparent ("00-<32 hex>-<16 hex>-<2
// hex>"), or "" for anything else.
func traceID(parent string) string {
	const length = 2 + 1 + 32 + 1 + 16 + 1 + 2
	if len(parent) != length || parent[2] != '-' || parent[35] != '-' || parent[52] != '-' {
		return ""
	}
	id := parent[3:35]
	zero := true
	for i := range len(id) {
		b := id[i]
		if (b < '0' || b > '9') && (b < 'a' || b > 'f') {
			return ""
		}
		zero = zero && b == '0'
	}
	if zero {
		return ""
	}
	return id
}

// Recover turns a panic into a 500 without details and logs the stack.
func Recover(log zerolog.Logger) gin.HandlerFunc {
	return func(c *gin.Context) {
		defer func() {
			switch p := recover(); p {
			case nil:
			case http.ErrAbortHandler:
				panic(p)
			default:
				log.Error().Str("request_id", RequestIDOf(c)).Bytes("stack", debug.Stack()).Msg("panic")
				Abort(c, models.Internal(fmt.Errorf("panic: %v", p)))
			}
		}()
		c.Next()
	}
}

// Timeout gives each request a deadline. A request that exceeds it gets 503.
func Timeout(d time.Duration) gin.HandlerFunc {
	return func(c *gin.Context) {
		ctx, cancel := context.WithTimeout(c.Request.Context(), d)
		defer cancel()
		c.Request = c.Request.WithContext(ctx)
		c.Next()
	}
}

// TooLarge is the error of a body of more than limit bytes.
func TooLarge(limit int64) *models.Error {
	return models.NewError(models.KindTooLarge, "body_too_large", fmt.Sprintf("The body must be at most %d bytes.", limit))
}
