package request

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gin-gonic/gin"

	"pulse-control-plane/models"
)

const (
	defaultLimit = 20
	maxLimit     = 100
	maxCursor    = 1024
	// MaxText is the length of a text parameter in characters.
	MaxText = 128
)

// Query reads the query parameters of a request and collects what is wrong
// with them. Make one per request with NewQuery, and ask Err before using
// what it gave.
type Query struct {
	values url.Values
	wrong  []models.FieldError
}

// NewQuery reads the query of a request.
func NewQuery(c *gin.Context) *Query { return &Query{values: c.Request.URL.Query()} }

// Refuse notes that a parameter is wrong; message completes "query.name ".
func (q *Query) Refuse(name, message string) {
	q.wrong = append(q.wrong, models.FieldError{Location: "query." + name, Message: message})
}

// Err returns invalid with every wrong parameter, or nil.
func (q *Query) Err() error { return invalid(q.wrong) }

// Text gives a parameter of at most MaxText characters, "" if absent.
func (q *Query) Text(name string) string { return q.TextUpTo(name, MaxText) }

// TextUpTo gives a parameter of at most so many characters, "" if absent.
func (q *Query) TextUpTo(name string, most int) string {
	value := q.values.Get(name)
	switch {
	case !utf8.ValidString(value) || strings.ContainsRune(value, 0):
		q.Refuse(name, "must be UTF-8 text")
		return ""
	case utf8.RuneCountInString(value) > most:
		q.Refuse(name, fmt.Sprintf("must have at most %d characters", most))
		return ""
	}
	return value
}

// OneOf gives a parameter that is one of the options, "" if absent.
func (q *Query) OneOf(name string, options ...string) string {
	value := q.values.Get(name)
	for _, option := range options {
		if value == option {
			return value
		}
	}
	if q.values.Has(name) {
		q.Refuse(name, "must be one of: "+strings.Join(options, ", "))
	}
	return ""
}

// Page gives the parameters of a list: limit, 1 to 100 (20 if absent), and
// cursor, "" for the first page.
func (q *Query) Page() (limit int, cursor string) {
	limit, cursor = defaultLimit, q.TextUpTo("cursor", maxCursor)
	if given, ok := q.values["limit"]; ok {
		n, err := strconv.Atoi(given[0])
		if err != nil || n < 1 || n > maxLimit {
			q.Refuse("limit", fmt.Sprintf("must be a whole number from 1 to %d", maxLimit))
			return defaultLimit, cursor
		}
		limit = n
	}
	return limit, cursor
}

// Flag gives a parameter that is true or false, false if absent.
func (q *Query) Flag(name string) bool {
	return q.OneOf(name, "true", "false") == "true"
}

// Time gives an RFC 3339 time in UTC, the zero time if absent.
func (q *Query) Time(name string) time.Time {
	if !q.values.Has(name) {
		return time.Time{}
	}
	wrong := len(q.wrong)
	text := q.Text(name)
	if len(q.wrong) > wrong {
		return time.Time{}
	}
	at, err := time.Parse(time.RFC3339, text)
	// Sums over a time must stay within the years of RFC 3339.
	if err != nil || at.Year() < 1970 || at.Year() > 9998 {
		message := "must be a time such as 2026-01-31T12:00:00Z (RFC 3339)"
		if strings.Contains(text, " ") { // what + means in a query
			message += "; write + as %2B"
		}
		q.Refuse(name, message)
		return time.Time{}
	}
	return at.UTC()
}
