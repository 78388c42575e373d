package routes_test

import (
	"encoding/json"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/gin-gonic/gin"
	"go.yaml.in/yaml/v3"

	"pulse-control-plane/routes"
)

func TestTheDocumentIsValidOpenAPI(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(routes.OpenAPI())
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context(), openapi3.EnableMultiError()); err != nil {
		t.Fatal(err)
	}
	if doc.OpenAPI != "3.1.0" {
		t.Errorf("it declares %s", doc.OpenAPI)
	}
}

var pathParameter = regexp.MustCompile(`:([a-z_]+)`)

func TestTheRouterAndTheDocumentHaveTheSameRoutes(t *testing.T) {
	doc, err := document()
	if err != nil {
		t.Fatal(err)
	}
	var served, described []string
	for _, r := range newServer(t).handler.(*gin.Engine).Routes() {
		// What the pages load; and HEAD, which comes with every GET.
		if r.Path != "/docs/*asset" && r.Path != "/dashboard/*path" && r.Method != http.MethodHead {
			served = append(served, r.Method+" "+pathParameter.ReplaceAllString(r.Path, "{$1}"))
		}
	}
	for path, item := range doc.Paths.Map() {
		for method := range item.Operations() {
			described = append(described, method+" "+path)
		}
	}
	for _, route := range served {
		if !slices.Contains(described, route) {
			t.Errorf("%s is not in openapi.yaml", route)
		}
	}
	for _, route := range described {
		if !slices.Contains(served, route) {
			t.Errorf("%s is in openapi.yaml and not in the router", route)
		}
	}
	if len(served) < 20 {
		t.Errorf("only %d routes were compared", len(served))
	}
}

// Every operation of /v1 can be refused, limited and fail: a client must be
// able to read in the document what that looks like.
func TestEveryOperationOfV1DescribesItsProblems(t *testing.T) {
	doc, err := document()
	if err != nil {
		t.Fatal(err)
	}
	for path, item := range doc.Paths.Map() {
		for method, o := range item.Operations() {
			var statuses []int
			switch {
			case !strings.HasPrefix(path, "/v1/"):
				continue
			case o.RequestBody != nil:
				statuses = []int{400, 401, 408, 413, 415, 429, 500, 503}
			default:
				statuses = []int{400, 401, 429, 500, 503}
			}
			if strings.Contains(path, "{") {
				statuses = append(statuses, 404)
			}
			for _, status := range statuses {
				if o.Responses.Status(status) == nil {
					t.Errorf("%s %s says nothing of %d", method, path, status)
				}
			}
			if o.OperationID == "" || o.Summary == "" || len(o.Tags) != 1 || o.Security == nil {
				t.Errorf("%s %s lacks an id, a summary, its tag or its security", method, path)
			}
		}
	}
}

func TestTheDocumentIsServedAsJSONAndYAML(t *testing.T) {
	s := newServer(t)
	var fromYAML, fromJSON any
	a := s.do(http.MethodGet, "/openapi.yaml", nil).want(http.StatusOK)
	if a.header.Get("Content-Type") != "application/yaml" {
		t.Errorf("YAML as %q", a.header.Get("Content-Type"))
	}
	if err := yaml.Unmarshal(a.body, &fromYAML); err != nil {
		t.Fatal(err)
	}
	a = s.do(http.MethodGet, "/openapi.json", nil).want(http.StatusOK)
	if err := json.Unmarshal(a.body, &fromJSON); err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(fromYAML)
	if err != nil {
		t.Fatal(err)
	}
	var same any
	if err := json.Unmarshal(text, &same); err != nil || !reflect.DeepEqual(same, fromJSON) {
		t.Errorf("the two forms differ (%v)", err)
	}
}

var pageLoads = regexp.MustCompile(`(?:src|href)="([^"]+)"`)

func TestThePagesLoadNothingFromElsewhere(t *testing.T) {
	s := newServer(t)
	page := s.do(http.MethodGet, "/docs", nil).want(http.StatusOK)
	loads := pageLoads.FindAllStringSubmatch(string(page.body), -1)
	if len(loads) == 0 {
		t.Fatalf("the page loads nothing:\n%s", page.body)
	}
	for _, load := range loads {
		if !strings.HasPrefix(load[1], "/docs/") {
			t.Errorf("the page loads %s", load[1])
			continue
		}
		r := s.raw(http.MethodGet, load[1])
		if r.Code != http.StatusOK || r.Body.Len() == 0 {
			t.Errorf("%s answers %d", load[1], r.Code)
		}
	}
	if policy := page.header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") ||
		strings.Contains(policy, "http") {
		t.Errorf("the page's policy is %q", policy)
	}
}
