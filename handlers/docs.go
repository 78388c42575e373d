package handlers

import (
	"net/http"
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
}

// docsPolicy lets the pages load from this server only. The page configures
// itself with an inline script.
const docsPolicy = "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; " +
	"img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'"

// NewDocs makes the handlers of a YAML document. Its JSON form is made on the
// first request for it.
func NewDocs(document []byte) *Docs {
	return &Docs{
		yaml: document,
		json: sync.OnceValues(func() ([]byte, error) {
			var tree any
			if err := yaml.Unmarshal(document, &tree); err != nil {
				return nil, err
			}
			return json.Marshal(tree, json.Deterministic(true))
		}),
		page: v5emb.New("Pulse Control Plane", "/openapi.json", "/docs"),
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
	c.Header("Content-Security-Policy", docsPolicy)
	h.page.ServeHTTP(c.Writer, c.Request)
	return nil
}
