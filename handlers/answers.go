package handlers

import (
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-json-experiment/json"

	"pulse-control-plane/handlers/request"
	"pulse-control-plane/models"
	"pulse-control-plane/services/paging"
)

// answer writes a JSON response.
func answer(c *gin.Context, status int, body any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return models.Internal(err)
	}
	write(c, status, data)
	return nil
}

// write sends a JSON response. net/http sets the Content-Length of a response
// that fits its buffer; setting it here would grow the header's map.
func write(c *gin.Context, status int, data []byte) {
	header := c.Writer.Header()
	header["Content-Type"] = []string{"application/json"}
	const counted = 2 << 10 // net/http's buffer
	if len(data) > counted {
		header["Content-Length"] = []string{strconv.Itoa(len(data))}
	}
	c.Status(status)
	if _, err := c.Writer.Write(data); err != nil {
		_ = c.Error(err) // the client closed the connection; the log line says so
	}
}

// done sends 204 No Content.
func done(c *gin.Context) error {
	c.Status(http.StatusNoContent)
	c.Writer.WriteHeaderNow()
	return nil
}

// List is one page of a list, newest first.
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

// pageOf reads limit and cursor.
func pageOf(q *request.Query) paging.Request {
	limit, cursor := q.Page()
	return paging.Request{Limit: limit, Cursor: cursor}
}

// projectOf reads project_id, "" if absent.
func projectOf(q *request.Query) models.ProjectID {
	return models.ProjectID(q.Text("project_id"))
}

// instant renders a time as /v1 shows it: RFC 3339, UTC, to the millisecond
// that is stored.
func instant(t time.Time) time.Time { return t.UTC().Truncate(time.Millisecond) }

// instantOrNull is instant for an optional time.
func instantOrNull(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	at := instant(*t)
	return &at
}

// oneOf reads a parameter that has one of the values of a type, or is not sent.
func oneOf[T ~string](q *request.Query, name string, allowed ...T) T {
	names := make([]string, len(allowed))
	for i, value := range allowed {
		names[i] = string(value)
	}
	return T(q.OneOf(name, names...))
}
