package middleware

import (
	"io"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"

	"pulse-control-plane/models"
)

// Bodies bounds the memory of all request bodies together, so that clients that
// send bodies slowly, or never finish them, cannot fill it.
type Bodies struct {
	limit  int64
	used   atomic.Int64
	parent *Bodies
}

// NewBodies bounds the bodies in memory to limit bytes; 0 or less is no bound.
func NewBodies(limit int64) *Bodies { return &Bodies{limit: limit} }

// Share gives a part of b that holds at most so many percent of its bytes, so that
// callers of that part cannot use up the whole.
func (b *Bodies) Share(percent int64) *Bodies {
	return &Bodies{limit: b.limit * percent / 100, parent: b}
}

// Limit bounds a request's body to most bytes; a larger Content-Length is
// refused before the body is read. What is read counts in b until the request
// ends; reading beyond b's limit gives unavailable body_memory_exhausted.
func (b *Bodies) Limit(most int64) gin.HandlerFunc {
	return func(c *gin.Context) {
		if c.Request.ContentLength > most {
			Abort(c, TooLarge(most))
			return
		}
		if c.Request.Body == nil || c.Request.Body == http.NoBody {
			return
		}
		body := &countedBody{ReadCloser: http.MaxBytesReader(c.Writer, c.Request.Body, most), in: b}
		c.Request.Body = body
		defer body.release()
		c.Next()
	}
}

func (b *Bodies) take(n int64) bool {
	if b.used.Add(n) > b.limit && b.limit > 0 || b.parent != nil && !b.parent.take(n) {
		b.used.Add(-n)
		return false
	}
	return true
}

func (b *Bodies) give(n int64) {
	for ; b != nil; b = b.parent {
		b.used.Add(-n)
	}
}

const bodyMemoryExhausted = "body_memory_exhausted"

// countedBody counts what is read of a body.
type countedBody struct {
	io.ReadCloser
	in    *Bodies
	taken int64
}

func (r *countedBody) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if n > 0 {
		if !r.in.take(int64(n)) {
			full := models.NewError(models.KindUnavailable, bodyMemoryExhausted, "Too many request bodies are being read; try again shortly.")
			full.RetryAfter = time.Second
			return 0, full
		}
		r.taken += int64(n)
	}
	return n, err
}

func (r *countedBody) release() { r.in.give(r.taken) }
