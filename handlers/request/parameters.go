package request

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gin-gonic/gin"

	"pulse-control-plane/models"
)

// Route is a method and gin's pattern of a path.
type Route struct{ Method, Pattern string }

// Parameters are the query parameters of each route that takes any.
type Parameters map[Route][]string

// Around wraps a handler of /v1; others ignore their query. A query that does not parse, repeats a parameter or
// has an unknown one is invalid, and the handler is not called. The fields of
// the handler's error that a service named bare get the part of the request
// they came from: "query." for the route's parameters, "body." for others.
func (p Parameters) Around(f func(*gin.Context) error) func(*gin.Context) error {
	return func(c *gin.Context) error {
		if c.Request.URL.RawQuery != "" && strings.HasPrefix(c.FullPath(), "/v1/") {
			if err := p.check(c); err != nil {
				return err
			}
		}
		return p.locate(c, f(c))
	}
}

func (p Parameters) of(c *gin.Context) []string {
	method := c.Request.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	return p[Route{method, c.FullPath()}]
}

func (p Parameters) check(c *gin.Context) error {
	values, err := url.ParseQuery(c.Request.URL.RawQuery)
	if err != nil {
		message := "does not parse: an escape is % and two hexadecimal digits"
		if strings.Contains(c.Request.URL.RawQuery, ";") {
			message = "does not parse: separate parameters with &, and write ; in a value as %3B"
		}
		return models.Invalid(models.FieldError{Location: "query", Message: message})
	}
	q, known := Query{}, p.of(c)
	for _, name := range slices.Sorted(maps.Keys(values)) {
		switch {
		case len(q.wrong) == MaxErrors:
		case !slices.Contains(known, name):
			q.Refuse(clip(strings.ToValidUTF8(name, "\ufffd")), "is not a known parameter")
		case len(values[name]) > 1:
			q.Refuse(name, "is given more than once")
		}
	}
	return q.Err()
}

// locate prefixes bare fields. Those of this package are prefixed already.
func (p Parameters) locate(c *gin.Context, err error) error {
	if err == nil {
		return nil
	}
	e, ok := err.(*models.Error) // services do not wrap their errors
	if !ok || len(e.Fields) == 0 {
		return err
	}
	located, known := *e, p.of(c)
	located.Fields = slices.Clone(e.Fields)
	for i, field := range located.Fields {
		first, _, _ := strings.Cut(field.Location, ".")
		name, _, _ := strings.Cut(first, "[")
		switch {
		case slices.Contains([]string{"body", "query", "header", "path"}, first):
		case slices.Contains(known, name):
			located.Fields[i].Location = "query." + field.Location
		default:
			located.Fields[i].Location = "body." + field.Location
		}
	}
	return &located
}
