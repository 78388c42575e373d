package routes_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/routers"
	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v3"

	"pulse-control-plane/routes"
)

// document loads openapi.yaml, once.
var document = sync.OnceValues(func() (*openapi3.T, error) {
	return openapi3.NewLoader().LoadFromData(routes.OpenAPI())
})

// schemas compiles the document's schemas, each once: kin-openapi, which does
// the rest, would compile one anew for each answer.
var schemas = sync.OnceValues(func() (*compiledSchemas, error) {
	var tree map[string]any
	if err := yaml.Unmarshal(routes.OpenAPI(), &tree); err != nil {
		return nil, err
	}
	text, err := json.Marshal(tree)
	if err != nil {
		return nil, err
	}
	root, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	// Stricter than the document is: an answer may hold nothing it does not
	// know. Clients are not told so, because fields may be added.
	components := root.(map[string]any)["components"].(map[string]any)["schemas"].(map[string]any)
	for _, component := range components {
		schema := component.(map[string]any)
		if _, open := schema["additionalProperties"]; !open && schema["properties"] != nil {
			schema["additionalProperties"] = false
		}
	}
	out := &compiledSchemas{compiler: jsonschema.NewCompiler(), byPointer: map[string]*jsonschema.Schema{}}
	out.compiler.DefaultDraft(jsonschema.Draft2020)
	out.compiler.AssertFormat()
	return out, out.compiler.AddResource("openapi.json", root)
})

type compiledSchemas struct {
	mu        sync.Mutex
	compiler  *jsonschema.Compiler
	byPointer map[string]*jsonschema.Schema
}

// validate holds JSON against the schema at a location in the document, given as
// the steps to it.
func (c *compiledSchemas) validate(data []byte, steps ...string) error {
	for i, step := range steps {
		steps[i] = strings.NewReplacer("~", "~0", "/", "~1").Replace(step)
	}
	location := "openapi.json#/" + strings.Join(steps, "/")
	c.mu.Lock()
	schema := c.byPointer[location]
	if schema == nil {
		var err error
		if schema, err = c.compiler.Compile(location); err != nil {
			c.mu.Unlock()
			return err
		}
		c.byPointer[location] = schema
	}
	c.mu.Unlock()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		return err
	}
	return schema.Validate(value)
}

// header holds a header of an answer against its description, which is one of
// components/headers.
func (c *compiledSchemas) header(name string, described *openapi3.HeaderRef, sent http.Header) error {
	component, ok := strings.CutPrefix(described.Ref, "#/components/headers/")
	switch values := sent.Values(name); {
	case !ok:
		return fmt.Errorf("the header %s is described inline", name)
	case len(values) == 0 && described.Value.Required:
		return fmt.Errorf("the header %s is missing", name)
	case len(values) == 0:
		return nil
	case len(values) > 1:
		return fmt.Errorf("the header %s is sent %d times", name, len(values))
	}
	value := []byte(sent.Get(name))
	if !described.Value.Schema.Value.Type.Is("integer") {
		quoted, err := json.Marshal(sent.Get(name))
		if err != nil {
			return err
		}
		value = quoted
	}
	if err := c.validate(value, "components", "headers", component, "schema"); err != nil {
		return fmt.Errorf("the header %s is %q: %w", name, sent.Get(name), err)
	}
	return nil
}

// operation finds what the document says of a request; nil if nothing.
func operation(doc *openapi3.T, method, path string) *routers.Route {
	if item := doc.Paths.Value(path); item != nil && item.GetOperation(method) != nil { // before a path with a parameter
		return &routers.Route{Spec: doc, Path: path, PathItem: item, Method: method, Operation: item.GetOperation(method)}
	}
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
// operation for is 404, 405 or 429, as components/responses describe them.
func conforms(r *http.Request, status int, header http.Header, body []byte) error {
	doc, err := document()
	if err != nil {
		return err
	}
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	route := operation(doc, method, r.URL.EscapedPath())
	location := []string{"components", "responses"}
	if route == nil {
		answers := &openapi3.Responses{}
		answers.Set("404", &openapi3.ResponseRef{Ref: "#/components/responses/NotFound", Value: doc.Components.Responses["NotFound"].Value})
		answers.Set("405", &openapi3.ResponseRef{Ref: "#/components/responses/MethodNotAllowed", Value: doc.Components.Responses["MethodNotAllowed"].Value})
		answers.Set("429", &openapi3.ResponseRef{Ref: "#/components/responses/RateLimited", Value: doc.Components.Responses["RateLimited"].Value})
		route = &routers.Route{Spec: doc, Path: r.URL.Path, Method: r.Method, Operation: &openapi3.Operation{Responses: answers}}
	}
	described := route.Operation.Responses.Status(status)
	if described == nil {
		return errors.New("the document does not know this status here")
	}
	all, err := schemas()
	if err != nil {
		return err
	}
	for name, h := range described.Value.Headers {
		if err := all.header(name, h, header); err != nil {
			return err
		}
	}
	if len(described.Value.Content) == 0 {
		if len(body) > 0 {
			return fmt.Errorf("a body where the document has none: %q", body)
		}
		return nil
	}
	kind, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil || described.Value.Content[kind] == nil {
		return fmt.Errorf("the document does not know %q here", header.Get("Content-Type"))
	}
	if !strings.HasSuffix(kind, "json") {
		return nil
	}
	if name, ok := strings.CutPrefix(described.Ref, "#/components/responses/"); ok {
		location = append(location, name)
	} else {
		location = []string{"paths", route.Path, strings.ToLower(method), "responses", fmt.Sprint(status)}
	}
	return all.validate(body, append(location, "content", kind, "schema")...)
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
