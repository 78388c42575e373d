package handlers

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"regexp"
	"sync"

	"github.com/gin-gonic/gin"
	"github.com/go-json-experiment/json"
	"github.com/swaggest/swgui/v5emb"
	"go.yaml.in/yaml/v3"

	"pulse-control-plane/models"
)

// Docs serves the OpenAPI document and the pages that show it.
type Docs struct {
	yaml []byte
	json func() ([]byte, error)
	page http.Handler
	// policy is the Content-Security-Policy of the pages.
	policy string
}

// docsPolicy lets the pages load what this binary serves and nothing else; the
// page configures itself with inline scripts, whose hashes it names.
func docsPolicy(page http.Handler) string {
	shown := shownPage{header: http.Header{}}
	page.ServeHTTP(&shown, &http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/docs"}, Header: http.Header{}})
	inline := regexp.MustCompile(`(?s)<script>(.*?)</script>`)
	scripts := "'self'"
	for _, script := range inline.FindAllStringSubmatch(shown.body.String(), -1) {
		sum := sha256.Sum256([]byte(script[1]))
		scripts += " 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	return "default-src 'none'; script-src " + scripts + "; style-src 'self' 'unsafe-inline'; " +
		"img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'"
}

// shownPage keeps a page instead of sending it.
type shownPage struct {
	header http.Header
	body   bytes.Buffer
}

func (p *shownPage) Header() http.Header            { return p.header }
func (p *shownPage) Write(data []byte) (int, error) { return p.body.Write(data) }
func (p *shownPage) WriteHeader(int)                {}

// NewDocs makes the handlers of a YAML document. Its JSON form is made on the
// first request for it.
func NewDocs(document []byte) *Docs {
	page := v5emb.New("Pulse Control Plane", "/openapi.json", "/docs")
	return &Docs{
		yaml: document,
		json: sync.OnceValues(func() ([]byte, error) {
			var tree any
			if err := yaml.Unmarshal(document, &tree); err != nil {
				return nil, err
			}
			return json.Marshal(tree, json.Deterministic(true))
		}),
		page:   page,
		policy: docsPolicy(page),
	}
}

// JSON returns the document as JSON.
func (h *Docs) JSON(c *gin.Context) error {
	data, err := h.json()
	if err != nil {
		return models.Internal(err)
	}
	c.Data(http.StatusOK, "application/json", data)
	return nil
}

// YAML returns the document as YAML (RFC 9512).
func (h *Docs) YAML(c *gin.Context) error {
	c.Data(http.StatusOK, "application/yaml", h.yaml)
	return nil
}

// Page returns the page that shows the document, and the assets it loads.
func (h *Docs) Page(c *gin.Context) error {
	c.Header("Content-Security-Policy", h.policy)
	h.page.ServeHTTP(c.Writer, c.Request)
	return nil
}
