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

// docsPolicy lets the pages load what this binary serves and nothing else; the
// page configures itself with an inline script.
const docsPolicy = "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; " +
	"img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'"

// NewDocs serves a document written in YAML; its JSON form is made when it is
// first asked for.
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

// JSON answers with the document as JSON.
func (h *Docs) JSON(c *gin.Context) error {
	data, err := h.json()
	if err != nil {
		return models.Internal(err)
	}
	c.Data(http.StatusOK, "application/json", data)
	return nil
}

// YAML answers with the document as YAML (RFC 9512).
func (h *Docs) YAML(c *gin.Context) error {
	c.Data(http.StatusOK, "application/yaml", h.yaml)
	return nil
}

// Page answers with the page that shows the document, and what it loads.
func (h *Docs) Page(c *gin.Context) error {
	c.Header("Content-Security-Policy", docsPolicy)
	h.page.ServeHTTP(c.Writer, c.Request)
	return nil
}
