package middleware

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"pulse-control-plane/models"
	"pulse-control-plane/services/idempotency"
)

// Idempotency answers a POST that is sent again with the first answer, where
// its caller sends an Idempotency-Key. It stands after authentication and after
// the limit on bodies.
type Idempotency struct{ Service *idempotency.Store }

// Once runs a request at most once for its Idempotency-Key; without one it
// costs nothing. Kept are answers to what took place: 2xx and 409 (other than
// concurrent_change, which asks to be tried again). What was refused before
// anything happened, or failed, is not kept: sent again it runs again.
func (i *Idempotency) Once(c *gin.Context) error {
	values, given := c.Request.Header["Idempotency-Key"]
	if !given {
		return nil
	}
	if len(values) != 1 || values[0] == "" || !utf8.ValidString(values[0]) || utf8.RuneCountInString(values[0]) > models.MaxIdempotencyKey {
		return models.Invalid(models.FieldError{Location: "header.Idempotency-Key", Message: "must be sent once, with 1 to 255 characters"})
	}
	body, err := io.ReadAll(c.Request.Body)
	c.Request.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), failing{err}))
	if err != nil {
		return nil // the handler reads as far, and says what is wrong
	}
	p, _ := principalOf(c)
	attempt, first, err := i.Service.Begin(c.Request.Context(), p, idempotency.Request{
		Key: values[0], Route: c.Request.Method + " " + c.Request.URL.RequestURI(), Body: body, IP: c.ClientIP(),
	})
	if err != nil {
		return err
	}
	if first != nil {
		c.Writer.Header()["Idempotent-Replayed"] = []string{"true"}
		c.Data(first.Status, first.ContentType, first.Body)
		c.Abort()
		return nil
	}
	return i.run(c, attempt)
}

// run runs the rest of the chain and keeps its answer before it is sent.
func (i *Idempotency) run(c *gin.Context, attempt *idempotency.Attempt) error {
	ctx := context.WithoutCancel(c.Request.Context())
	held := &heldWriter{ResponseWriter: c.Writer, status: http.StatusOK}
	finished := false
	defer func() {
		c.Writer = held.ResponseWriter
		if !finished { // it panicked: whoever recovers answers
			_ = attempt.Release(ctx) // otherwise its lease runs out
		}
	}()
	c.Writer = held
	c.Next()
	finished = true
	if kept(held.status, c.Errors.Last()) {
		// An answer that can't be kept is still the answer: the lease then runs
		// out as if this process had died here.
		_ = attempt.Complete(ctx, idempotency.Answer{
			Status: held.status, ContentType: held.Header().Get("Content-Type"), Body: held.body.Bytes(),
		})
	} else {
		_ = attempt.Release(ctx)
	}
	return held.send()
}

// kept tells which answers are the answer to the same request for a day.
func kept(status int, last *gin.Error) bool {
	switch {
	case status >= 200 && status < 300:
		return true
	case status == http.StatusConflict:
		return last == nil || !models.HasCode(last.Err, "concurrent_change")
	}
	return false
}

// heldWriter holds an answer back.
type heldWriter struct {
	gin.ResponseWriter
	status int
	body   bytes.Buffer
	begun  bool
}

func (w *heldWriter) WriteHeader(status int) { w.status = status }
func (w *heldWriter) WriteHeaderNow()        { w.begun = true }
func (w *heldWriter) Status() int            { return w.status }
func (w *heldWriter) Size() int              { return w.body.Len() }
func (w *heldWriter) Written() bool          { return w.begun }
func (w *heldWriter) Flush()                 {}

func (w *heldWriter) Write(p []byte) (int, error) {
	w.begun = true
	return w.body.Write(p)
}

func (w *heldWriter) WriteString(s string) (int, error) {
	w.begun = true
	return w.body.WriteString(s)
}

// send lets the answer go. A client that has hung up is no error of ours.
func (w *heldWriter) send() error {
	w.ResponseWriter.WriteHeader(w.status)
	w.ResponseWriter.WriteHeaderNow()
	_, _ = w.ResponseWriter.Write(w.body.Bytes())
	return nil
}

// failing gives an error, or the end.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) {
	if f.err == nil || errors.Is(f.err, io.EOF) {
		return 0, io.EOF
	}
	return 0, f.err
}
