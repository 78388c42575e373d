package handlers

import (
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"
)

// Root serves /.
type Root struct{ dashboard bool }

// NewRoot serves /; dashboard tells whether there is one to send people to.
func NewRoot(dashboard bool) *Root { return &Root{dashboard} }

// Links are where to go from /.
type Links struct {
	Service string `json:"service"`
	Links   Paths  `json:"links"`
}

// Paths are those a newcomer looks for.
type Paths struct {
	Dashboard *string `json:"dashboard"`
	Docs      string  `json:"docs"`
	OpenAPI   string  `json:"openapi"`
	Health    string  `json:"health"`
	Status    string  `json:"status"`
}

// Show sends a browser to the dashboard and answers anything else with links.
func (h *Root) Show(c *gin.Context) error {
	c.Header("Vary", "Accept")
	dashboard := "/dashboard/"
	out := Links{Service: "pulse-control-plane", Links: Paths{Docs: "/docs", OpenAPI: "/openapi.json", Health: "/health", Status: "/v1/status"}}
	if !h.dashboard {
		return answer(c, http.StatusOK, out)
	}
	if strings.Contains(c.GetHeader("Accept"), "text/html") {
		return SeeOther(c, dashboard)
	}
	out.Links.Dashboard = &dashboard
	return answer(c, http.StatusOK, out)
}

// SeeOther sends a browser to a path, without a body.
func SeeOther(c *gin.Context, path string) error {
	c.Header("Location", path)
	c.Status(http.StatusSeeOther)
	c.Writer.WriteHeaderNow()
	return nil
}
