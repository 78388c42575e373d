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
	"pulse-control-plane/utils/clientip"
	"pulse-control-plane/utils/intent"
)

// Idempotency repeats the first response to a POST that is sent again with the
// same Idempotency-Key. It runs after authentication and the body limit.
type Idempotency struct{ Service *idempotency.Store }

// Once runs a request at most once per Idempotency-Key. It stores 2xx and 409
// responses, except concurrent_change, which a client should retry. Other
// responses are not stored: the same request runs again, and after an answer
// that leaves open what happened it makes the same ids and secrets.
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
		return nil // the handler reads as far and reports the error
	}
	p, _ := principalOf(c)
	attempt, first, err := i.Service.Begin(c.Request.Context(), p, idempotency.Request{
		Key: values[0], Route: c.Request.Method + " " + c.Request.URL.RequestURI(), Body: body, IP: clientip.Bucket(clientOf(c)).String(),
	})
	if err != nil {
		return err
	}
	if first != nil {
		c.Writer.Header()["Idempotent-Replayed"] = []string{"true"}
		for _, cookie := range first.Cookies {
			c.Writer.Header().Add("Set-Cookie", cookie)
		}
		c.Data(first.Status, first.ContentType, first.Body)
		c.Abort()
		return nil
	}
	return i.run(c, attempt)
}

// run runs the rest of the chain and stores its response before it is sent.
func (i *Idempotency) run(c *gin.Context, attempt *idempotency.Attempt) error {
	ctx := context.WithoutCancel(c.Request.Context())
	held := &heldWriter{ResponseWriter: c.Writer, status: http.StatusOK}
	finished := false
	defer func() {
		c.Writer = held.ResponseWriter
		if !finished { // a panic: Recover responds
			attempt.Suspend(ctx)
		}
	}()
	c.Writer = held
	c.Request = c.Request.WithContext(intent.With(c.Request.Context(), attempt.Intent))
	c.Next()
	finished = true
	switch {
	case kept(held.status, c.Errors.Last()):
		// A response that cannot be stored is still sent: the same request again
		// finds what this one made.
		_ = attempt.Complete(ctx, idempotency.Answer{
			Status: held.status, ContentType: held.Header().Get("Content-Type"), Body: held.body.Bytes(), Cookies: held.Header()["Set-Cookie"],
		})
	case held.status >= statusClientGone: // what was written may be there, or come to be
		attempt.Suspend(ctx)
	default:
		attempt.Release(ctx)
	}
	return held.send()
}

// kept tells which responses are stored.
func kept(status int, last *gin.Error) bool {
	switch {
	case status >= 200 && status < 300:
		return true
	case status == http.StatusConflict:
		return last == nil || !models.HasCode(last.Err, "concurrent_change")
	}
	return false
}

// heldWriter buffers a response.
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

// send sends the response. A closed connection is not our error.
func (w *heldWriter) send() error {
	w.ResponseWriter.WriteHeader(w.status)
	w.ResponseWriter.WriteHeaderNow()
	_, _ = w.ResponseWriter.Write(w.body.Bytes())
	return nil
}

// failing is a reader that returns an error, or io.EOF.
type failing struct{ err error }

func (f failing) Read([]byte) (int, error) {
	if f.err == nil || errors.Is(f.err, io.EOF) {
		return 0, io.EOF
	}
	return 0, f.err
}
