package handlers

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gin-gonic/gin"
	"github.com/go-json-experiment/json"

	"pulse-control-plane/models"
	"pulse-control-plane/services/paging"
	"pulse-control-plane/utils/strictjson"
)

const (
	defaultLimit = 20
	maxLimit     = 100
	// maxQuery bounds a search text in characters.
	maxQuery = 128
)

// Requests reads what a request says.
type Requests struct{ decoder *strictjson.Decoder }

// NewRequests makes the reader all handlers share.
func NewRequests() *Requests { return &Requests{strictjson.New()} }

// actor takes the caller out of the request, once, with where the request came
// from, which the audit trail wants.
func actor(c *gin.Context) *models.Principal {
	p := *caller(c)
	p.Origin = origin(c)
	return &p
}

// origin is where a request came from, as the audit trail wants it.
func origin(c *gin.Context) models.Origin {
	return models.Origin{IP: c.ClientIP(), UserAgent: c.Request.UserAgent(), RequestID: c.Writer.Header().Get("X-Request-Id")}
}

// caller is actor for what leaves no trail and must be quick: it is shared by
// all requests of the caller.
func caller(c *gin.Context) *models.Principal {
	if v, ok := c.Get(models.PrincipalKey); ok {
		if p, ok := v.(*models.Principal); ok {
			return p
		}
	}
	return &models.Principal{}
}

// body reads a JSON body into a struct, reporting everything that is wrong
// with it at once.
func (r *Requests) body(c *gin.Context, into any) error {
	if err := jsonContent(c.Request); err != nil {
		return err
	}
	data, err := read(c.Request)
	if err != nil {
		return err
	}
	return r.decoder.Into(data, into)
}

// optionalBody is body for a request that may come without one.
func (r *Requests) optionalBody(c *gin.Context, into any) error {
	if c.Request.ContentLength == 0 {
		return nil
	}
	return r.body(c, into)
}

// read takes the body, whose size middleware has bounded.
func read(req *http.Request) ([]byte, error) {
	data, err := readAll(req)
	if err != nil {
		return nil, readFailure(err)
	}
	return data, nil
}

// readFailure explains why a body could not be read; errors that say what they
// are stay so.
func readFailure(err error) error {
	var known *models.Error
	var tooLarge *http.MaxBytesError
	var network net.Error
	switch {
	case errors.As(err, &known):
		return err
	case errors.As(err, &tooLarge):
		return models.NewError(models.KindTooLarge, "body_too_large",
			fmt.Sprintf("The body may have at most %d bytes.", tooLarge.Limit))
	case errors.As(err, &network) && network.Timeout():
		return models.NewError(models.KindTimeout, "body_too_slow", "The body did not arrive in time.")
	}
	return models.Invalid(models.FieldError{Location: "body", Message: "ended before it was complete"})
}

// readAll is io.ReadAll with the right size at once for a short body that says
// how long it is; a longer one gets its memory as it arrives.
func readAll(req *http.Request) ([]byte, error) {
	const short = 4 << 10
	if n := req.ContentLength; 0 < n && n <= short {
		data := make([]byte, n)
		_, err := io.ReadFull(req.Body, data)
		return data, err
	}
	return io.ReadAll(req.Body)
}

// jsonContent accepts application/json and application/*+json in UTF-8.
func jsonContent(req *http.Request) error {
	const plain = "application/json"
	if coding := req.Header["Content-Encoding"]; len(coding) > 0 && !(len(coding) == 1 && strings.EqualFold(coding[0], "identity")) {
		// RFC 9110, section 8.4.
		return &models.Error{Kind: models.KindUnsupported, Code: "unsupported_media_type",
			Message: "The body must be sent as it is, without a content coding.",
			Fields:  []models.FieldError{{Location: "header.Content-Encoding", Message: "must be absent"}}}
	}
	header := req.Header["Content-Type"]
	if len(header) == 1 && header[0] == plain {
		return nil
	}
	if len(header) == 1 {
		kind, params, err := mime.ParseMediaType(header[0])
		charset := params["charset"]
		isJSON := kind == plain || strings.HasPrefix(kind, "application/") && strings.HasSuffix(kind, "+json")
		if err == nil && isJSON && (charset == "" || strings.EqualFold(charset, "utf-8")) {
			return nil
		}
	}
	return &models.Error{Kind: models.KindUnsupported, Code: "unsupported_media_type",
		Message: "The body must be application/json in UTF-8.",
		Fields:  []models.FieldError{{Location: "header.Content-Type", Message: "must be application/json"}}}
}

// query collects what is wrong with the parameters of a request.
type query struct {
	c     *gin.Context
	wrong []models.FieldError
}

func (q *query) refuse(name, message string) {
	q.wrong = append(q.wrong, models.FieldError{Location: "query." + name, Message: message})
}

// text gives a parameter of at most max characters, "" if it is absent.
func (q *query) text(name string, most int) string {
	value := q.c.Query(name)
	switch {
	case !utf8.ValidString(value) || strings.ContainsRune(value, 0):
		q.refuse(name, "must be UTF-8 text")
		return ""
	case utf8.RuneCountInString(value) > most:
		q.refuse(name, fmt.Sprintf("must have at most %d characters", most))
		return ""
	}
	return value
}

// page gives limit (1 to 100, 20 if absent) and cursor.
func (q *query) page() paging.Request {
	p := paging.Request{Limit: defaultLimit, Cursor: q.text("cursor", 1024)}
	if raw, given := q.c.GetQuery("limit"); given {
		n, err := strconv.Atoi(raw)
		if err != nil || n < 1 || n > maxLimit {
			q.refuse("limit", fmt.Sprintf("must be a whole number from 1 to %d", maxLimit))
			n = defaultLimit
		}
		p.Limit = n
	}
	return p
}

// flag gives a parameter that is true or false, false if it is absent.
func (q *query) flag(name string) bool {
	switch q.c.Query(name) {
	case "true":
		return true
	case "", "false":
	default:
		q.refuse(name, "must be true or false")
	}
	return false
}

func (q *query) err() error {
	if len(q.wrong) == 0 {
		return nil
	}
	return models.Invalid(q.wrong...)
}

// answer writes a JSON answer.
func answer(c *gin.Context, status int, body any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return models.Internal(err)
	}
	write(c, status, data)
	return nil
}

// write sends a JSON answer. net/http sends the Content-Length of an answer as
// short as this by itself; setting it would make the header's map grow.
func write(c *gin.Context, status int, data []byte) {
	header := c.Writer.Header()
	header["Content-Type"] = []string{"application/json"}
	const counted = 2 << 10 // net/http's buffer
	if len(data) > counted {
		header["Content-Length"] = []string{strconv.Itoa(len(data))}
	}
	c.Status(status)
	if _, err := c.Writer.Write(data); err != nil {
		_ = c.Error(err) // the client has gone; the log line says so
	}
}

// done answers that there is nothing to say.
func done(c *gin.Context) error {
	c.Status(http.StatusNoContent)
	c.Writer.WriteHeaderNow()
	return nil
}

// List is a part of a list, newest first.
type List[T any] struct {
	Items      []T     `json:"items"`
	HasMore    bool    `json:"has_more"`
	NextCursor *string `json:"next_cursor"`
}

// listOf renders a page, item by item.
func listOf[T, V any](p paging.Page[T], render func(T) V) List[V] {
	out := List[V]{Items: make([]V, 0, len(p.Items))}
	for _, item := range p.Items {
		out.Items = append(out.Items, render(item))
	}
	if p.NextCursor != "" {
		out.HasMore, out.NextCursor = true, &p.NextCursor
	}
	return out
}

// instant renders a time as /v1 shows it: RFC 3339, UTC, to the millisecond
// that is stored.
func instant(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }
