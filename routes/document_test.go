package routes_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"

	"pulse-control-plane/routes"
)

// document loads openapi.yaml, once, and makes it stricter than it is: an
// answer may hold nothing the document does not know. Clients are not told so,
// because fields may be added.
var document = sync.OnceValues(func() (*openapi3.T, error) {
	openapi3filter.RegisterBodyDecoder("text/html", openapi3filter.PlainBodyDecoder)
	openapi3filter.RegisterBodyDecoder("text/csv", openapi3filter.PlainBodyDecoder)
	openapi3filter.RegisterBodyDecoder("application/jsonl", openapi3filter.PlainBodyDecoder)
	doc, err := openapi3.NewLoader().LoadFromData(routes.OpenAPI())
	if err != nil {
		return nil, err
	}
	for _, schema := range doc.Components.Schemas {
		if s := schema.Value; len(s.Properties) > 0 && s.AdditionalProperties.Schema == nil {
			no := false
			s.AdditionalProperties = openapi3.AdditionalProperties{Has: &no}
		}
	}
	return doc, nil
})

// operation finds what the document says of a request; nil if nothing.
func operation(doc *openapi3.T, method, path string) *routers.Route {
	asked := strings.Split(path, "/")
	for template, item := range doc.Paths.Map() {
		segments := strings.Split(template, "/")
		if slices.EqualFunc(segments, asked, func(s, a string) bool { return s == a || s[:min(1, len(s))] == "{" && a != "" }) {
			if o := item.GetOperation(method); o != nil {
				return &routers.Route{Spec: doc, Path: template, PathItem: item, Method: method, Operation: o}
			}
		}
	}
	return nil
}

// conforms holds an answer against the document. What the document has no
// operation for is 404 or 405, as components/responses describe them.
func conforms(r *http.Request, status int, header http.Header, body []byte) error {
	doc, err := document()
	if err != nil {
		return err
	}
	route := operation(doc, r.Method, r.URL.EscapedPath())
	if route == nil {
		answers := &openapi3.Responses{}
		answers.Set("404", doc.Components.Responses["NotFound"])
		answers.Set("405", doc.Components.Responses["MethodNotAllowed"])
		route = &routers.Route{Spec: doc, Path: r.URL.Path, Method: r.Method, Operation: &openapi3.Operation{Responses: answers}}
	}
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, Route: route},
		Status:                 status, Header: header, Body: io.NopCloser(bytes.NewReader(body)),
		Options: &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	}
	if err := openapi3filter.ValidateResponse(r.Context(), input); err != nil {
		return err
	}
	if d := route.Operation.Responses.Status(status); len(d.Value.Content) == 0 && len(body) > 0 {
		return fmt.Errorf("a body where the document has none: %q", body)
	}
	return nil
}

// documentedCodes are the problem codes the document lists.
func documentedCodes() ([]any, error) {
	doc, err := document()
	if err != nil {
		return nil, err
	}
	codes, ok := doc.Components.Schemas["Problem"].Value.Properties["code"].Value.Extensions["x-extensible-enum"].([]any)
	if !ok {
		return nil, errors.New("the document lists no problem codes")
	}
	return codes, nil
}
