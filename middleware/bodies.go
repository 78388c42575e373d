package middleware

import (
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gin-gonic/gin"

	"pulse-control-plane/models"
	"pulse-control-plane/utils/clientip"
)

// Bodies bounds the memory of all request bodies together, so that clients that
// send bodies slowly, or never finish them, cannot fill it.
//
// What one caller has sent of several bodies that are not complete may be no more than
// what is still free of all. So one caller fills half at most, and however many fill it,
// some is left for the next one (services/events does the same with streams).
type Bodies struct {
	limit  int64
	used   atomic.Int64
	parent *Bodies

	mu sync.Mutex
	// unfinished is how much each caller has sent of bodies that are not complete.
	unfinished map[string]int64
}

// NewBodies bounds the bodies in memory to limit bytes; 0 or less is no bound.
func NewBodies(limit int64) *Bodies { return &Bodies{limit: limit, unfinished: map[string]int64{}} }

// Share gives a part of b that holds at most so many percent of its bytes, so that
// callers of that part cannot use up the whole.
func (b *Bodies) Share(percent int64) *Bodies {
	part := NewBodies(b.limit * percent / 100)
	part.parent = b
	return part
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
		body := &countedBody{ReadCloser: http.MaxBytesReader(c.Writer, c.Request.Body, most), in: b, c: c, length: c.Request.ContentLength}
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

// hold counts n more bytes of an unfinished body, of which had are counted already, or
// refuses them. A caller's only body is not refused: its own limit bounds it.
func (b *Bodies) hold(caller string, had, n int64) bool {
	if b.limit <= 0 {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	before := b.unfinished[caller]
	if before > had && before+n > b.limit-b.used.Load() {
		return false
	}
	b.unfinished[caller] = before + n
	return true
}

// drop takes back what hold counted.
func (b *Bodies) drop(caller string, n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.unfinished[caller] -= n; b.unfinished[caller] <= 0 {
		delete(b.unfinished, caller)
	}
}

// senderOf is what a request's body is held under: the organization, its public keys
// apart, since everybody has them; else the address.
func senderOf(c *gin.Context) string {
	p, _ := principalOf(c)
	switch {
	case p.Kind == models.CallerClientKey:
		return string(p.OrgID) + "|client"
	case p.Kind != models.CallerNobody:
		return string(p.Kind) + string(p.OrgID)
	}
	return clientip.Bucket(clientOf(c)).String()
}

const bodyMemoryExhausted = "body_memory_exhausted"

// countedBody counts what is read of a body.
type countedBody struct {
	io.ReadCloser
	in *Bodies
	c  *gin.Context
	// length is Content-Length; -1 if it is not known.
	length, taken int64
	// sender and held are set once a body turns out to be unfinished: most come in
	// one piece, and cost no more than one addition.
	sender string
	held   int64
}

func (r *countedBody) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if n > 0 {
		if !r.in.take(int64(n)) {
			return 0, errBodyMemory()
		}
		r.taken += int64(n)
	}
	switch {
	case err != nil, r.taken == r.length:
		r.drop()
	case n > 0 && !r.hold():
		return 0, errBodyMemory()
	}
	return n, err
}

// hold counts what was read of an unfinished body.
func (r *countedBody) hold() bool {
	if r.sender == "" {
		r.sender = senderOf(r.c)
	}
	if !r.in.hold(r.sender, r.held, r.taken-r.held) {
		return false
	}
	r.held = r.taken
	return true
}

func errBodyMemory() *models.Error {
	full := models.NewError(models.KindUnavailable, bodyMemoryExhausted, "Too many request bodies are being read; try again shortly.")
	full.RetryAfter = time.Second
	return full
}

// drop takes back what hold counted, once a body is complete or is read no further.
func (r *countedBody) drop() {
	if r.held > 0 {
		r.in.drop(r.sender, r.held)
		r.held = 0
	}
}

func (r *countedBody) release() {
	r.in.give(r.taken)
	r.drop()
}
