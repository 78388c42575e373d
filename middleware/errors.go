package middleware

import (
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-json-experiment/json"

	"pulse-control-plane/models"
)

// Func is a handler or middleware that may fail. Wrap renders its error.
type Func func(*gin.Context) error

// Problem is the body of every error response (RFC 9457), with a stable code, the
// request id and every wrong field. Error repeats detail for clients that read
// only that.
type Problem struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail"`
	Instance  string `json:"instance"`
	Code      string `json:"code"`
	RequestID string `json:"request_id"`
	// TraceID is that of the request's span, or of the caller's traceparent.
	TraceID string         `json:"trace_id,omitempty"`
	Errors  []ProblemField `json:"errors,omitempty"`
	Error   string         `json:"error"`
	*ProblemQuota
}

// ProblemQuota describes an exceeded quota (RFC 9457, section 3.2). Limit and Used
// are minutes or counts. Reset is the end of the month, or null for quotas that
// are not monthly.
type ProblemQuota struct {
	Quota models.Quota `json:"quota"`
	Limit int64        `json:"limit"`
	Used  float64      `json:"used"`
	// Reserved is the part of Used held for tokens whose participants have not
	// joined.
	Reserved int64      `json:"reserved"`
	Reset    *time.Time `json:"reset"`
}

// ProblemField is one wrong field. Location is its path, such as
// "body.ttl_seconds", "query.limit" or "header.Idempotency-Key".
type ProblemField struct {
	Location string `json:"location"`
	Message  string `json:"message"`
}

// problemType is the prefix of a problem's type; its code follows.
const problemType = "urn:pulse:problem:"

// status is the one table from kinds of error to HTTP.
func status(k models.Kind) int {
	switch k {
	case models.KindInvalid:
		return http.StatusBadRequest
	case models.KindUnauthenticated:
		return http.StatusUnauthorized
	case models.KindQuotaExceeded:
		return http.StatusPaymentRequired
	case models.KindForbidden:
		return http.StatusForbidden
	case models.KindNotFound:
		return http.StatusNotFound
	case models.KindMethod:
		return http.StatusMethodNotAllowed
	case models.KindTimeout:
		return http.StatusRequestTimeout
	case models.KindConflict:
		return http.StatusConflict
	case models.KindTooLarge:
		return http.StatusRequestEntityTooLarge
	case models.KindUnsupported:
		return http.StatusUnsupportedMediaType
	case models.KindRateLimited:
		return http.StatusTooManyRequests
	case models.KindUnavailable:
		return http.StatusServiceUnavailable
	case models.KindNotSupported:
		return http.StatusNotImplemented
	case models.KindClientGone:
		return statusClientGone
	case models.KindInternal:
	}
	return http.StatusInternalServerError
}

// statusClientGone is nginx's "client closed request", which has no RFC: no
// client reads it, except one that has closed only its own half.
const statusClientGone = 499

// Wrap makes a Func a gin handler: an error ends the request with a problem.
func Wrap(f Func) gin.HandlerFunc {
	return func(c *gin.Context) {
		if err := f(c); err != nil {
			Abort(c, err)
		}
	}
}

// Abort ends the request with the problem of err, and keeps err for the log
// line.
func Abort(c *gin.Context, err error) {
	problem := asError(c.Request.Context(), err)
	if problem.Kind == models.KindUnavailable && errors.Is(c.Request.Context().Err(), context.Canceled) {
		// Deadlines of ours end a request in another way: this is the client's.
		problem = models.NewError(models.KindClientGone, "client_closed_request", "The client closed the connection before the answer.").Because(problem)
	}
	_ = c.Error(problem) // for the log line; it returns what it was given
	if c.Writer.Written() {
		// Part of the response is sent: only cutting the connection tells the
		// client that the rest is missing.
		panic(http.ErrAbortHandler)
	}
	code := status(problem.Kind)
	header := c.Writer.Header()
	header.Set("Content-Type", "application/problem+json")
	switch problem.Kind {
	case models.KindUnauthenticated:
		header.Set("WWW-Authenticate", challenge(problem.Code))
	case models.KindUnavailable:
		if problem.RetryAfter == 0 {
			problem.RetryAfter = time.Second
		}
		if problem.Code == bodyMemoryExhausted {
			header.Set("Connection", "close") // the rest of the body is unread
		}
	case models.KindTooLarge, models.KindTimeout:
		// The rest of the body is unread.
		header.Set("Connection", "close")
	}
	if problem.RetryAfter > 0 {
		header.Set("Retry-After", strconv.Itoa(int(math.Ceil(problem.RetryAfter.Seconds()))))
	}
	detail := problem.Message
	if problem.Kind == models.KindInvalid && len(problem.Fields) == 1 {
		// One wrong field needs no list.
		detail = problem.Fields[0].Location + " " + problem.Fields[0].Message + "."
	}
	answer := Problem{
		Type: problemType + problem.Code, Title: title(code), Status: code, Detail: detail,
		Instance: instanceOf(c), Code: problem.Code, RequestID: RequestIDOf(c), TraceID: traceID(c.GetHeader(traceParent)),
		Errors: problemFields(problem.Fields), Error: detail,
	}
	if use := problem.Quota; use != nil {
		answer.ProblemQuota = &ProblemQuota{Quota: use.Quota, Limit: use.Limit, Used: use.Used, Reserved: use.Reserved}
		if !use.Reset.IsZero() {
			answer.Reset = &use.Reset
		}
	}
	body, err := json.Marshal(answer)
	if err != nil {
		body = nil // the status alone still says what matters
	}
	c.Abort()
	c.Data(code, "application/problem+json", body)
}

// instanceOf is the request's path as in the log: bounded, and without credentials.
func instanceOf(c *gin.Context) string {
	if path := loggedPath(c); strings.HasPrefix(path, "/") {
		return path
	}
	return "/"
}

func title(code int) string {
	if code == statusClientGone {
		return "Client Closed Request"
	}
	return http.StatusText(code)
}

func asError(ctx context.Context, err error) *models.Error {
	var e *models.Error
	switch {
	case errors.As(err, &e):
		copied := *e
		return &copied
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled), ctx.Err() != nil:
		return models.Unavailable(err)
	}
	return models.Internal(err)
}

func problemFields(fields []models.FieldError) []ProblemField {
	out := make([]ProblemField, 0, len(fields))
	for _, f := range fields {
		out = append(out, ProblemField{Location: f.Location, Message: f.Message})
	}
	return out
}

// challenge is the WWW-Authenticate header (RFC 6750, section 3): a request
// without a credential gets no error code.
func challenge(code string) string {
	if code == "unauthenticated" {
		return `Bearer realm="pulse"`
	}
	return `Bearer realm="pulse", error="invalid_token"`
}

// NotFound is the error of an unknown path.
func NotFound(*gin.Context) error {
	return models.NewError(models.KindNotFound, "not_found", "This path does not exist; /docs lists those that do.")
}

// MethodNotAllowed is the error of a method the path does not support. gin has
// set Allow.
func MethodNotAllowed(*gin.Context) error {
	return models.NewError(models.KindMethod, "method_not_allowed", "This path does not support the method; see Allow.")
}

// Unavailable answers every request with unavailable, for a reason that the log
// tells.
func Unavailable(reason error) Func {
	return func(*gin.Context) error { return models.Unavailable(reason) }
}
